"""The store's clock: future jobs become due, overdue ones expire."""

import time
from collections.abc import Callable

import structlog
import trio

from supervisor.core.job import MICROS
from supervisor.errors import StoreUnavailable
from supervisor.pool.feeder import Feeder
from supervisor.store.committer import Committer
from supervisor.store.port import Promoted

log = structlog.get_logger("stoker.clock")

STEP = 500  # rows of one transaction, so that a million due at once do not hold up the others
LONGEST_SLEEP = 1.0  # seconds; the wall clock may be set at any time, and is read again


class Clock:
    """`now` gives UTC microseconds."""

    def __init__(self, committer: Committer, feeder: Feeder, *, now: Callable[[], int]) -> None:
        self._committer = committer
        self._feeder = feeder
        self._now = now
        self._next: int | None = 0  # the first look finds out
        self._sooner = trio.Event()
        feeder.at = self.note

    def note(self, instant: int) -> None:
        """Something is to happen at `instant`."""
        if self._next is None or instant < self._next:
            self._next = instant
            self._sooner.set()

    async def run(self) -> None:
        while True:
            now = self._now()
            if self._next is not None and self._next <= now:
                await self._step(now)
                continue
            wait = LONGEST_SLEEP if self._next is None else min(LONGEST_SLEEP, (self._next - now) / MICROS)
            with trio.move_on_after(wait):
                await self._sooner.wait()
            self._sooner = trio.Event()
            self._feeder.tick(time.monotonic())

    async def _step(self, now: int) -> None:
        self._next = None
        self._feeder.expiring = now  # the clock may be set back before the store has done it
        try:
            promoted = await self._committer.write(lambda store: store.promote(now, STEP), self._promoted)
        except StoreUnavailable:
            self._feeder.expiring = 0
            self.note(now)
            await trio.sleep(LONGEST_SLEEP)
            return
        if promoted.next_at is not None:
            self.note(promoted.next_at)

    def _promoted(self, promoted: Promoted) -> None:
        """In the order of the commits, before anything else is given out."""
        self._feeder.expired(promoted.expired)
        self._feeder.expiring = 0
        self._feeder.reread(promoted.queues)
