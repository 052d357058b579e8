"""stoker map."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.failures import Misuse, say
from supervisor.cli.options import duration
from supervisor.core.words import lines

if TYPE_CHECKING:
    from supervisor.mapping.ending import Ending
    from supervisor.mapping.settings import Settings

LINES = "one JSON value a line"
MOST_WORKERS = 10_000


@click.command("map", context_settings={"allow_interspersed_args": False})
@click.option("-w", "--workers", type=click.IntRange(1, MOST_WORKERS), metavar="N", help="At a time (one a CPU).")
@click.option("-i", "--input", "source", metavar="FILE", help="In place of stdin.")
@click.option("-o", "--output", metavar="FILE", help="In place of stdout.")
@click.option("--errors", metavar="FILE", help="For lines that failed (else they are in the output).")
@click.option("--unordered", is_flag=True, help="Each answer as it comes, not in the order of the input.")
@click.option("--records", is_flag=True, help='Each answer as {"line":…,"result":…}, not the bare result.')
@click.option("-R", "--raw-input", is_flag=True, help="Each line is a string, not JSON.")
@click.option(
    "--retries",
    type=click.IntRange(0, 1000),
    default=0,
    metavar="N",
    help="Of a failed line, after 1s, 2s, 4s… (none).",
)
@click.option("--timeout", type=duration, help="For one line (10m).")
@click.option("--boot-timeout", type=duration, help="For a worker's start, on top of its first line (1m).")
@click.option("--kill-grace", type=duration, help="Between SIGTERM and SIGKILL (5s).")
@click.option("--ready", is_flag=True, help='Each worker says {"status":"ready"} first.')
@click.option("--channel", type=click.Choice(["stdio", "fd"]), default="stdio", help="What the worker talks by; stdio.")
@click.option("--resume", is_flag=True, help="Go on where an earlier run with the same --output FILE was.")
@click.option("--progress/--no-progress", default=None, help="A bar on stderr (where that is a terminal).")
@click.argument("command", metavar="-- CMD…", nargs=-1, type=click.UNPROCESSED)
def map_lines(command: tuple[str, ...], **given: Any) -> None:
    """Run each line of a file through warm workers.

    Starts CMD a few times, as workers that stay, gives each line of the input to one that is free, and writes the
    answers: line by line, in the order of the input. No daemon and no configuration are needed.

    \b
        stoker map -- python3 worker.py < in.jsonl > out.jsonl
        stoker map -w 8 --retries 2 -i in.jsonl -o out.jsonl -- ./worker

    A line is one JSON value, and goes to a worker as its payload; blank lines are passed over. Line n of the output is
    the result of the n-th line, or an object with its `error`. After a crash the same command with --resume goes on
    where it was; that needs --output FILE, since with > the shell empties the file first.

    Exit codes: 0 every line passed, 1 some failed, 2 usage or workers that do not come up, 130 interrupted, 141 nobody
    reads the output any more. No process is left when it ends.
    """
    ending = _run(_settings(command, **given))
    _tell(ending, given["output"], given["errors"])
    if ending.code:
        raise click.exceptions.Exit(ending.code)


def _run(settings: "Settings") -> "Ending":
    from supervisor.errors import StokerError
    from supervisor.mapping.run import run

    try:
        return run(settings)
    except StokerError as error:
        raise Misuse(error.message) from None


def _tell(ending: "Ending", output: str | None, errors: str | None) -> None:
    """What the exit code does not: how far it came, and how to go on."""
    if ending.reason is not None:
        again = "; the same command with --resume goes on from there" if ending.resumable else ""
        say(ending.reason)
        say(f"{lines(ending.answered)} answered{again}")
    elif ending.code == 1:
        say(f"{ending.failed:,} of {lines(ending.answered)} failed: {errors or output or 'the output'} says why")


# -- the command line --------------------------------------------------------------------------------------------------


def _settings(
    command: tuple[str, ...],
    workers: int | None,
    source: str | None,
    output: str | None,
    errors: str | None,
    **given: Any,
) -> "Settings":
    from supervisor.config.machine import cpus
    from supervisor.mapping.settings import Settings

    if not command:
        raise click.UsageError("what is to do the work? write the command behind --: stoker map -- CMD… < in.jsonl")
    if given["resume"] and _path(output) is None:
        raise click.UsageError(
            "--resume needs --output FILE: with > the shell empties the file before anybody can see how far it was"
        )
    _must_take_time(given)
    if source is None:
        _must_not_be_terminal()
    for option, name in {"--input": source, "--output": output, "--errors": errors}.items():
        if name == "":
            raise click.UsageError(f"{option}: found nothing, expected a file name (is a variable not set?)")
    return Settings(
        command=command,
        cwd=_folder(),
        workers=workers or len(cpus()),
        input=_path(source),
        output=_path(output),
        errors=_path(errors),
        **{name: value for name, value in given.items() if value is not None},
    )


def _path(name: str | None) -> Path | None:
    """`-` is the standard stream, as without the option."""
    return None if name in (None, "-") else Path(str(name)).absolute()


def _folder() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise Misuse("the folder that this was started in is gone: change to one that is there") from None


def _must_take_time(given: dict[str, Any]) -> None:
    for name in ("timeout", "boot_timeout"):
        if given[name] is not None and given[name] <= 0:
            raise click.UsageError(f"--{name.replace('_', '-')}: found 0, expected a time such as 30s or 2m")


def _must_not_be_terminal() -> None:
    if sys.stdin.isatty():
        raise click.UsageError(
            f"stdin is a terminal, expected a file of {LINES}: write < FILE or --input FILE, or --input - to type them"
        )
