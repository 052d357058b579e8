"""stoker check-worker."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli import output
from supervisor.cli.failures import Misuse, say
from supervisor.cli.options import duration, json_option
from supervisor.cli.payload import checked

if TYPE_CHECKING:
    from supervisor.conformance.findings import Result
    from supervisor.conformance.session import Session
    from supervisor.conformance.settings import Settings

RESERVED = "STOKER_"


@click.command("check-worker", context_settings={"allow_interspersed_args": False})
@click.option("--payload", "payloads", metavar="JSON", multiple=True, help="One that your worker understands; repeat.")
@click.option("--payloads", "file", metavar="FILE", help="A file of such payloads, one a line (- is stdin).")
@click.option("--ready", is_flag=True, help="As in a pool with ready = true.")
@click.option("--require-id", is_flag=True, help="As in a pool with require_id = true.")
@click.option("--channel", type=click.Choice(["stdio", "fd"]), default="stdio", help="As in the pool; stdio.")
@click.option("--timeout", type=duration, help="For one job (10s).")
@click.option("--boot-timeout", type=duration, help="For its start, on top of its first job (1m).")
@click.option("--kill-grace", type=duration, help="Between SIGTERM and SIGKILL (5s).")
@click.option("--cwd", metavar="DIR", help="Where it runs (here).")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="Added to its environment; repeat.")
@click.option("--jobs", type=click.IntRange(100), metavar="N", help="For memory and speed (10,000).")
@click.option("--quick", is_flag=True, help="1,000 jobs instead.")
@click.option("--only", metavar="NAME", multiple=True, help="Try this alone; repeat.")
@click.option("--skip", metavar="NAME", multiple=True, help="Do not try this; repeat.")
@click.option("--list", "listing", is_flag=True, help="Show what is tried, and what the protocol wants.")
@click.option("--strict", is_flag=True, help="Warnings are failures.")
@json_option
@click.argument("command", metavar="-- CMD…", nargs=-1, type=click.UNPROCESSED)
def check_worker(command: tuple[str, ...], listing: bool, as_json: bool, strict: bool, **given: Any) -> None:
    """Try whether a program is a good worker.

    Runs CMD as the daemon would, without one, and tries what the protocol asks of a worker; whatever is wrong comes
    with what it did, what was wanted, the usual cause and the remedy.

    \b
        stoker check-worker -- python3 worker.py
        stoker check-worker --payload '{"path":"/etc/hosts"}' -- ./thumbs

    Say with --payload what your worker understands: they make the plain jobs, and the thousands for memory and speed.
    Other payloads come too (null, odd text, deep, 1 MiB): refuse them with an error reply, or leave them out with
    --skip. A worker that acts on what it is given acts on these.

    Exit codes: 0 nothing failed, 1 something did, 2 usage (no such program), 130 interrupted. Whatever it started
    is gone when it ends, interrupted or not.
    """
    from supervisor.cli import check_worker_page as page

    if listing:
        page.show_list(as_json)
        return
    settings = _settings(command, **given)
    begun = time.monotonic()
    results: list[Result] = []
    report = page.Silent() if as_json else page.Page(settings)

    def tell(result: "Result") -> None:
        results.append(result)
        report.tell(result)

    session = _run(settings, tell, report.begin)
    report.end()
    notes = page.notes(session)
    failed = [result.trial for result in results if result.level == "fail" or (strict and result.level == "warn")]
    if as_json:
        output.write_json(page.document(settings, results, notes, not failed))
    else:
        page.show_end(results, notes, time.monotonic() - begun)
    if failed:
        raise click.exceptions.Exit(1)


def _run(settings: "Settings", tell: Any, begin: Any) -> "Session":
    from supervisor.conformance.run import CannotStart, Interrupted, run

    try:
        return run(settings, tell, begin)
    except CannotStart as error:
        raise Misuse(error.message) from None
    except Interrupted as stopped:
        say(f"interrupted; {stopped.remains or 'no process is left'}")
        raise click.exceptions.Exit(128 + stopped.number) from None


def _settings(
    command: tuple[str, ...],
    payloads: tuple[str, ...],
    file: str | None,
    cwd: str | None,
    env: tuple[str, ...],
    only: tuple[str, ...],
    skip: tuple[str, ...],
    quick: bool,
    **given: Any,
) -> "Settings":
    from supervisor.conformance.settings import QUICK_JOBS, Settings

    if not command:
        raise click.UsageError("what is to be checked? write the command behind --: stoker check-worker -- CMD…")
    if quick:
        given["jobs"] = given["jobs"] or QUICK_JOBS
    chosen, left_out = _names(only, "--only"), _names(skip, "--skip")
    _must_leave_some(chosen, left_out)
    return Settings(
        command=command,
        cwd=_folder(cwd),
        env=tuple(_variable(text) for text in env),
        payloads=(*_compact(payloads), *_from_file(file)),
        only=chosen,
        skip=left_out,
        **{name: value for name, value in given.items() if value is not None},
    )


def _folder(cwd: str | None) -> Path:
    folder = Path(cwd or ".").absolute()
    if not folder.is_dir():
        raise Misuse(f"--cwd: {folder} is not a folder; name the one that the worker is to run in")
    return folder


def _variable(text: str) -> tuple[str, str]:
    from supervisor.config.env_file import is_variable

    name, equals, value = text.partition("=")
    if not equals or not is_variable(name):
        raise Misuse(f"--env {name!r}: write NAME=VALUE, with a name of letters, digits and _")
    if name.startswith(RESERVED):
        raise Misuse(f"--env {name}: names that begin with {RESERVED} are stoker's own")
    return name, value


def _names(names: tuple[str, ...], option: str) -> frozenset[str]:
    from supervisor.conformance.catalogue import TRIALS

    known = [trial.name for trial in TRIALS]
    for name in names:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "--list shows them"
            raise Misuse(f"{option}: there is no trial {name!r}; {hint}")
    return frozenset(names)


def _must_leave_some(only: frozenset[str], skip: frozenset[str]) -> None:
    from supervisor.conformance.catalogue import TRIALS

    if not (only or frozenset(trial.name for trial in TRIALS)) - skip:
        raise click.UsageError(
            f"--skip leaves out {'all that --only names' if only else 'every trial'}: nothing to try"
        )


def _compact(texts: tuple[str, ...]) -> list[bytes]:
    return [_payload(text, "--payload") for text in texts]


def _from_file(name: str | None) -> list[bytes]:
    if name is None:
        return []
    try:
        data = Path("/dev/stdin" if name == "-" else name).read_bytes()
    except OSError as error:
        raise Misuse(f"--payloads: cannot read {name}: {error.strerror}") from None
    lines = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    if not lines:
        raise Misuse(f"--payloads: {name} is empty; write one payload a line")
    return [_payload(line, f"--payloads: line {number} of {name}") for number, line in lines]


def _payload(text: str | bytes, name: str) -> bytes:
    """As the daemon passes it on: compact."""
    from protocol.text import BadText, compact

    try:
        return compact(checked(text, name).encode())
    except BadText as error:
        raise Misuse(f"{name} cannot be used: {error}") from None
