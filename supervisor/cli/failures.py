"""Errors as people meet them: `stoker: ` and a sentence on stderr, and the exit code that goes with it."""

import contextlib
import errno
import os
import sys

import click

from supervisor.cli.output import printable


class Failed(click.ClickException):
    """The job failed, or the daemon refused the call."""

    exit_code = 1


class Misuse(click.ClickException):
    """A command line or a configuration that cannot be used as it is."""

    exit_code = 2


class NoDaemonThere(click.ClickException):
    """Nobody answers at the socket, or not us."""

    exit_code = 3


def unusable(problems: str) -> Misuse:
    """What the loader says of a configuration; where it could not even be opened, with what to do about that."""
    if ": cannot be read: " not in problems:
        return Misuse(problems)
    if problems.endswith(os.strerror(errno.EACCES)):
        return Misuse(f"{problems}; run the command as a user who may read it, or change its permissions")
    return Misuse(f"{problems}; write one with `stoker init`, or name another with -c FILE")


def say(text: str) -> None:
    """`stoker: ` and the text on stderr; further lines are indented. A closed stderr is no reason to fail."""
    first, *rest = printable(text).splitlines() or [""]
    with contextlib.suppress(OSError, ValueError):
        print("\n".join([f"stoker: {first}", *(f"  {line}" for line in rest)]), file=sys.stderr, flush=True)


def complain(error: click.ClickException) -> None:
    """Say what the error says, each problem on a line of its own; after a wrong command line also where help is.
    Without any command line it is the help itself."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return
    for line in error.format_message().splitlines():
        say(line)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        say(f"try '{error.ctx.command_path} --help'")
