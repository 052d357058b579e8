"""A batch's folder while it is worked on: one after the other writes into it, never on the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

import trio

from supervisor.batch.spool import Spool
from supervisor.batch.surroundings import Surroundings
from supervisor.batch.words import Status
from supervisor.errors import Unsound


class Book:
    """`told` hears of each status that is on disk."""

    def __init__(self, around: Surroundings, spool: Spool, told: Callable[[Status], None]) -> None:
        self.status = spool.status
        self._around = around
        self._spool = spool
        self._told = told
        self._lock = trio.Lock()
        self._lost: Unsound | None = None
        self._is_lost = trio.Event()

    async def append(self, output: bytes, errors: bytes, numbers: Sequence[int]) -> None:
        """Records of lines with these numbers. Raises StoreUnavailable, and then none of them is there."""
        async with self._lock:
            await self._around.in_thread(self._spool.answer, output, errors, numbers)

    async def write(self, change: Callable[[Status], Status]) -> None:
        """Another status, made of the one that there is by then. Raises StoreUnavailable, and then that one holds, and
        Unsound for a folder that is gone."""
        async with self._lock:
            status = change(self.status)
            if status is not self.status:
                try:
                    await self._around.in_thread(self._spool.write, status)
                except Unsound as reason:
                    self._lost = reason
                    self._is_lost.set()
                    raise
                self.status = status
                self._told(status)

    async def lost(self) -> NoReturn:
        """Raises Unsound as soon as a write has."""
        await self._is_lost.wait()
        assert self._lost is not None
        raise self._lost

    def close(self) -> None:
        self._spool.close()
