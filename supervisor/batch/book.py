"""A batch's folder while it is worked on: one after the other writes into it, never on the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from supervisor.batch.spool import Spool
from supervisor.batch.surroundings import Surroundings
from supervisor.batch.words import Status


class Book:
    """`told` hears of each status that is on disk."""

    def __init__(self, around: Surroundings, spool: Spool, told: Callable[[Status], None]) -> None:
        self.status = spool.status
        self._around = around
        self._spool = spool
        self._told = told
        self._lock = trio.Lock()

    async def append(self, output: bytes, errors: bytes, numbers: Sequence[int]) -> None:
        """Records of lines with these numbers. Raises StoreUnavailable, and then none of them is there."""
        async with self._lock:
            await self._around.in_thread(self._spool.answer, output, errors, numbers)

    async def write(self, change: Callable[[Status], Status]) -> None:
        """Another status, made of the one that there is by then. Raises StoreUnavailable, and then that one holds."""
        async with self._lock:
            status = change(self.status)
            if status is not self.status:
                await self._around.in_thread(self._spool.write, status)
                self.status = status
                self._told(status)

    def close(self) -> None:
        self._spool.close()
