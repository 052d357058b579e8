"""How far a batch is, on stderr while somebody watches: a bar on a terminal, a line now and then elsewhere."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from supervisor.cli.batch_page import Batch, answered, how_far
from supervisor.cli.failures import say
from supervisor.core.pace import Pace

if TYPE_CHECKING:
    from rich.progress import BarColumn, Progress

FIRST_LINE, LAST_LINE = 10.0, 320.0  # seconds between two lines, doubled with each of them
STUCK_SECS = 2.0  # what keeps a batch for longer is told at once
LEAST_BAR = 10  # columns


class Display(Protocol):
    pause: float  # seconds between two looks, once it has gone on for a while

    def show(self, batch: Batch, now: float) -> None: ...

    def clear(self) -> None:
        """Before anything else is written."""


@contextmanager
def display() -> Iterator[Display]:
    """What suits our stderr."""
    if not (sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"):
        yield Lines()
        return
    bar = Bar()
    try:
        yield bar
    finally:
        bar.clear()


class Lines:
    """For a log: the longer it takes, the rarer."""

    pause = 1.0

    def __init__(self) -> None:
        self._pace = Pace()
        self._gap = FIRST_LINE
        self._next = float("inf")
        self._kept: tuple[str | None, float] = (None, 0.0)  # what keeps it, and since when
        self._told: str | None = None

    def show(self, batch: Batch, now: float) -> None:
        self._pace.note(now, answered(batch))
        self._next = min(self._next, now + self._gap)
        if self._is_news(batch["waiting"], now) or now >= self._next:
            say(f"batch {batch['id']}: {how_far(batch, self._pace).lstrip()}")
            self._told = batch["waiting"]
            self._gap = min(2 * self._gap, LAST_LINE)
            self._next = now + self._gap

    def _is_news(self, waiting: str | None, now: float) -> bool:
        if waiting != self._kept[0]:
            self._kept = (waiting, now)
        return waiting is not None and waiting != self._told and now - self._kept[1] >= STUCK_SECS

    def clear(self) -> None: ...


class Bar:
    """As wide as the terminal, and gone at the end."""

    pause = 0.2

    def __init__(self) -> None:
        self._pace = Pace()
        self._progress: Progress | None = None
        self._column: BarColumn

    def show(self, batch: Batch, now: float) -> None:
        self._pace.note(now, answered(batch))
        if self._progress is None:
            self._progress, self._column = _bar()
        text = how_far(batch, self._pace)
        self._column.bar_width = max(LEAST_BAR, self._progress.console.width - len(text) - 1)
        total, done = batch["counts"]["total"], answered(batch)
        self._progress.update(self._progress.task_ids[0], total=total, completed=done, description=text)
        self._progress.start()
        self._progress.refresh()

    def clear(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _bar() -> "tuple[Progress, BarColumn]":
    """Rich is imported when there is something to show: a batch that is over at once does not wait for it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    bar = BarColumn()
    text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis"))
    progress = Progress(
        bar,
        text,
        console=Console(stderr=True, highlight=False),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    progress.add_task("")
    return progress, bar
