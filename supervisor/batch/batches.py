"""All batches of a daemon, in the words of those who ask for them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog
import trio
from msgspec.structs import replace

from protocol.control import BatchesView
from supervisor.batch import leftovers
from supervisor.batch.growing import File, Growing
from supervisor.batch.ids import checked, new_id
from supervisor.batch.intake import Intake
from supervisor.batch.receiving import ERRORS, OUTPUT
from supervisor.batch.runner import Runner
from supervisor.batch.spool import Spools
from supervisor.batch.surroundings import Surroundings
from supervisor.batch.turns import Turns
from supervisor.batch.words import BatchState, Counts, NewBatch, Status
from supervisor.config.model import BatchesConfig, QueueConfig
from supervisor.core.job import MICROS
from supervisor.errors import Conflict, NotFound, QueueFull, StoreUnavailable

log = structlog.get_logger("stoker.batches")

GC_EVERY = 60.0  # seconds

__all__ = ["Batches", "File", "Growing", "Intake"]


class Batches:
    """`queue` raises UnknownQueue. `open`, then `run`; `flush` when nothing is to come back any more."""

    def __init__(
        self, root: Path, config: BatchesConfig, around: Surroundings, queue: Callable[[str], QueueConfig]
    ) -> None:
        self.config = config
        self._around = around
        self._queue = queue
        self._spools = Spools(root)
        self._statuses: dict[str, Status] = {}  # of all, in the order of their ids
        self._runners: dict[str, Runner] = {}  # of those that are not final
        self._turns = Turns()
        self._intakes: set[Intake] = set()
        self._deleting: set[str] = set()
        self._changed: dict[str, trio.Event] = {}
        self._nursery: trio.Nursery | None = None

    # -- the daemon's side -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Find what there is. When this returns, every job of a batch is accounted for: nobody may delete one before,
        and no worker be given one. Raises StoreUnavailable."""
        await self._around.in_thread(self._spools.sweep)
        statuses, strange = await self._around.in_thread(self._spools.all)
        for _, complaint in strange:
            log.error("batch_unreadable", reason=complaint)
        self._statuses = {status.id: status for status in statuses}
        for status in statuses:
            if not status.state.final:
                self._runners[status.id] = self._runner(status)
        await leftovers.take_up(self._around, self._runners, {path.name for path, _ in strange})
        # What has begun before a restart has its turn first.
        for runner in sorted(self._runners.values(), key=lambda one: one.status.state is not BatchState.IN_PROGRESS):
            if not runner.started:
                self._turns.join(runner)

    async def run(self) -> None:
        """Work on all that is not final, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for runner in [*self._runners.values()]:
                if runner.status.cancel_requested:
                    self._start(runner)
            for queue in self._turns.queues:
                self._schedule(queue)
            while True:
                await trio.sleep(GC_EVERY)
                await self._sweep()

    async def flush(self) -> None:
        """What has ended by now is in its files when this returns, as far as the disk takes it."""
        async with trio.open_nursery() as nursery:
            for runner in [*self._runners.values()]:
                nursery.start_soon(runner.flush)

    def close(self) -> None:
        self._around.close()

    def reconfigure(self, config: BatchesConfig) -> None:
        self.config = config

    def _runner(self, status: Status) -> Runner:
        return Runner(
            self._around,
            self._spools,
            status,
            told=self._told,
            sharers=lambda: max(1, self._turns.at_work(status.queue)),
            rested=lambda: self._schedule(status.queue),
        )

    def _told(self, status: Status) -> None:
        self._statuses[status.id] = status
        changed = self._changed.pop(status.id, None)
        if changed is not None:
            changed.set()

    def _schedule(self, queue: str) -> None:
        """Begin what has its turn."""
        while self._nursery is not None and (runner := self._turns.next(queue)) is not None:
            self._start(runner)

    def _start(self, runner: Runner) -> None:
        if self._nursery is not None and not runner.started:
            runner.started = True
            self._turns.begin(runner)
            self._nursery.start_soon(self._see_through, runner)

    async def _see_through(self, runner: Runner) -> None:
        await runner.run()
        status = runner.status
        self._turns.leave(runner)
        if runner.broken is not None and not await self._around.in_thread(self._spools.has, status.id):
            await self._forget(runner)
        if status.state.final:
            del self._runners[status.id]
            log.info("batch_ended", batch=status.id, queue=status.queue, state=status.state.value)
        self._schedule(status.queue)

    async def _forget(self, runner: Runner) -> None:
        """Somebody has removed its folder: it is not there any more, as for the next start."""
        batch_id = runner.status.id
        log.error("batch_lost", batch=batch_id, queue=runner.status.queue, reason=runner.broken)
        with self._leaving(batch_id):
            await leftovers.end(self._around, batch_id)
            del self._runners[batch_id], self._statuses[batch_id]

    async def _sweep(self) -> None:
        try:
            ids = await self.gc(older_than=self.config.keep)
        except StoreUnavailable as reason:
            log.error("batches_not_swept", reason=reason.message)
        else:
            if ids:
                log.info("batches_swept", batches=len(ids))

    # -- new ones ----------------------------------------------------------------------------------------------------

    async def begin(self, want: NewBatch) -> Intake | Status:
        """A batch to put lines into; or an earlier one that has the same client and key. Raises UnknownQueue,
        QueueFull where too many lines wait already, Conflict where a batch with this key is on its way in or out, and
        StoreUnavailable for a low disk."""
        if want.key is not None and (earlier := self._with_key(want)) is not None:
            return earlier
        self._queue(want.queue)
        if any(one.status.client == want.client and one.status.key == want.key for one in self._intakes if want.key):
            raise Conflict("a batch with this client and key is being sent: wait for its end, or use another key")
        if (waiting := self.unanswered) >= self.config.max_pending_lines:
            raise QueueFull(
                f"{waiting} lines of batches wait for their answers, and {self.config.max_pending_lines} are allowed "
                "(batches.max_pending_lines): try again later, or raise the limit",
                queue=want.queue,
                pending=waiting,
                limit=self.config.max_pending_lines,
                key="batches.max_pending_lines",
            )
        self._around.room.take(0)
        intake = self._intake(want)
        self._intakes.add(intake)
        try:
            await intake.open()
        except BaseException:
            self._intakes.discard(intake)
            raise
        return intake

    def _intake(self, want: NewBatch) -> Intake:
        now = self._around.now()
        status = Status(
            id=new_id(),
            state=BatchState.PENDING,
            counts=Counts(),
            created_at=now,
            updated_at=now,
            **{name: getattr(want, name) for name in NewBatch.__struct_fields__},
        )
        return Intake(
            self._around,
            self._spools,
            status,
            self.config,
            others=lambda one: self.unanswered - one.status.counts.total,
            finished=self._received,
            ended=self._intakes.discard,
        )

    def _with_key(self, want: NewBatch) -> Status | None:
        for one in self._statuses.values():
            if (one.client, one.key) == (want.client, want.key):
                if one.id in self._deleting:
                    raise Conflict("the batch with this client and key is being deleted: send this one again then")
                return self.get(one.id)
        return None

    def _received(self, status: Status) -> None:
        log.info("batch_received", batch=status.id, queue=status.queue, lines=status.counts.total)
        self._statuses[status.id] = status
        self._runners[status.id] = runner = self._runner(status)
        self._turns.join(runner)
        self._schedule(status.queue)

    # -- all of them -------------------------------------------------------------------------------------------------

    @property
    def unanswered(self) -> int:
        """Lines that are not answered, of all batches and of those that are on their way."""
        return self._unanswered(lambda queue: True)

    def _unanswered(self, sees: Callable[[str], bool]) -> int:
        counted = [runner.status.counts for runner in self._runners.values() if sees(runner.status.queue)]
        open_ = sum(one.total - one.completed - one.failed - one.cancelled for one in counted)
        return open_ + sum(one.status.counts.total for one in self._intakes if sees(one.status.queue))

    def view(self, sees: Callable[[str], bool] = lambda queue: True) -> BatchesView:
        """All that are not final, at a glance. `sees`: which queues the caller may look at."""
        started = [runner.started for runner in self._runners.values() if sees(runner.status.queue)]
        at_work = sum(started)
        return BatchesView(
            in_progress=at_work, pending=len(started) - at_work, unanswered=max(0, self._unanswered(sees))
        )

    def get(self, batch_id: str) -> Status:
        """Raises NotFound."""
        status = self._statuses.get(checked(batch_id))
        if status is None or batch_id in self._deleting:
            raise NotFound(f"there is no batch {batch_id}")
        runner = self._runners.get(batch_id)
        if runner is None or status.state.final:
            return replace(status, waiting=None)
        if runner.started:
            return replace(status, waiting=runner.waiting)
        return replace(
            status, waiting=f"{self._turns.begun(status.queue)} batches of queue {status.queue} are worked on first"
        )

    def folder(self, batch_id: str) -> Path:
        """Where its files are. Raises NotFound."""
        return self._spools.folder(self.get(batch_id).id)

    def list(
        self,
        *,
        limit: int,
        before: str | None = None,
        queue: str | None = None,
        states: Collection[BatchState] = (),
        sees: Callable[[str], bool] = lambda queue: True,
    ) -> tuple[list[Status], int, str | None]:
        """Newest first: one page, how many there are in all, and what goes into the next call's `before` (None: that
        was the last page). `sees`: which queues the caller may look at."""
        found = [one.id for one in self._matching(queue, states, sees)]
        found.sort(reverse=True)
        rest = [one for one in found if before is None or one < before]
        page = rest[:limit]
        return [self.get(one) for one in page], len(found), page[-1] if len(rest) > len(page) else None

    def _matching(
        self, queue: str | None, states: Collection[BatchState], sees: Callable[[str], bool]
    ) -> Iterator[Status]:
        return (
            one
            for one in self._statuses.values()
            if (queue is None or one.queue == queue)
            and (not states or one.state in states)
            and one.id not in self._deleting
            and sees(one.queue)
        )

    async def cancel(self, batch_id: str) -> Status:
        """Returns once it is final; one that was final already comes back unchanged. Raises NotFound, StoreUnavailable
        where that could not even be noted, and Conflict for one that cannot go on before the next start."""
        self.get(batch_id)
        runner = self._runners.get(batch_id)
        if runner is not None:
            self._start(runner)
            await runner.cancel()
        return self.get(batch_id)

    async def delete(self, batch_id: str) -> None:
        """Raises NotFound, Conflict unless it is final, and StoreUnavailable."""
        status = self.get(batch_id)
        if not status.state.final:
            raise Conflict(f"batch {batch_id} is {status.state}: cancel it first, or wait for its end")
        await self._remove(batch_id)

    async def gc(
        self,
        *,
        older_than: float,
        states: Collection[BatchState] = (),
        queue: str | None = None,
        dry_run: bool = False,
        sees: Callable[[str], bool] = lambda queue: True,
    ) -> Sequence[str]:
        """Delete final batches that ended so many seconds ago; their ids. `dry_run`: those that would be. Raises
        StoreUnavailable where one cannot be removed, when the others are."""
        if older_than == float("inf"):
            return []
        until = self._around.now() - int(older_than * MICROS)
        ids = [
            one.id
            for one in self._matching(queue, states, sees)
            if one.state.final and one.finished_at is not None and one.finished_at <= until
        ]
        trouble: StoreUnavailable | None = None
        for one in () if dry_run else ids:
            if one in self._statuses and one not in self._deleting:
                try:
                    await self._remove(one)
                except StoreUnavailable as reason:  # the others go all the same
                    trouble = trouble or reason
        if trouble is not None:
            raise trouble
        return ids

    async def _remove(self, batch_id: str) -> None:
        with self._leaving(batch_id), trio.CancelScope(shield=True):
            with suppress(NotFound):  # somebody was quicker with rm
                await self._around.in_thread(self._spools.remove, batch_id)
            del self._statuses[batch_id]

    @contextmanager
    def _leaving(self, batch_id: str) -> Iterator[None]:
        """Nobody finds it meanwhile; where it cannot be removed it is there again."""
        self._deleting.add(batch_id)
        try:
            yield
        finally:
            self._deleting.discard(batch_id)
            changed = self._changed.pop(batch_id, None)
            if changed is not None:
                changed.set()

    def output(self, batch_id: str, file: File) -> Growing:
        """Raises NotFound."""
        path = self.folder(batch_id) / (OUTPUT if file == "output" else ERRORS)
        return Growing(path, file, lambda: self.get(batch_id), lambda: self._next_change(batch_id))

    def _next_change(self, batch_id: str) -> trio.Event:
        return self._changed.setdefault(batch_id, trio.Event())
