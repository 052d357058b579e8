"""Filling the look-aheads of queues from the store, one read of each queue at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from supervisor.core.job import Ready
from supervisor.core.lanes import Lanes, Names, Read, Some, Walk
from supervisor.core.lookahead import Lookahead
from supervisor.store.committer import Committer
from supervisor.store.port import Store

if TYPE_CHECKING:
    from supervisor.pool.feeder import Feeder
    from supervisor.pool.line import Line

T = TypeVar("T")


class Reading:
    """Rows that arrive while somebody is idle are given out at once."""

    def __init__(self, feeder: Feeder, committer: Committer) -> None:
        self._feeder = feeder
        self._committer = committer

    def look(self, line: Line) -> None:
        """Read on where the look-ahead wants rows, or anew where it is stale."""
        if line.reading or line.swept_by or not line.pools or self._committer.failing:
            return
        if isinstance(line.ahead, Lanes):
            self._look_at_lanes(line, line.ahead)
        elif line.stale or line.ahead.wants_rows:
            self._read_rows(line, line.ahead)

    def _read_rows(self, line: Line, ahead: Lookahead) -> None:
        anew, line.stale = line.stale, False
        after = None if anew else ahead.horizon
        limit = ahead.max_rows if anew else ahead.max_rows - len(ahead)

        def arrived(rows: list[Ready]) -> None:
            complete = len(rows) < limit and _weight(rows) < ahead.max_bytes
            if anew:
                ahead.replace(rows, complete=complete, skip=self._feeder)
            else:
                ahead.fill(rows, after=after, complete=complete, skip=self._feeder)

        self._ask(
            line,
            lambda store: store.ready(line.name, after=after, limit=limit, max_bytes=ahead.max_bytes),
            arrived,
            anew=anew,
        )

    def _look_at_lanes(self, line: Line, ahead: Lanes) -> None:
        now = time.monotonic_ns()
        # What is being looked for is found first: rows that become due all the time would else keep it from that.
        anew = line.stale and not (ahead.has_begun and ahead.starves(now))
        asked = Walk(None, ahead.max_rows, anew=True) if anew else ahead.wants(now)
        if anew:
            line.stale = False
        if asked is not None:
            self._read_lanes(line, ahead, asked, anew=anew)

    def _read_lanes(self, line: Line, ahead: Lanes, asked: Read, *, anew: bool) -> None:
        name, most = line.name, ahead.max_bytes
        match asked:
            case Walk(after, limit):

                def walked(rows: list[Ready]) -> None:
                    complete = len(rows) < limit and _weight(rows) < most
                    ahead.walked(asked, rows, complete=complete, skip=self._feeder)

                self._ask(
                    line,
                    lambda store: store.ready(name, after=after, limit=limit, max_bytes=most, lanes=True),
                    walked,
                    anew=anew,
                )
            case Names(behind, limit):
                self._ask(
                    line,
                    lambda store: store.lanes(name, after=behind, limit=limit),
                    lambda found: ahead.named(asked, found),
                )
            case Some(lanes, limit):
                self._ask(
                    line,
                    lambda store: store.lane_rows(name, lanes, limit=limit, max_bytes=most),
                    lambda found: ahead.filled(asked, found, skip=self._feeder),
                )

    def _ask(self, line: Line, read: Callable[[Store], T], done: Callable[[T], None], *, anew: bool = False) -> None:
        line.reading = True
        line.reads += 1

        def arrived(answer: T) -> None:
            line.reading = False
            done(answer)
            if self._feeder.replacing:
                self._feeder.replacing.keep_out(line)
            self._feeder.wake(line)

        def failed() -> None:
            line.reading = False
            line.stale = line.stale or anew

        self._committer.read_soon(read, arrived, failed)


def _weight(rows: list[Ready]) -> int:
    return sum(len(memoryview(row.payload)) for row in rows)
