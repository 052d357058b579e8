"""One act on all jobs that match a filter, however many: in batches, with everybody else's work in between.

A batch is found beside the writer, and then changed in one transaction that looks at each of its jobs again. So the
writer never searches, a batch is done or not done, and who goes away in the middle leaves the rest as it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

import trio

from supervisor.core.job import State
from supervisor.core.sweep import Act, Swept
from supervisor.errors import NotFound
from supervisor.pool.feeder import Feeder
from supervisor.pool.run import Run
from supervisor.store.committer import Committer
from supervisor.store.port import Changed, Filter, Found, Reader, Store

BATCH = 500  # jobs in one transaction: two or three milliseconds, for which whoever submits meanwhile waits
COUNTED = 10_000  # jobs in one read of a dry run

T = TypeVar("T")


class Read(Protocol):
    def __call__(self, fn: Callable[[Reader], T]) -> Awaitable[T]: ...


class Sweeper:
    """`read` runs a function with the reader; `cancel` ends one job and gives the state it ended in; `now` is UTC
    microseconds."""

    def __init__(
        self,
        committer: Committer,
        feeder: Feeder,
        read: Read,
        cancel: Callable[[str], Awaitable[State]],
        now: Callable[[], int],
    ) -> None:
        self._committer = committer
        self._feeder = feeder
        self._read = read
        self._cancel = cancel
        self._now = now

    async def count(self, want: Filter) -> Swept:
        """What `sweep` would find now."""
        found = await self._find(want, COUNTED, None)
        swept = Swept(matched=len(found.ids))
        while found.next_seq is not None:
            found = await self._find(want, COUNTED, found.next_seq)
            swept.matched += len(found.ids)
        return swept

    async def sweep(self, act: Act, want: Filter) -> Swept:
        """`want` names states that the act takes. Returns when all is on disk and nothing of what was cancelled runs
        any more; jobs that were submitted meanwhile are not touched."""
        swept = Swept()
        ending: list[Run] = []
        with self._standstill(act, want):
            found = await self._find(want, BATCH, None)
            await self._change(act, want, self._kill(act, want, found.ids, ending), swept)
            while found.next_seq is not None:
                found = await self._find(want, BATCH, found.next_seq)
                await self._change(act, want, self._kill(act, want, found.ids, ending), swept)
        for run in ending:
            swept.matched += 1
            swept.changed += await self._ended(run)
        return swept

    async def _find(self, want: Filter, limit: int, before: int | None) -> Found:
        return await self._read(lambda reader: reader.find(want, limit=limit, before=before))

    @contextmanager
    def _standstill(self, act: Act, want: Filter) -> Iterator[None]:
        """Where everything that waits in a queue is to go, none of it begins meanwhile, and no batch need be held."""
        if not self._shuts(act, want):
            yield
            return
        assert want.queue is not None
        self._feeder.sweep(want.queue)
        try:
            yield
        finally:
            self._feeder.swept(want.queue)

    def _shuts(self, act: Act, want: Filter) -> bool:
        whole = want == Filter(queue=want.queue, states=want.states)
        return whole and act is not Act.RETRY and State.PENDING in want.states and want.queue in self._feeder.lines

    def _kill(self, act: Act, want: Filter, ids: Sequence[str], ending: list[Run]) -> list[str]:
        """Begin the end of those that run, without waiting for it, where the filter means them; returns the others.

        For retry and delete a job that runs is none that matches, whatever the store said a moment ago.
        """
        running = self._feeder.running
        if act is Act.RETRY or not running:
            return list(ids)
        if act is Act.CANCEL and State.RUNNING in want.states:
            for job_id in ids:
                run = running.get(job_id)
                if run is not None:
                    run.stop()
                    ending.append(run)
        return [job_id for job_id in ids if job_id not in running]

    async def _change(self, act: Act, want: Filter, ids: list[str], swept: Swept) -> None:
        if not ids:
            return
        holds = act is not Act.RETRY and State.PENDING in want.states and not self._shuts(act, want)
        held = ids if holds else []

        def done(answers: list[Changed]) -> None:
            self._count(answers, swept)
            self._tell(act, ids, answers)
            # A retry since may have made one pending that matches no more; a read meanwhile has left it out.
            left = any(one.before is State.PENDING and not one.changed for one in answers)
            self._feeder.unhold(*held, reread=left)

        self._feeder.hold(*held)
        try:
            # As with one job: what is handed over happens, and the hold ends in the order of the commits.
            with trio.CancelScope(shield=True):
                await self._committer.write(self._verb(act, want, ids), done)
        except BaseException:
            self._feeder.unhold(*held, reread=True)
            raise

    def _verb(self, act: Act, want: Filter, ids: list[str]) -> Callable[[Store], list[Changed]]:
        now = self._now()
        match act:
            case Act.RETRY:
                return lambda store: store.retry(ids, now, want)
            case Act.CANCEL:
                return lambda store: store.cancel(ids, now, want)
            case Act.DELETE:
                return lambda store: store.delete(ids, now, want)

    def _count(self, answers: list[Changed], swept: Swept) -> None:
        changed = sum(one.changed for one in answers)
        skipped = sum(one.conflict is not None for one in answers)
        swept.matched += changed + skipped
        swept.changed += changed
        swept.skipped += skipped

    def _tell(self, act: Act, ids: list[str], answers: list[Changed]) -> None:
        """Those whom it concerns that these jobs are pending again, ended, or gone."""
        changed = [(job_id, one.queue) for job_id, one in zip(ids, answers, strict=True) if one.changed]
        match act:
            case Act.RETRY:
                self._feeder.chronicle.retried(changed)
                self._feeder.reread({queue for _, queue in changed if queue is not None})
            case Act.CANCEL:
                self._feeder.chronicle.cancelled(changed)
                self._feeder.ended(job_id for job_id, _ in changed)
            case Act.DELETE:
                for job_id, _ in changed:
                    self._feeder.waiters.gone(job_id)

    async def _ended(self, run: Run) -> bool:
        """Whether it was cancelled. A job that ended is not looked at again: somebody may have retried it since."""
        if self._feeder.running.get(run.id) is run:
            await run.recorded()
        if run.outcome is not None:
            return run.outcome.state is State.CANCELLED
        try:  # it never began, and waits
            return await self._cancel(run.id) is State.CANCELLED
        except NotFound:  # deleted by somebody since
            return False
