"""Jobs whose records are on disk, and say more than they do: they are deleted, a few at a time.

Others wait for the store meanwhile. What it does not take now it is asked for again, or by the next start. One that
somebody has had run once more is cancelled at the end of the batch: its line has its record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial

import trio

from supervisor.batch.surroundings import Surroundings
from supervisor.core.sweep import FINAL
from supervisor.errors import StoreUnavailable
from supervisor.store.port import Changed, Filter, Store

STEP = 250  # jobs: a few milliseconds of the store's time

_FINAL = Filter(states=FINAL)  # not one that somebody has had run once more


class Doomed:
    """`client` is that of all the batch's jobs."""

    def __init__(self, around: Surroundings, client: str) -> None:
        self._around = around
        self._client = client
        self._ids: list[str] = []
        self._revived: list[str] = []  # those that had another state again
        self._under_way = False
        self._gone = trio.Event()

    def add(self, ids: Iterable[str]) -> None:
        self._ids += dict.fromkeys(ids)
        self._next()

    async def gone(self) -> None:
        """Return when there are none any more; the batch has no jobs but these by now."""
        while self._ids or self._under_way or self._revived:
            with trio.move_on_after(self._around.poll):
                await self._gone.wait()
            await self._end_revived()
            self._next()

    async def _end_revived(self) -> None:
        if not self._revived:
            return
        revived, self._revived = self._revived, []
        with suppress(StoreUnavailable):
            await self._around.sweep(self._client)
        self._ids += revived

    def _next(self) -> None:
        if self._under_way or not self._ids:
            return
        ids, self._ids = self._ids[:STEP], self._ids[STEP:]
        self._under_way = True
        self._gone = trio.Event()
        now = self._around.now()
        self._around.committer.write_soon(
            partial(_delete, ids=ids, now=now), partial(self._deleted, ids), partial(self._failed, ids)
        )

    def _deleted(self, ids: Sequence[str], answers: Sequence[Changed]) -> None:
        self._under_way = False
        waiters = self._around.feeder.waiters
        for job_id, answer in zip(ids, answers, strict=True):
            if answer.changed or answer.before is None:
                waiters.let_go(job_id)
                waiters.gone(job_id)
            else:
                self._revived.append(job_id)
        self._next()
        if not self._under_way:
            self._gone.set()

    def _failed(self, ids: Sequence[str]) -> None:
        self._under_way = False
        self._ids[:0] = ids


def _delete(store: Store, ids: Sequence[str], now: int) -> list[Changed]:
    return store.delete(ids, now, _FINAL)
