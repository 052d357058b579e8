"""The look-ahead: a bounded cache of one queue's due pending rows, in claim order.

It holds every due row up to a horizon (but those checked out), so its first row is always the queue's next. Rows
behind the horizon stay in the store and are read when the cache runs low. A new row enters at once where the cache
knows its place: before the horizon, or anywhere while nothing lies behind it. So a queue that keeps up never reads
from the store at all.
"""

from bisect import bisect
from collections import deque
from collections.abc import Container, Iterable, Iterator

from supervisor.core.job import Rank, Ready

MAX_ROWS = 512
MAX_BYTES = 4 * 1024 * 1024


class Lookahead:
    def __init__(self, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES) -> None:
        self.max_rows = max_rows
        self.max_bytes = max_bytes
        self._rows: deque[Ready] = deque()
        self._bytes = 0
        self._complete = False  # nothing due lies behind the horizon
        self._horizon: Rank | None = None  # None: nothing was read yet

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Ready]:
        return iter(self._rows)

    @property
    def horizon(self) -> Rank | None:
        """Where the next read goes on from; None: from the front of the queue."""
        return self._horizon

    @property
    def wants_rows(self) -> bool:
        """Whether a read would bring more: rows lie behind the horizon, and the cache is half empty."""
        return not self._complete and len(self._rows) * 2 <= self.max_rows and self._bytes * 2 <= self.max_bytes

    @property
    def complete(self) -> bool:
        return self._complete

    def takes(self, urgency: int, seq: int, lane: str | None = None) -> bool:
        """A row became due: does it belong in here? Asked before the row is made, which costs more than the answer.

        A row that does not is remembered as lying behind the horizon.
        """
        if not self._complete:
            return self._horizon is not None and Rank(urgency, seq) <= self._horizon
        if len(self._rows) >= self.max_rows and Rank(urgency, seq) > self._rows[-1].rank:
            self._complete = False
            self._horizon = self._rows[-1].rank
            return False
        return True

    def offer(self, row: Ready) -> bool:
        """A row became due (submitted, released, retried). False: it lies behind the horizon and stays in the store."""
        rank = row.rank
        if not self.takes(rank.urgency, rank.seq):
            return False
        self._insert(row, rank)
        if self._horizon is None or rank > self._horizon:
            self._horizon = rank
        self._trim()
        return True

    def _insert(self, row: Ready, rank: Rank) -> None:
        rows = self._rows
        if not rows or rank > rows[-1].rank:
            rows.append(row)
        else:
            rows.insert(bisect(rows, rank, key=_rank), row)
        self._bytes += len(memoryview(row.payload))

    def fill(self, rows: list[Ready], *, after: Rank | None, complete: bool, skip: Container[str]) -> None:
        """The store's answer to a read behind `after`. `skip`: ids that are checked out or held.

        An answer to a question that is no longer asked (the horizon has moved since) is dropped: rows that were
        pushed out meanwhile would be missed.
        """
        if after != self._horizon:
            return
        # They stand behind whatever is here: that is all before the horizon, and the read began there.
        fresh = [row for row in rows if row.id not in skip]
        self._rows.extend(fresh)
        self._bytes += _weight(fresh)
        if rows:
            self._horizon = rows[-1].rank
        self._complete = complete
        self._trim()

    def pop(self, now: int = 0) -> Ready | None:
        """The next row in claim order, taken out. Neither the time nor lanes matter here; they do in core.lanes."""
        if not self._rows:
            return None
        row = self._rows.popleft()
        self._bytes -= len(memoryview(row.payload))
        return row

    def discard(self, ids: Container[str]) -> None:
        """Take rows out by their ids. Linear: the cache is small, and cancels are rare."""
        kept = [row for row in self._rows if row.id not in ids]
        if len(kept) < len(self._rows):
            self._rows = deque(kept)
            self._bytes = _weight(kept)

    def replace(self, rows: list[Ready], *, complete: bool, skip: Container[str]) -> None:
        """The store's answer to a read from the front of the queue, in the place of everything: rows had become due
        where this cache could not know."""
        self._rows.clear()
        self._bytes = 0
        self._horizon = None
        self.fill(rows, after=None, complete=complete, skip=skip)

    def _trim(self) -> None:
        while len(self._rows) > self.max_rows or (self._bytes > self.max_bytes and len(self._rows) > 1):
            row = self._rows.pop()
            self._bytes -= len(memoryview(row.payload))
            self._complete = False
            self._horizon = self._rows[-1].rank


def _weight(rows: Iterable[Ready]) -> int:
    return sum(len(memoryview(row.payload)) for row in rows)


def _rank(row: Ready) -> Rank:
    return row.rank
