"""The group committer: the one thread that owns the store, and the loop's way to it.

Everything that waits is one transaction: while a commit is on its way to the disk, what arrives meanwhile gathers, and
is the next batch. So an idle daemon pays one sync for one submit, and a busy one shares a sync among hundreds.

Two kinds of work wait differently. What somebody waits for goes to the thread at once. Claims, and outcomes nobody
waits for, ride: with the next thing that goes, and after LINGER at the latest.

Order within a batch: submits, claims and outcomes, other writes in their order of arrival, and reads after the
commit. Answers are delivered on the loop in that order too, so that whoever keeps a cache hears of a write before it
is handed rows that were read after it.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import outcome
import structlog
import trio

from supervisor.core.job import Claim, Job, NewJob, Outcome
from supervisor.errors import StokerError, StoreUnavailable
from supervisor.store.port import Store, Submitted

T = TypeVar("T")
log = structlog.get_logger("stoker.store")

LINGER = 0.004  # seconds; an outcome's commit must start within 10 ms
RETRY_EVERY = 0.5  # seconds between tries while outcomes are held

Recorded = Callable[[Sequence[Any], Sequence[bool]], None]
Found = Callable[[Sequence[Job | None], Sequence[str]], None]


class _Call(Generic[T]):
    """One verb on its way: `fn` runs on the store's thread, `done` on the loop once its effect is durable."""

    __slots__ = ("done", "error", "failed", "fn", "result", "task")

    def __init__(
        self,
        fn: Callable[[Store], T],
        done: Callable[[T], None] | None = None,
        failed: Callable[[], None] | None = None,
    ) -> None:
        self.fn = fn
        self.done = done
        self.failed = failed
        self.task: trio.lowlevel.Task | None = None
        self.result: T
        self.error: BaseException | None = None

    async def wait(self) -> T:
        """Cancelling the waiter does not take the call back: what was handed over is carried out."""
        self.task = trio.lowlevel.current_task()

        def abort(_: object) -> trio.lowlevel.Abort:
            self.task = None
            return trio.lowlevel.Abort.SUCCEEDED

        result: T = await trio.lowlevel.wait_task_rescheduled(abort)
        return result

    def deliver(self) -> None:
        if self.error is not None:
            if self.failed is not None:
                self.failed()
        elif self.done is not None:
            self.done(self.result)
        if self.task is not None:
            task, self.task = self.task, None
            answer = outcome.Value(self.result) if self.error is None else outcome.Error(self.error)
            trio.lowlevel.reschedule(task, answer)


class _Submit(_Call[list[Submitted]]):
    __slots__ = ("jobs", "now")

    def __init__(self, jobs: Sequence[NewJob], now: int, done: Callable[[list[Submitted]], None]) -> None:
        super().__init__(lambda store: store.submit(jobs, now), done)
        self.jobs = jobs
        self.now = now


class _Batch:
    __slots__ = ("claims", "gets", "outcomes", "reads", "submits", "tokens", "writes")

    def __init__(self) -> None:
        self.submits: list[_Submit] = []
        self.claims: list[Claim] = []
        self.outcomes: list[Outcome] = []
        self.tokens: list[Any] = []  # what `recorded` is told, one for each outcome
        self.gets: list[str] = []
        self.writes: list[_Call[Any]] = []
        self.reads: list[_Call[Any]] = []

    def add(self, other: "_Batch") -> None:
        for name in self.__slots__:
            getattr(self, name).extend(getattr(other, name))


class _Done:
    """A batch's answers, on their way back to the loop."""

    __slots__ = ("calls", "found", "gets", "oks", "reads", "tokens")

    def __init__(self) -> None:
        self.calls: list[_Call[Any]] = []
        self.tokens: list[Any] = []
        self.oks: list[bool] = []
        self.gets: list[str] = []
        self.found: list[Job | None] = []
        self.reads: list[_Call[Any]] = []


class Committer:
    """`recorded(tokens, oks)` hears of outcomes that are on disk, `found(jobs, ids)` of the jobs asked for with them.

    `failing` is the reason why the store cannot commit, or None; `on_failing` is called when it changes.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: SimpleQueue[_Batch | None] = SimpleQueue()
        self._next = _Batch()
        self._riding = trio.Event()
        self._ended = trio.Event()
        self._crash: BaseException | None = None
        self._token: trio.lowlevel.TrioToken
        self._held = _Batch()  # the thread's own: claims and outcomes that would not go to the disk yet
        self._reported: str | None = None  # the thread's own
        self.failing: str | None = None
        self.recorded: Recorded = lambda tokens, oks: None
        self.found: Found = lambda jobs, ids: None
        self.on_failing: Callable[[str | None], None] = lambda reason: None
        self.commits = 0

    # -- the loop's side -------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the thread, flush what rides, return after `close` when everything is on disk and the store closed."""
        self._token = trio.lowlevel.current_trio_token()
        threading.Thread(target=self._thread, name="stoker-store", daemon=True).start()
        task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._flush_riders)
            await self._ended.wait()
            nursery.cancel_scope.cancel()
        if self._crash is not None:
            raise self._crash

    async def _flush_riders(self) -> None:
        while True:
            await self._riding.wait()
            await trio.sleep(LINGER)
            self._riding = trio.Event()
            if self._next.claims or self._next.outcomes:
                self._flush()

    def _flush(self) -> None:
        batch, self._next = self._next, _Batch()
        self._queue.put(batch)

    def close(self) -> None:
        """Everything handed over so far is still carried out; then `run` returns."""
        self._flush()
        self._queue.put(None)

    def claim(self, claim: Claim) -> None:
        self._next.claims.append(claim)
        if not self._riding.is_set():
            self._riding.set()

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

    async def submit(
        self, jobs: Sequence[NewJob], now: int, done: Callable[[list[Submitted]], None]
    ) -> list[Submitted]:
        """`done` is called on the loop when they are on disk, also if the caller has gone away meanwhile."""
        call = _Submit(jobs, now, done)
        self._next.submits.append(call)
        self._flush()
        return await call.wait()

    async def write(self, fn: Callable[[Store], T], done: Callable[[T], None] | None = None) -> T:
        """Any other verb, in a transaction with others; returns its answer once that is durable."""
        call = _Call(fn, done)
        self._next.writes.append(call)
        self._flush()
        return await call.wait()

    async def read(self, fn: Callable[[Store], T]) -> T:
        """A read that sees everything handed over before it, claims and outcomes included."""
        call = _Call(fn)
        self._next.reads.append(call)
        self._flush()
        return await call.wait()

    def read_soon(self, fn: Callable[[Store], T], done: Callable[[T], None], failed: Callable[[], None]) -> None:
        """The same without waiting; one of the two is called on the loop."""
        self._next.reads.append(_Call(fn, done, failed))
        self._flush()

    async def settle(self) -> None:
        """Return when everything handed over so far is on disk (or held, while the store is failing)."""
        await self.read(lambda store: None)

    def _deliver(self, done: _Done) -> None:
        self.commits += 1
        for call in done.calls:
            call.deliver()
        if done.tokens:
            self.recorded(done.tokens, done.oks)
        if done.gets:
            self.found(done.found, done.gets)
        for call in done.reads:
            call.deliver()

    def _set_failing(self, reason: str | None) -> None:
        self.failing = reason
        self.on_failing(reason)

    # -- the thread's side -----------------------------------------------------------------------------------------

    def _thread(self) -> None:
        try:
            while (batch := self._take()) is not None:
                self._play(batch)
            self._play(_Batch())
            self._store.close()
        except BaseException as crash:
            self._crash = crash
        with contextlib.suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._ended.set)

    def _take(self) -> _Batch | None:
        """Everything that waits, as one batch (an empty one, while failing, to try again); None: closed."""
        try:
            batch = self._queue.get(timeout=RETRY_EVERY if self._reported is not None else None)
        except Empty:
            return _Batch()
        if batch is None:
            return None
        while True:
            try:
                more = self._queue.get_nowait()
            except Empty:
                return batch
            if more is None:
                self._queue.put(None)
                return batch
            batch.add(more)

    def _play(self, batch: _Batch) -> None:
        if self._held.claims or self._held.outcomes:
            held, self._held = self._held, _Batch()
            held.add(batch)
            batch = held
        done = _Done()
        try:
            self._write(batch, done)
            self._report(None)
        except StoreUnavailable as reason:
            done = self._write_in_parts(batch, reason)
        except Exception as bug:
            log.error("store_batch_failed", exc_info=bug)
            done = self._write_in_parts(batch, StoreUnavailable(f"the store failed unexpectedly: {bug}"))
        self._read(batch, done)
        self._token.run_sync_soon(self._deliver, done)

    def _write(self, batch: _Batch, done: _Done) -> None:
        """The whole batch in one transaction, or nothing."""
        if self._reported is None and not (batch.submits or batch.claims or batch.outcomes or batch.writes):
            return
        store = self._store
        store.begin()
        try:
            if self._reported is not None:
                store.touch(time.time_ns() // 1000)
            _submit_all(store, batch.submits)
            oks: list[bool] = []
            if batch.claims or batch.outcomes:
                claimed, oks = store.record(batch.claims, batch.outcomes)
                if not all(claimed):
                    refused = [claim.seq for claim, ok in zip(batch.claims, claimed, strict=True) if not ok]
                    log.error("claim_refused", seqs=refused)
            for call in batch.writes:
                call.result = call.fn(store)
            store.commit()
        except BaseException:
            store.rollback()
            raise
        done.calls = [*batch.submits, *batch.writes]
        done.tokens = batch.tokens
        done.oks = oks

    def _write_in_parts(self, batch: _Batch, reason: StoreUnavailable) -> _Done:
        """The batch did not go through: outcomes have precedence and are kept until they do, everything else is tried
        alone, so that one call's failure is not another's, and refused if it fails again."""
        done, part = _Done(), _Batch()
        part.claims, part.outcomes, part.tokens, part.gets = batch.claims, batch.outcomes, batch.tokens, batch.gets
        failing: str | None = None
        if part.claims or part.outcomes:
            try:
                self._write(part, done)
            except Exception as error:
                failing = _reason(error)
                self._held = part
                batch.gets = []
        for call in [*batch.submits, *batch.writes]:
            alone = _Batch()
            if isinstance(call, _Submit):
                alone.submits.append(call)
            else:
                alone.writes.append(call)
            try:
                if failing is not None:
                    raise reason
                self._write(alone, _Done())
            except StoreUnavailable as error:
                failing = _reason(error)
                call.error = StoreUnavailable(error.message)
            except Exception as error:
                call.error = error
            done.calls.append(call)
        self._report(failing)
        return done

    def _read(self, batch: _Batch, done: _Done) -> None:
        if batch.gets:
            try:
                done.found = self._store.get(batch.gets)
                done.gets = batch.gets
            except StokerError as error:
                self._report(_reason(error))
        for call in batch.reads:
            try:
                call.result = call.fn(self._store)
            except Exception as error:
                call.error = error
            done.reads.append(call)

    def _report(self, reason: str | None) -> None:
        if reason != self._reported:
            self._reported = reason
            self._token.run_sync_soon(self._set_failing, reason)


def _submit_all(store: Store, submits: list[_Submit]) -> None:
    """All waiting submits in one verb; each gets its own slice of the answers."""
    if len(submits) < 2:
        for one in submits:
            one.result = store.submit(one.jobs, one.now)
        return
    answers = store.submit([job for one in submits for job in one.jobs], max(one.now for one in submits))
    start = 0
    for one in submits:
        one.result = answers[start : start + len(one.jobs)]
        start += len(one.jobs)


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, StokerError) else str(error)
