"""The journal's old end is removed, a little at a time."""

from collections.abc import Callable
from contextlib import suppress

import trio

from supervisor.config.model import StoreConfig
from supervisor.core.job import MICROS
from supervisor.errors import StoreUnavailable
from supervisor.store.committer import Committer

EVERY = 5.0  # seconds
STEP = 2000  # events of one transaction; some milliseconds for those who wait for theirs


class Trimmer:
    """`now` gives UTC microseconds."""

    def __init__(self, committer: Committer, config: StoreConfig, *, now: Callable[[], int]) -> None:
        self._committer = committer
        self._config = config
        self._now = now

    async def run(self) -> None:
        while True:
            with suppress(StoreUnavailable):  # it is reported where it hurts; the journal can wait
                await self.trim()
            await trio.sleep(EVERY)

    async def trim(self) -> int:
        """Remove all that is too old or too many; returns how many events that was."""
        before = self._now() - int(self._config.events_max_age * MICROS)
        most = self._config.events_max_count
        total = 0
        while True:
            trimmed = await self._committer.write(lambda store: store.trim_events(before=before, most=most, limit=STEP))
            total += trimmed
            if trimmed < STEP:
                return total
