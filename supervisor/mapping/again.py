"""Lines that wait for another attempt: after a failure for their backoff, after a throttled reply for as long as it
said, and what a worker gave back for the next one that is free."""

import heapq
import time
from collections.abc import Callable

from supervisor.config.model import MIB
from supervisor.mapping.row import Row
from supervisor.pool.alarm import Alarm

# Where everything fails, or is throttled, no more of the input is read than this.
LINES, BYTES = 1000, 64 * MIB


class Again:
    """`ring` is called when one of them may begin. Instants are nanoseconds of the monotonic clock."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self.alarm = Alarm(ring)
        self._rows: list[tuple[int, int, Row]] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def full(self) -> bool:
        """So many wait that no other line is to be begun."""
        return len(self._rows) >= LINES or self._size >= BYTES

    def add(self, row: Row, instant: int) -> None:
        """Not before `instant`; of those that may begin, the first in the input comes first."""
        heapq.heappush(self._rows, (instant, row.seq, row))
        self._size += row.size
        self.alarm.ask(instant)

    def take(self) -> Row | None:
        """One that may begin now."""
        rows = self._rows
        if not rows:
            return None
        if rows[0][0] > time.monotonic_ns():
            self.alarm.ask(rows[0][0])
            return None
        row = heapq.heappop(rows)[2]
        self._size -= row.size
        return row
