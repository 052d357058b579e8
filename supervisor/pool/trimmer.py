"""The journal's old end is removed, a little at a time. Apart from the janitor, which looks for jobs and may not find
any, while events come to their end all the time, and in another order than jobs do."""

import time
from collections.abc import Callable
from contextlib import suppress

import trio

from supervisor.config.model import StoreConfig
from supervisor.core.job import MICROS
from supervisor.core.retention import STEPS, next_step
from supervisor.errors import StoreUnavailable
from supervisor.store.committer import Committer
from supervisor.store.port import Store

EVERY = 5.0  # seconds


class Trimmer:
    """`now` gives UTC microseconds."""

    def __init__(self, committer: Committer, config: StoreConfig, *, now: Callable[[], int]) -> None:
        self._committer = committer
        self.config = config
        self._now = now

    async def run(self) -> None:
        while True:
            with suppress(StoreUnavailable):  # it is reported where it hurts; the journal can wait
                await self.trim()
            await trio.sleep(EVERY)

    async def trim(self) -> int:
        """Remove all that is too old or too many; returns how many events that was."""
        total, step = 0, STEPS[0]
        while True:
            trimmed, took = await self._step(step)
            total += trimmed
            if trimmed < step:
                return total
            step = next_step(step, took)
            await trio.sleep(took)  # so that half of the store's time is for others

    async def _step(self, limit: int) -> tuple[int, float]:
        """How many were removed, and for how many seconds the store was busy with it."""
        before = self._now() - int(self.config.events_max_age * MICROS)
        most = self.config.events_max_count

        def trim(store: Store) -> tuple[int, float]:
            began = time.monotonic()
            trimmed = store.trim_events(before=before, most=most, limit=limit)
            return trimmed, time.monotonic() - began

        return await self._committer.write(trim)
