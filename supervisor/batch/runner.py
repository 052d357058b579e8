"""One batch's life, from its first line to its last record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog
import trio
from msgspec.structs import replace

from supervisor.batch.book import Book
from supervisor.batch.collecting import Collecting
from supervisor.batch.feeding import Feeding
from supervisor.batch.receiving import INPUT
from supervisor.batch.source import Chunk, Source
from supervisor.batch.spool import Spools
from supervisor.batch.surroundings import Surroundings
from supervisor.batch.tracking import Place, Tracking
from supervisor.batch.words import BatchState, Status
from supervisor.config.model import QueueConfig
from supervisor.core.job import Job, Outcome, State
from supervisor.errors import Conflict, StokerError, StoreUnavailable, Unsound
from supervisor.lines.ranges import Ranges

log = structlog.get_logger("stoker.batches")


class Runner:
    """`told` hears of each status that is on disk; `sharers` says among how many batches its queue is shared now;
    `rested` is told when it has become `resting`."""

    def __init__(
        self,
        around: Surroundings,
        spools: Spools,
        status: Status,
        *,
        told: Callable[[Status], None],
        sharers: Callable[[], int],
        rested: Callable[[], None],
    ) -> None:
        self.started = False
        self.broken: str | None = None  # why it does not go on before the next start
        self._first = status
        self._around = around
        self._spools = spools
        self._told = told
        self._sharers = sharers
        self._rested = rested
        self._tracking = Tracking()
        self._left: Sequence[Job] = ()
        self._ended_early: set[str] = set()  # of these, before the folder was open
        self._inherited: frozenset[int] = frozenset()
        self._book: Book | None = None
        self._answered = Ranges()
        self._feeding: Feeding | None = None
        self._collecting: Collecting | None = None
        self._trouble: str | None = None
        self._cancelled = False
        self._opened = trio.Event()
        self._over = trio.Event()

    @property
    def status(self) -> Status:
        """As it is on disk."""
        return self._first if self._book is None else self._book.status

    @property
    def waiting(self) -> str | None:
        """Why nothing moves."""
        if self.broken is not None or self._trouble is not None:
            return self.broken or self._trouble
        if self._collecting is None or self._feeding is None:
            return None
        return self._collecting.waiting or self._feeding.waiting

    @property
    def resting(self) -> bool:
        """All that can be handed over waits for its next attempt, so that others may have the workers."""
        if self._feeding is None:
            return self._book is None and self._trouble is not None
        return self._feeding.resting

    def expect(self, jobs: Sequence[Job]) -> None:
        """`jobs` are those that an earlier life of the daemon has left in the store: from now on nobody deletes them
        before they are heard of."""
        self._left = jobs
        for job in jobs:
            if job.state.final:
                self._ended_early.add(job.id)
            self._around.feeder.waiters.collect(job.id, self._heard_early)

    def _heard_early(self, job_id: str, end: Outcome | Job | None) -> None:
        if end is None or end.state.final:
            self._ended_early.add(job_id)

    async def prepare(self) -> None:
        """Each of the jobs that were left is answered already, or has ended, or will be heard of. Raises
        StoreUnavailable, and then it may be tried again, and another StokerError for a folder that cannot be used."""
        spool = await self._around.in_thread(self._spools.open, self._first.id)
        self._book = Book(self._around, spool, self._told)
        self._told(spool.status)
        self._answered = Ranges(spool.answered.pairs())  # its own: that of the folder grows
        self._tracking.begin_at(Place(spool.status.checkpoint.number, spool.status.checkpoint.offset))
        for job in self._left:
            self._inherit(job)
        self._inherited = frozenset(sent.number for sent in self._tracking.sent.values())
        for job_id in self._ended_early:
            if job_id in self._tracking.sent:
                self._tracking.met(job_id)
        self._left, self._ended_early = (), set()
        self._opened.set()

    def _inherit(self, job: Job) -> None:
        self._around.feeder.waiters.collect(job.id, self._tracking.heard)
        number = int(job.key) if job.key is not None and job.key.isdecimal() else 0
        if number < 1 or number in self._answered:
            self._tracking.over.append(job.id)
        else:
            due = job.state is not State.PENDING or job.run_at <= self._around.now()
            self._tracking.inherit(job.id, number, due=due)

    async def run(self) -> None:
        """Until it is final, and its jobs are gone. A bug stops this batch, and nothing else."""
        self.started = True
        try:
            await self._run()
        except Exception as error:
            cause = _first_cause(error)
            bug = not isinstance(cause, StokerError)
            self.broken = f"a bug of stoker keeps it from going on, see the log: {cause!r}" if bug else str(cause)
            log.error("batch_stuck", batch=self._first.id, reason=self.broken, exc_info=error if bug else None)
        finally:
            if self._book is not None:
                self._book.close()
            self._opened.set()
            self._over.set()
        if self._collecting is not None and self.broken is None:
            await self._collecting.clear()

    async def _run(self) -> None:
        while self._book is None:
            try:
                await self.prepare()
            except StoreUnavailable as reason:
                self._trouble = reason.message
                self._rested()
                await trio.sleep(self._around.poll)
        book = self._book
        assert book is not None
        await self._begin(book)
        tracking, around = self._tracking, self._around
        skip = Ranges(self._answered.pairs())
        skip.update(self._inherited)
        place = tracking.place
        source = Source(around, self._spools.folder(self._first.id) / INPUT, place, self._max_payload)
        out, chunks = trio.open_memory_channel[Chunk](1)
        self._feeding = Feeding(around, self._first, tracking, skip, chunks, self._sharers, self._rested)
        self._collecting = Collecting(around, book, tracking)
        if self._cancelled or book.status.cancel_requested:
            self._feeding.cancel()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(book.lost)
            nursery.start_soon(source.run, out)
            nursery.start_soon(self._feeding.run)
            await self._collecting.run()
            nursery.cancel_scope.cancel()

    async def _begin(self, book: Book) -> None:
        def begun(status: Status) -> Status:
            if status.state is BatchState.IN_PROGRESS:
                return status
            return replace(status, state=BatchState.IN_PROGRESS, updated_at=self._around.now(), waiting=None)

        while True:
            try:
                await book.write(begun)
            except StoreUnavailable as reason:
                self._trouble = reason.message
                await trio.sleep(self._around.poll)
            else:
                self._trouble = None
                return

    def _max_payload(self) -> int:
        line = self._around.line(self._first.queue)
        return QueueConfig(name=self._first.queue).max_payload if line is None else line.policy.max_payload

    async def cancel(self) -> Status:
        """Returns once it is final, on disk. Raises StoreUnavailable, and then nothing has changed, and Conflict for a
        batch that cannot go on."""

        def cancelled(status: Status) -> Status:
            if status.state.final or status.cancel_requested:
                return status
            return replace(status, cancel_requested=True, updated_at=self._around.now())

        while self._book is None and self.broken is None:
            if self._trouble is not None:
                raise StoreUnavailable(self._trouble)
            with trio.move_on_after(self._around.poll):
                await self._opened.wait()
        if self._book is not None and self.broken is None:
            with suppress(Unsound):  # it ends by that
                await self._book.write(cancelled)
            self._cancelled = True
            if self._feeding is not None:
                self._feeding.cancel()
            await self._over.wait()
        if not self.status.state.final:
            reason = self.broken or "the daemon stops, and its next start goes on with it"
            raise Conflict(f"batch {self._first.id} is not cancelled yet: {reason}")
        return self.status

    async def flush(self) -> None:
        if self._collecting is not None and self.broken is None:
            await self._collecting.flush()


def _first_cause(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
