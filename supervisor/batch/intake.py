"""Lines of a new batch on their way in."""

from __future__ import annotations

from collections.abc import Callable

import trio

from supervisor.batch.receiving import Limits, Receiving
from supervisor.batch.spool import Spools
from supervisor.batch.surroundings import Surroundings
from supervisor.batch.words import Status
from supervisor.config.model import BatchesConfig


class Intake:
    """A batch that is there once `finish` has returned; `drop`, and a crash, leave nothing of it. `others` says how
    many lines of other batches are not answered; `finished` and `ended` hear of it."""

    def __init__(
        self,
        around: Surroundings,
        spools: Spools,
        status: Status,
        limits: BatchesConfig,
        *,
        others: Callable[[Intake], int],
        finished: Callable[[Status], None],
        ended: Callable[[Intake], None],
    ) -> None:
        self.status = status
        self._around = around
        self._others = others
        self._finished = finished
        self._ended = ended
        self._waiting = 0  # lines of others
        self._lock = trio.Lock()
        self._receiving: Receiving | None = None
        self._make = lambda: spools.create(
            status,
            Limits(limits.max_lines, limits.max_bytes, limits.max_pending_lines, pending=lambda: self._waiting),
        )

    @property
    def id(self) -> str:
        return self.status.id

    @property
    def size(self) -> int:
        """Bytes that have come."""
        return self.status.input_bytes

    async def open(self) -> None:
        self._receiving = await self._around.in_thread(self._make)

    async def append(self, data: bytes) -> None:
        """More of the file; lines need not be whole. Raises TooLarge or QueueFull, which name their limit, and
        StoreUnavailable for a full disk; nothing is left of it then."""
        async with self._lock:
            assert self._receiving is not None
            try:
                self._around.room.take(len(data))
                self._waiting = self._others(self)
                await self._around.in_thread(self._receiving.append, data)
            except BaseException:
                await self._drop()
                raise

    async def finish(self) -> Status:
        """It is on disk, and begins. Raises StoreUnavailable, and nothing is left of it then."""
        async with self._lock:
            assert self._receiving is not None
            with trio.CancelScope(shield=True):  # on disk and known to nobody it would wait for the next start
                try:
                    await self._around.in_thread(self._receiving.finish)
                except BaseException:
                    await self._drop()
                    raise
                self._receiving = None
                self._ended(self)
                self._finished(self.status)
            return self.status

    async def drop(self) -> None:
        """It never was. After its end: nothing."""
        async with self._lock:
            await self._drop()

    async def _drop(self) -> None:
        receiving, self._receiving = self._receiving, None
        if receiving is not None:
            with trio.CancelScope(shield=True):
                await self._around.in_thread(receiving.drop)
            self._ended(self)
