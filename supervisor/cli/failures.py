"""Errors as people meet them: `stoker: ` and a sentence on stderr, and the exit code that goes with it."""

import contextlib
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


def say(text: str) -> None:
    """`stoker: ` and the text on stderr; further lines are indented. A closed stderr is no reason to fail."""
    first, *rest = printable(text).splitlines() or [""]
    with contextlib.suppress(OSError, ValueError):
        print("\n".join([f"stoker: {first}", *(f"  {line}" for line in rest)]), file=sys.stderr, flush=True)


def complain(error: click.ClickException) -> None:
    """Say what the error says, each problem on a line of its own; after a wrong command line also where help is."""
    for line in error.format_message().splitlines():
        say(line)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        say(f"try '{error.ctx.command_path} --help'")
