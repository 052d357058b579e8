"""The group committer: the one thread that owns the store, and the loop's way to it.

Everything that waits is one transaction: while a commit is on its way to the disk, what arrives meanwhile gathers, and
is the next batch. So an idle daemon pays one sync for one submit, and a busy one shares a sync among hundreds.

Two kinds of work wait differently. What somebody waits for goes to the thread at once. Claims of jobs that may begin
before them, and outcomes nobody waits for, ride: with the next thing that goes, and after LINGER at the latest.

Order within a batch: claims and outcomes, claims that come first, submits, other writes in their order of arrival, and
reads after the commit. Answers are delivered on the loop, submits first and then in that order, so that whoever keeps a
cache hears of a write before it is handed rows that were read after it.
"""

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, TypeVar

import trio

from supervisor.core.job import Claim, Job, NewJob, Outcome
from supervisor.errors import StoreUnavailable
from supervisor.store.batch import Answers, Batch, Call, ClaimFirst, Submit
from supervisor.store.port import Store, Submitted
from supervisor.store.whereabouts import locate
from supervisor.store.writer import Writer

T = TypeVar("T")

LINGER = 0.004  # seconds; an outcome's commit must start within 10 ms

Recorded = Callable[[Sequence[Any], Sequence[bool]], None]
Found = Callable[[Sequence[Job | None], Sequence[str]], None]


class Committer:
    """`recorded(tokens, oks)` hears of outcomes that are on disk, `found(jobs, ids)` of the jobs asked for with them.

    `limits`: the queues that may hold only so many pending jobs; a submit that would bring more fails with QueueFull.
    Others may take their place at any time, and hold for what is handed over from then on.
    `failing` is the reason why the store cannot commit, or None; `on_failing` is called when it changes.
    """

    def __init__(self, store: Store, limits: Mapping[str, int] | None = None) -> None:
        self._store = store
        self.limits = limits or {}
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._next = Batch()
        self._riding = trio.Event()
        self._ended = trio.Event()
        self._committed: trio.Event | None = None  # made for who wants to know
        self._crash: BaseException | None = None
        self._thread_of_store: threading.Thread | None = None
        self.failing: str | None = None
        self.recorded: Recorded = lambda tokens, oks: None
        self.found: Found = lambda jobs, ids: None
        self.on_failing: Callable[[str | None], None] = lambda reason: None

    # -- the loop's side -------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the thread, flush what rides, return after `close` when everything is on disk and the store closed."""
        self._thread_of_store = threading.Thread(
            target=self._thread, args=(trio.lowlevel.current_trio_token(),), name="stoker-store", daemon=True
        )
        self._thread_of_store.start()
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._flush_riders)
            await self._ended.wait()
            nursery.cancel_scope.cancel()
        if self._crash is not None:
            self._refuse_the_rest()
            raise self._crash

    async def _flush_riders(self) -> None:
        while True:
            await self._riding.wait()
            await trio.sleep(LINGER)
            self._riding = trio.Event()
            if self._next.claims or self._next.outcomes:
                self._flush()

    def _flush(self) -> None:
        batch, self._next = self._next, Batch()
        self._queue.put(batch)
        if self._crash is not None:
            self._refuse_the_rest()

    def _refuse_the_rest(self) -> None:
        """The thread has died of a bug, and the daemon is about to: nobody is left waiting for an answer, since some
        wait under a shield."""
        while not self._queue.empty():
            batch = self._queue.get()
            for call in batch.calls() if batch is not None else ():
                call.error = StoreUnavailable("the store's thread has died, and the daemon with it: see its log")
                trio.lowlevel.current_trio_token().run_sync_soon(call.deliver)

    def close(self) -> None:
        """Everything handed over so far is still carried out; then `run` returns."""
        self._flush()
        self._queue.put(None)

    def claim(self, claim: Claim) -> None:
        self._next.claims.append(claim)
        if not self._riding.is_set():
            self._riding.set()

    def claim_first(self, claim: Claim, done: Callable[[bool], None], failed: Callable[[], None]) -> None:
        """Hand over a claim that is waited for. One of the two is called on the loop: `done` once it is on disk, with
        what the fence said; `failed` when it is not, and never will be."""
        self._next.firsts.append(ClaimFirst(claim, done, failed))
        self._flush()

    def outcome(self, record: Outcome, token: Any, get: str | None = None) -> None:
        """Hand over an outcome; `recorded` hears of it when it is on disk. `get`: somebody waits for this job, so do
        not linger, and tell `found` the job as it then stands."""
        self._next.outcomes.append(record)
        self._next.tokens.append(token)
        if get is not None:
            self._next.gets.append(get)
            self._flush()
        elif not self._riding.is_set():
            self._riding.set()

    def tell(self, job_ids: Sequence[str]) -> None:
        """Let `found` hear how these jobs stand, once everything handed over so far is on disk."""
        self._next.gets += job_ids
        self._flush()

    async def submit(
        self,
        jobs: Sequence[NewJob],
        now: int,
        done: Callable[[list[Submitted]], None],
        failed: Callable[[], None] | None = None,
        *,
        contested: bool = False,
    ) -> list[Submitted]:
        """One of the two is called on the loop, also if the caller has gone away meanwhile: `done` when they are on
        disk, `failed` when none is and none will be. Say `contested` if any of them has an `on_conflict` of its own:
        then a submit that meets a holder it may not have fails with Conflict."""
        call = Submit(jobs, now, done, failed, contested=contested)
        self._next.submits.append(call)
        self._flush()
        return await call.wait()

    async def write(self, fn: Callable[[Store], T], done: Callable[[T], None] | None = None) -> T:
        """Any other verb, in a transaction with others; returns its answer once that is durable."""
        call = Call(fn, done)
        self._next.writes.append(call)
        self._flush()
        return await call.wait()

    def write_soon(self, fn: Callable[[Store], T], done: Callable[[T], None], failed: Callable[[], None]) -> None:
        """The same without waiting; one of the two is called on the loop."""
        self._next.writes.append(Call(fn, done, failed))
        self._flush()

    async def read(self, fn: Callable[[Store], T]) -> T:
        """A read that sees everything handed over before it, claims and outcomes included."""
        call = Call(fn)
        self._next.reads.append(call)
        self._flush()
        return await call.wait()

    def read_soon(self, fn: Callable[[Store], T], done: Callable[[T], None], failed: Callable[[], None]) -> None:
        """The same without waiting; one of the two is called on the loop."""
        self._next.reads.append(Call(fn, done, failed))
        self._flush()

    def whereabouts(self) -> str:
        """Where the store's thread is at this moment: what there is to tell of one that does not come back."""
        return "nowhere: it has not begun" if self._thread_of_store is None else locate(self._thread_of_store)

    async def settle(self) -> None:
        """Return when everything handed over so far is on disk (or held, while the store is failing)."""
        await self.read(lambda store: None)

    def next_commit(self) -> trio.Event:
        """Set when more has been committed, or may have been. Take it before you look at what is there."""
        if self._committed is None:
            self._committed = trio.Event()
        return self._committed

    def _deliver(self, done: Answers) -> None:
        for submit in done.submits:
            submit.deliver()
        if done.tokens:
            self.recorded(done.tokens, done.oks)
        for first in done.firsts:
            first.deliver()
        for write in done.writes:
            write.deliver()
        if done.gets:
            self.found(done.found, done.gets)
        for read in done.reads:
            read.deliver()
        if self._committed is not None:
            committed, self._committed = self._committed, None
            committed.set()

    def _set_failing(self, reason: str | None) -> None:
        self.failing = reason
        self.on_failing(reason)

    def _thread(self, token: trio.lowlevel.TrioToken) -> None:
        def deliver(answers: Answers) -> None:
            token.run_sync_soon(self._deliver, answers)

        def report(reason: str | None) -> None:
            token.run_sync_soon(self._set_failing, reason)

        writer = Writer(self._store, self._queue, deliver, report, lambda: self.limits)
        try:
            writer.run()
        except BaseException as crash:
            self._crash = crash
            self._queue.put(writer.playing)
        with contextlib.suppress(trio.RunFinishedError):
            token.run_sync_soon(self._ended.set)
