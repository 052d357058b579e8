"""How far it is, while somebody waits: on stderr, one line of a terminal that changes and goes away again."""

import contextlib
import os
import sys
from typing import Any

from supervisor.cli import output


class LiveLine:
    """Nothing at all where stderr is no terminal, or one that cannot go back in a line."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._text = ""

    def show(self, text: str) -> None:
        if self.shown and text != self._text:
            self._text = text
            self._write(output.fit(output.one_line(text), _width()))

    def clear(self) -> None:
        """Before anything else is written."""
        if self._text:
            self._text = ""
            self._write("")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def progress(told: dict[str, Any]) -> str:
    """`4 of 10: page 4`, or what there is of it."""
    share = told.get("progress")
    place = f"{told['done']} of {told['total']}" if "done" in told and "total" in told else told.get("done", share)
    return ": ".join(str(part) for part in (place, told.get("message")) if part is not None)


def how_far(job: dict[str, Any]) -> str:
    """`job 0199…: running, 4 of 10: page 4`. What an earlier attempt said stays until the next one says more."""
    told = progress(job["progress"]) if job["progress"] else ""
    return f"job {job['id']}: " + ", ".join(filter(None, (job["state"], told)))
