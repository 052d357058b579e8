"""Whether jobs are given out as they should be: what stands behind a watchdog that does more than ask if anybody lives.

A healthy daemon gives a job that may begin to an idle worker in the same moment, and looks for such a pair once a
second besides. So where both are there, look after look, and the pool begins nothing, something in the daemon is
broken that it does not see, and a new start is the cure.

A restart of a healthy daemon would be worse than none. Therefore what is told here as waiting has passed every test
that a checkout would put to it (pause, limits, throttling, expiry, reserves, a store that fails); a pool in which any
job begins is not stuck, whatever else is odd about it; and time counts only as far as it was looked at: one look
after a long sleep (a suspended machine, a stopped process) is one look.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple


class Standing(NamedTuple):
    """One pool at one look. `begun` counts the jobs it was ever given."""

    pool: str
    idle: int  # workers that could take a job
    waiting: int  # jobs that they could begin
    begun: int


class Advice(Enum):
    FINE = "fine"
    RENEW = "renew"  # forget what was read ahead, and read it again: may be all that is needed
    STUCK = "stuck"


class Finding(NamedTuple):
    """Of the pool that has stood still for longest. `secs`: how long, as far as it was looked at."""

    advice: Advice
    standing: Standing | None = None
    secs: float = 0.0


FINE = Finding(Advice.FINE)


class Progress:
    """`patience`: seconds without a job begun after which a pool is stuck; it is half as long until the advice to read
    anew. `longest_look`: a look counts for the time since the one before, but for so many seconds at most."""

    def __init__(self, patience: float, longest_look: float) -> None:
        self._patience = patience
        self._longest_look = longest_look
        self._last: float | None = None
        self._stood: dict[str, tuple[Standing, float]] = {}
        self._renewed: set[str] = set()

    def look(self, standings: Iterable[Standing], now: float) -> Finding:
        """`now`: monotonic seconds. A pool that is not told of has no past at the next look."""
        passed = 0.0 if self._last is None else max(0.0, min(now - self._last, self._longest_look))
        self._last = now
        before, self._stood = self._stood, {}
        for one in standings:
            if one.idle > 0 and one.waiting > 0:
                earlier = before.get(one.pool)
                still = earlier is not None and earlier[0].begun == one.begun
                self._stood[one.pool] = (one, earlier[1] + passed if earlier is not None and still else 0.0)
        self._renewed &= {pool for pool, (_, secs) in self._stood.items() if secs}
        return self._worst()

    def _worst(self) -> Finding:
        if not self._stood:
            return FINE
        standing, secs = max(self._stood.values(), key=lambda one: one[1])
        if secs >= self._patience:
            return Finding(Advice.STUCK, standing, secs)
        if secs >= self._patience / 2 and standing.pool not in self._renewed:
            self._renewed.add(standing.pool)
            return Finding(Advice.RENEW, standing, secs)
        return FINE
