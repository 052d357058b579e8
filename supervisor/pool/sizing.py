"""How many workers a pool has: as many as its bounds allow and its jobs need."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import structlog
import trio

from supervisor.core.scaling import Load, scale

if TYPE_CHECKING:
    from supervisor.pool.life import Life
    from supervisor.pool.pool import Pool
    from supervisor.pool.slot import Slot

log = structlog.get_logger("stoker.pool")

LOOK = 0.1  # seconds between two looks while jobs wait


class Sizing:
    """`low` and `high` are the bounds now: the configuration's, or what `resize` said since."""

    def __init__(self, pool: Pool, low: int, high: int) -> None:
        self.low = low
        self.high = high
        self._pool = pool
        self._relaxed = True  # no job waits, as far as is known
        self._news = trio.Event()
        self._waiting_since: float | None = None  # monotonic
        self._changed_at = time.monotonic()

    def poke(self) -> None:
        """Something has changed that may matter."""
        self._news.set()

    def pressed(self) -> None:
        """Jobs wait, and nobody is idle. Cheap: it is called for each job that comes while the pool is busy."""
        if self._relaxed and self.low < self.high:
            self._relaxed = False
            self._news.set()

    def resize(self, low: int, high: int) -> None:
        """At once, as far as that goes without ending a running job."""
        log.info("pool_resized", pool=self._pool.name, low=low, high=high, was_low=self.low, was_high=self.high)
        self.low, self.high = low, high
        # By their numbers, so that those that are left are below the new size.
        for slot in self._staying():
            if slot.number >= high:
                slot.leave("the pool was resized")
        self._keep_low()
        self.poke()

    async def run(self) -> None:
        self._keep_low()
        while True:
            wait = self._look()
            with trio.move_on_after(wait):
                await self._news.wait()
            self._news = trio.Event()

    def _look(self) -> float:
        """Act on how things stand; seconds until it is worth looking again."""
        if self._pool.stopping.is_set():
            return float("inf")
        self._keep_low()
        if self.low == self.high:
            return float("inf")
        load = self._load(time.monotonic())
        step = scale(load, self._pool.config, self.low, self.high)
        if step.grow:
            self._grow(step.grow, step.reason)
        elif step.shrink:
            self._shrink(step.reason)
        self._relaxed = not load.waiting
        if not self._relaxed:
            return min(step.again, LOOK)
        if load.size - load.leaving > self.low:
            # Nobody tells when a worker becomes idle: that would be a call for each job.
            return min(step.again, max(LOOK, self._pool.config.shrink_after / 4))
        return step.again

    def _load(self, now: float) -> Load:
        pool = self._pool
        places, staying, idle = self._places(), self._staying(), self._idle()
        waiting = pool.feeder.waiting(pool)
        if waiting and idle and pool.sharing is not None and pool.sharing.keeps_back(len(pool.idle)):
            idle = []  # reserved: for those that wait, as good as busy
        if not waiting or idle:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        return Load(
            size=len(places),
            leaving=len(places) - len(staying),
            starting=sum(slot.life is None or not slot.life.ready.is_set() for slot in staying),
            idle=len(idle),
            idle_for=now - idle[0].idle_since if idle else 0.0,
            waiting=waiting,
            waited=0.0 if self._waiting_since is None else now - self._waiting_since,
            settled_for=now - self._changed_at,
            degraded=pool.health.reason is not None,
        )

    def _keep_low(self) -> None:
        """Never fewer than `low`: those who were to leave stay, and then new ones come as far as there is room."""
        missing = 0 if self._pool.stopping.is_set() else self.low - len(self._staying())
        for slot in sorted(self._pool.slots, key=_number):
            if missing > 0 and slot.leaving and slot.number < self.high and slot not in self._pool.spares:
                missing -= slot.stay()
        room = self.high - len(self._places())
        for _ in range(min(missing, room)):
            self._pool.add_slot()

    def _grow(self, count: int, reason: str) -> None:
        before = len(self._staying())
        for _ in range(min(count, self.high - len(self._places()))):
            self._pool.add_slot()
        self._changed_at = time.monotonic()
        self._waiting_since = None
        log.info("pool_grown", pool=self._pool.name, size=len(self._staying()), was=before, reason=reason)

    def _shrink(self, reason: str) -> None:
        before = len(self._staying())
        self._idle()[0].slot.leave(reason)
        self._changed_at = time.monotonic()
        log.info("pool_shrunk", pool=self._pool.name, size=before - 1, was=before, reason=reason)

    def _idle(self) -> list[Life]:
        """The one that has been idle for longest comes first."""
        return [life for life in self._pool.idle if life.slot not in self._pool.spares]

    def _places(self) -> list[Slot]:
        """All but the one a rolling restart has made for itself."""
        return [slot for slot in self._pool.slots if slot not in self._pool.spares]

    def _staying(self) -> list[Slot]:
        return [slot for slot in self._places() if not slot.leaving]


def _number(slot: Slot) -> int:
    return slot.number
