"""What check-worker shows: a line for each trial as it ends, and what to do about those that went wrong."""

import contextlib
import os
import shlex
import shutil
import sys
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from supervisor.cli import output
from supervisor.cli.tables import Column, highlight, show
from supervisor.conformance.catalogue import TRIALS
from supervisor.conformance.findings import NOT_TRIED, Level, Result
from supervisor.conformance.session import Session
from supervisor.conformance.settings import Settings

INDENT = 16
STDERR_LINES = 8
LEAST = 30  # characters of text, however narrow the terminal
LEVELS: dict[Level, str] = {"ok": "ok", "warn": "warned", "fail": "failed", "skip": "skipped"}
LIST = (Column("TRIAL"), Column("WHAT", give=True, wrap=True), Column("THE PROTOCOL WANTS", give=True, wrap=True))


class Silent:
    """For programs: everything comes at the end. Who watches stderr on a terminal sees which trial runs."""

    def begin(self, trial: str) -> None:
        _transient(f"…    {trial}")

    def tell(self, result: Result) -> None:
        _transient("")

    def end(self) -> None:
        pass


class Page:
    """For people. On a terminal the trial that runs is named meanwhile. What was not tried for one and the same reason
    is one line, by `end`."""

    def __init__(self, settings: Settings) -> None:
        self._width = shutil.get_terminal_size().columns if output.is_terminal() else None
        output.write(f"checking {output.one_line(shlex.join(settings.command))}")
        output.flush()
        self._untried: list[Result] = []

    def begin(self, trial: str) -> None:
        _transient(f"…    {trial}")

    def tell(self, result: Result) -> None:
        _transient("")
        if result.level == "skip" and result.found.startswith(NOT_TRIED):
            self._untried.append(result)
        else:
            self._write(result, result.trial)

    def end(self) -> None:
        """All is told."""
        if self._untried:
            count = len(self._untried)
            self._write(self._untried[0], f"{count} others" if count > 1 else self._untried[0].trial)

    def _write(self, result: Result, name: str) -> None:
        word = "FAIL" if result.level == "fail" else result.level
        head = f"{_coloured(word)}{'':{5 - len(word)}}{name:{INDENT - 5}}"
        first, *rest = self._wrapped(result.found)
        output.write(head + first)
        for line in rest:
            output.write(" " * INDENT + line)
        for name, text in (("wanted", result.wants), ("cause", result.cause)):
            if text:
                self._write_named(name, self._wrapped(text))
        if result.stderr:
            self._write_named("stderr", [output.printable(line) for line in result.stderr.splitlines()[-STDERR_LINES:]])
        output.flush()

    def _write_named(self, name: str, lines: Sequence[str]) -> None:
        for number, line in enumerate(lines):
            output.write(f"{'' if number else name:>{INDENT - 2}}  {line}")

    def _wrapped(self, text: str) -> list[str]:
        text = output.one_line(text)
        if self._width is None:
            return [text]
        return textwrap.wrap(text, max(self._width - INDENT, LEAST), break_on_hyphens=False)


def _watched() -> bool:
    return sys.stderr.isatty()


def _transient(text: str) -> None:
    """The last line of the terminal, for a while: on stderr, since the report may go to a file."""
    with contextlib.suppress(OSError, ValueError):
        if _watched() and os.environ.get("TERM") != "dumb":
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _coloured(word: str) -> str:
    return highlight(word.lower()).replace("fail", "FAIL")


def notes(session: Session) -> list[str]:
    """What there is to say of the run as a whole."""
    found = []
    replies = session.replies
    if sum(replies.values()) and not replies["ok"] and not session.settings.payloads:
        found.append(
            "it never replied ok: with --payload '…' it is given what it understands, and memory and speed are "
            "measured on that"
        )
    if session.settings.only or session.settings.skip:
        found.append("not everything was tried, as --only or --skip said")
    given = {name for name, _ in session.settings.env}
    if withheld := [name for name in session.left_out if name not in given]:
        found.append(
            f"it was tried without {', '.join(withheld)}, set here, which would hide a missing flush from you alone; "
            f"where its pool sets it too, say --env {withheld[0]}=…"
        )
    if remains := session.adopted.remains():
        found.append(remains)
    return found


def show_end(results: Sequence[Result], remarks: Sequence[str], secs: float) -> None:
    for remark in remarks:
        output.write(f"note: {remark}")
    counts = Counter(result.level for result in results)
    words = ", ".join(f"{counts[level]} {word}" for level, word in LEVELS.items() if counts[level])
    output.write(f"{words or 'nothing was tried'}, in {secs:.1f} s")


def document(settings: Settings, results: Sequence[Result], remarks: Sequence[str], ok: bool) -> dict[str, Any]:
    """The report for programs."""
    counts = Counter(result.level for result in results)
    return {
        "ok": ok,
        "command": settings.command,
        "counts": {level: counts[level] for level in LEVELS},
        "trials": [{name: getattr(result, name) for name in Result.__struct_fields__} for result in results],
        "notes": list(remarks),
    }


def show_list(as_json: bool) -> None:
    """Every trial: name, what is tried, what the protocol wants."""
    if as_json:
        output.write_json([{"trial": trial.name, "what": trial.what, "wants": trial.wants} for trial in TRIALS])
        return
    show(LIST, [(trial.name, trial.what, trial.wants) for trial in TRIALS])
