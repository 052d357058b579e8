"""How many jobs of batches stand in the store at a time: so many that no worker ever waits for the next one, and so few
that the store stays small, and that whoever comes later does not come behind a million of them."""

import math

AHEAD = 0.25  # seconds of work
PER_WORKER = 4
MOST_JOBS = 2000
MOST_BYTES = 16 * 1024 * 1024

_SAMPLE = 0.1  # seconds
_MEMORY = 0.5  # seconds, after which what was weighs a third


def window(per_second: float, workers: int, sharers: int, limit: int | None = None) -> int:
    """How many jobs each of `sharers` batches may have in a queue that ends `per_second` of theirs, with so many
    workers. `limit`: the queue takes no more than that, and half of them are for others."""
    wanted = max(PER_WORKER * max(workers, 1), math.ceil(per_second * AHEAD))
    most = MOST_JOBS if limit is None else min(MOST_JOBS, limit // 2)
    return max(1, min(wanted, most) // max(sharers, 1))


class Pace:
    """How many in a second, lately. `now`: seconds of a clock that never goes back."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._count = 0
        self._rate = 0.0

    def add(self, count: int = 1) -> None:
        self._count += count

    def per_second(self, now: float) -> float:
        took = now - self._since
        if took >= _SAMPLE:
            kept = math.exp(-took / _MEMORY)
            self._rate = kept * self._rate + (1 - kept) * self._count / took
            self._since, self._count = now, 0
        return self._rate
