"""What a person sees on stderr: what is said line by line, and below it a bar that moves."""

import os
import re
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import trio

from supervisor.mapping.tally import Look, Progress, Tally

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

MOST = 1000  # lines that wait to be shown
BAR_EVERY = 0.2  # seconds
LINE_EVERY = 10.0  # seconds, where there is no terminal and it is asked for
PATIENCE = 0.5  # seconds for a terminal that is stopped, when all ends
# What workers and inputs say must not steer the terminal.
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class Paper(Protocol):
    """Where it is shown. These block."""

    def show(self, lines: Sequence[str], tally: Tally, now: float) -> None:
        """Lines, and how far it is."""

    def end(self, lines: Sequence[str]) -> None:
        """Lines, and nothing that moves is left."""


class LinesOnly:
    """Also a line now and then of how far it is, `every` so many seconds."""

    def __init__(self, every: float = float("inf")) -> None:
        self._every = every
        self._next = every

    def show(self, lines: Sequence[str], tally: Tally, now: float) -> None:
        if now >= self._next:
            self._next = now + self._every
            lines = [*lines, f"stoker: {tally.told(now)}"]
        self.end(lines)

    def end(self, lines: Sequence[str]) -> None:
        _write("".join(f"{line}\n" for line in lines))


class BarBelow:
    """On a terminal that can go back in a line."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        # A file of its own: a thread that is left behind here must not hold the lock of sys.stderr at the end.
        self._console = Console(file=open(2, "w", encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115
        self._bar: Bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=None)

    def show(self, lines: Sequence[str], tally: Tally, now: float) -> None:
        if not self._bar.live.is_started:
            self._bar.start()
            self._console.show_cursor(True)  # whatever ends us, it is there
        for line in lines:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        share = tally.share
        self._bar.update(
            self._task, description=tally.told(now), completed=share or 0, total=None if share is None else 1.0
        )
        self._bar.refresh()

    def end(self, lines: Sequence[str]) -> None:
        if self._bar.live.is_started:
            self._bar.stop()
        for line in lines:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class Showing:
    """The Screen of a run. `look`: how far it is. The last line is a summary, on a terminal."""

    def __init__(self, look: Look, *, progress: bool | None = None, quiet: bool = False) -> None:
        """`progress`: None: a bar where there is a terminal, unless it is `quiet` there, since the answers go to it."""
        self._look = look
        self._paper = _paper(not quiet if progress is None else progress, asked=progress is True)
        self._every = BAR_EVERY if isinstance(self._paper, BarBelow) else LINE_EVERY
        self._began = time.monotonic()
        self._tally = Tally(0.0, look())
        self._waiting: deque[str] = deque()
        self._left_out = 0
        self._news = trio.Event()
        self._one = Lock()  # shows at a time, and none
        self._closed = False  # any more: a thread that was left behind may come late

    def say(self, text: str) -> None:
        if len(self._waiting) >= MOST:
            self._left_out += 1
        else:
            self._waiting.append(_CONTROLS.sub(lambda found: ascii(found[0])[1:-1], text))
            self._news.set()

    async def run(self) -> None:
        while True:
            await trio.to_thread.run_sync(self._show, self._look(), abandon_on_cancel=True)
            if not self._waiting:
                self._news = trio.Event()
                with trio.move_on_after(self._every):
                    await self._news.wait()

    def close(self) -> None:
        """After `run`. What a terminal that is stopped does not take is left."""
        if not self._one.acquire(timeout=PATIENCE):
            return
        progress, now = self._look(), self._now()
        lines = self._taken()
        if is_terminal(2):
            self._tally.sample(now, progress)
            lines.append(f"stoker: {self._tally.summary(now)}")
        with suppress(OSError, ValueError):
            self._paper.end(lines)
        self._closed = True
        self._one.release()

    def _show(self, progress: Progress) -> None:
        """In a thread, which may be left behind."""
        with self._one, suppress(OSError, ValueError):  # a stderr that is closed is no reason to fail
            if self._closed:
                return
            self._tally.sample(self._now(), progress)
            self._paper.show(self._taken(), self._tally, self._now())

    def _taken(self) -> list[str]:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if self._left_out:
            lines.append(f"stoker: {self._left_out} lines more were left out: nobody read them in time")
            self._left_out = 0
        return lines

    def _now(self) -> float:
        return time.monotonic() - self._began


def is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def _paper(shown: bool, *, asked: bool) -> Paper:
    if shown and is_terminal(2) and os.environ.get("TERM", "dumb") != "dumb":
        return BarBelow()
    return LinesOnly(LINE_EVERY if asked else float("inf"))


def _write(text: str) -> None:
    rest = memoryview(text.encode(errors="replace"))
    while rest:
        rest = rest[os.write(2, rest) :]
