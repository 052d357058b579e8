"""The committer's other half: the thread that owns the store, and plays batches into it."""

import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import Any

import structlog

from supervisor.errors import StokerError, StoreUnavailable
from supervisor.store.batch import Answers, Batch, Call, ClaimFirst, Submit
from supervisor.store.limits import admitted
from supervisor.store.port import Store

log = structlog.get_logger("stoker.store")

RETRY_EVERY = 0.5  # seconds between tries while the store is failing


class Writer:
    """Takes batches from `queue` until it finds None there. `deliver` takes answers to the loop; `report` is told the
    reason when the store begins to fail, and None when it has recovered."""

    def __init__(
        self,
        store: Store,
        queue: "SimpleQueue[Batch | None]",
        deliver: Callable[[Answers], None],
        report: Callable[[str | None], None],
        limits: Callable[[], Mapping[str, int]],
    ) -> None:
        self._store = store
        self._queue = queue
        self._deliver = deliver
        self._tell = report
        self._limits = limits
        self._held = Batch()  # claims and outcomes that would not go to the disk yet, and reads owed to waiters
        self._reported: str | None = None
        self.playing = Batch()  # what would be left unanswered if this thread died now

    def run(self) -> None:
        """Returns when everything is on disk and the store is closed."""
        while (batch := self._take()) is not None:
            self._play(batch)
        self._play(Batch())
        if self._held.outcomes:
            log.error("outcomes_not_recorded", jobs=len(self._held.outcomes), reason=self._reported)
        self._store.close()

    def _take(self) -> Batch | None:
        """Everything that waits, as one batch (an empty one, while failing, to try again); None: closed."""
        try:
            batch = self._queue.get(timeout=RETRY_EVERY if self._reported is not None else None)
        except Empty:
            return Batch()
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

    def _play(self, batch: Batch) -> None:
        self.playing = batch
        if self._held.claims or self._held.outcomes or self._held.gets:
            held, self._held = self._held, Batch()
            held.add(batch)
            batch = held
        done = Answers()
        try:
            self._write(batch, done)
            self._report(None)
        except StoreUnavailable as reason:
            done = self._write_in_parts(batch, reason)
        except Exception as bug:
            log.error("store_batch_failed", exc_info=bug)
            done = self._write_in_parts(batch, StoreUnavailable(f"the store failed unexpectedly: {bug}"))
        self._read(batch, done)
        self._deliver(done)
        self.playing = Batch()
        self._store.tidy()

    def _write(self, batch: Batch, done: Answers) -> None:
        """The whole batch in one transaction, or nothing."""
        if self._reported is None and not (
            batch.submits or batch.claims or batch.outcomes or batch.writes or batch.firsts
        ):
            return
        store = self._store
        store.begin()
        try:
            if self._reported is not None:
                store.touch(time.time_ns() // 1000)
            oks: list[bool] = []
            # First, so that what has left a queue counts no more when a submit asks for room in it.
            if batch.claims or batch.outcomes:
                claimed, oks = store.record(batch.claims, batch.outcomes)
                if not all(claimed):
                    refused = [claim.seq for claim, ok in zip(batch.claims, claimed, strict=True) if not ok]
                    log.error("claim_refused", seqs=refused)
            if batch.firsts:
                _claim_all(store, batch.firsts)
            _submit_all(store, admitted(store, batch.submits, self._limits()))
            for call in batch.writes:
                call.result = call.fn(store)
            store.commit()
        except BaseException:
            store.rollback()
            raise
        done.submits, done.firsts, done.writes = batch.submits, batch.firsts, batch.writes
        done.tokens, done.oks = batch.tokens, oks

    def _write_in_parts(self, batch: Batch, reason: StoreUnavailable) -> Answers:
        """The batch did not go through: outcomes have precedence and are kept until they do, everything else is tried
        alone, so that one call's failure is not another's, and refused if it fails again."""
        done, part = Answers(), Batch()
        part.claims, part.outcomes, part.tokens, part.gets = batch.claims, batch.outcomes, batch.tokens, batch.gets
        calls: list[Call[Any]] = [*batch.submits, *batch.firsts, *batch.writes]
        failing: str | None = None
        if not (part.claims or part.outcomes or calls):  # it was to find out whether commits work again
            failing = reason.message
        elif part.claims or part.outcomes:
            try:
                self._write(part, done)
            except Exception as error:
                failing = _reason(error)
                self._held = part
                batch.gets = []
        done.submits, done.firsts, done.writes = batch.submits, batch.firsts, batch.writes
        for call in calls:
            try:
                if failing is not None:
                    raise reason
                self._write(_alone(call), Answers())
            except StoreUnavailable as error:
                failing = _reason(error)
                call.error = StoreUnavailable(error.message)
            except Exception as error:
                call.error = error
                if isinstance(call, ClaimFirst):  # its job is given out again as soon as the store does not fail
                    failing = _reason(error)
        self._report(failing)
        return done

    def _read(self, batch: Batch, done: Answers) -> None:
        if batch.gets:
            try:
                done.found = self._store.get(batch.gets)
                done.gets = batch.gets
            except StoreUnavailable as error:
                self._held.gets += batch.gets
                self._report(error.message)
        for call in batch.reads:
            try:
                call.result = call.fn(self._store)
            except Exception as error:
                call.error = error
                if call.failed is not None:  # nobody waits who would be told the reason
                    log.error("store_read_failed", reason=str(error), exc_info=not isinstance(error, StokerError))
            done.reads.append(call)

    def _report(self, reason: str | None) -> None:
        if reason != self._reported:
            self._reported = reason
            self._tell(reason)


def _submit_all(store: Store, submits: list[Submit]) -> None:
    """All waiting submits in one verb; each gets its own slice of the answers."""
    if len(submits) < 2:
        for one in submits:
            one.result = store.submit(one.jobs, one.now)
        return
    # Between two of them the clock may have been set back: a delay is not over for it.
    answers = store.submit([job for one in submits for job in one.jobs], min(one.now for one in submits))
    start = 0
    for one in submits:
        one.result = answers[start : start + len(one.jobs)]
        start += len(one.jobs)


def _claim_all(store: Store, firsts: list[ClaimFirst]) -> None:
    claimed, _ = store.record([one.claim for one in firsts], [])
    for one, ok in zip(firsts, claimed, strict=True):
        one.result = ok


def _alone(call: Call[Any]) -> Batch:
    alone = Batch()
    if isinstance(call, Submit):
        alone.submits.append(call)
    elif isinstance(call, ClaimFirst):
        alone.firsts.append(call)
    else:
        alone.writes.append(call)
    return alone


def _reason(error: Exception) -> str:
    return error.message if isinstance(error, StokerError) else str(error)
