"""From the ends of a batch's jobs to records in its files.

The order makes it exact: records are on disk before status.json says so, and status.json before a job is deleted from
the store. Whatever is cut off in between, the next start finds a line answered, or its job, or neither and hands it
over again; never two records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import trio
from msgspec.structs import replace

from supervisor.batch.book import Book
from supervisor.batch.doomed import Doomed
from supervisor.batch.surroundings import Surroundings
from supervisor.batch.tracking import IN_ITS_PAYLOAD, Ending, Group, Sent, Tracking, ending_of
from supervisor.batch.words import BatchState, Counts, Status
from supervisor.core.job import Job, State
from supervisor.errors import StoreUnavailable
from supervisor.lines.line import parse
from supervisor.lines.records import error_record, refusal_record, result_record
from supervisor.store.port import Store

T = TypeVar("T")

EVERY = 0.1  # seconds from one group of records to the next, while more of them come
AGAIN = 1.0  # seconds between two tries while the disk takes nothing
FLUSH = 5.0  # seconds that a stop waits for the disk
FAR = 4  # results that are asked of the store at a time: each may be as large as a worker's line

CANCELLED = "the job of this line was cancelled"
EXPIRED = "the job of this line did not begin in time"
LONGEST = 2**63  # of a payload that was accepted once
DELETED = "somebody has deleted the job of this line before its end was written down"


class Written(NamedTuple):
    """Records as they are appended, and what they count for."""

    output: bytes
    errors: bytes
    completed: int
    failed: int
    cancelled: int


def written(endings: Iterable[Ending]) -> Written:
    """In a thread: thousands of them take a while."""
    output: list[bytes] = []
    errors: list[bytes] = []
    cancelled = 0
    for one in endings:
        if one.state is State.DONE:
            output.append(result_record(one.number, one.custom_id, one.result or b"null"))
            continue
        cause, message = _refusal(one)
        if cause == "cancelled":
            cancelled += 1
        if cause or one.error is None:
            errors.append(refusal_record(one.number, one.custom_id, cause, message))
        else:
            errors.append(error_record(one.number, one.custom_id, one.error))
    failed = len(errors) - cancelled
    return Written(b"".join(output), b"".join(errors), len(output), failed, cancelled)


def _refusal(one: Ending) -> tuple[str, str]:
    """Why a line has no result where no job of it has failed."""
    if one.cause:
        return one.cause, one.message
    if one.state is State.CANCELLED:
        return "cancelled", one.error.message if one.error is not None else CANCELLED
    if one.state is State.EXPIRED:
        return "expired", EXPIRED
    if one.state is None:
        return "deleted", DELETED
    return "", ""


class Collecting:
    """`book` is the batch's folder. What the disk does not take is tried again until it does."""

    def __init__(self, around: Surroundings, book: Book, tracking: Tracking) -> None:
        self.waiting: str | None = None  # what the disk says, or the store
        self._around = around
        self._book = book
        self._tracking = tracking
        self._doomed = Doomed(around)
        self._last = float("-inf")  # of the last group, in the loop's time
        self._stopping = False

    async def run(self) -> None:
        """Until the batch is final, on disk."""
        while not self._book.status.state.final:
            await self._tracking.news.wait()
            if not self._stopping:  # a group of records costs as much as one
                with trio.move_on_at(self._last + EVERY):
                    await self._tracking.hurry.wait()
            await self._write_down(self._tracking.collect())
            self._last = trio.current_time()
            self._tracking.wrote()

    async def clear(self) -> None:
        """None of its jobs is left in the store when this returns."""
        await self._doomed.gone()

    async def flush(self) -> None:
        """What has ended by now is on disk when this returns, if the disk takes it soon: the next start has it else."""
        self._stopping = True
        self._tracking.hurry.set()
        with trio.move_on_after(FLUSH):
            while not self._tracking.at_rest and not self._book.status.state.final:
                await self._tracking.written.wait()

    async def _write_down(self, group: Group) -> None:
        counts = self._book.status.counts
        ids = [*group.over, *group.far]
        for part in _parts(group):
            endings = part if isinstance(part, list) else await self._tried(partial(self._fetch, part))
            new = await self._tried(partial(self._around.in_thread, written, endings))
            numbers = [one.number for one in endings]
            await self._tried(partial(self._book.append, new.output, new.errors, numbers))
            counts = _added(counts, new)
            ids += [one.job_id for one in endings if one.job_id is not None]
        await self._tried(partial(self._book.append, b"", b"", group.blanks))
        await self._tried(partial(self._book.write, partial(_brought_up, group, counts, self._around.now())))
        self._doomed.add(ids)

    async def _fetch(self, far: dict[str, Sent]) -> list[Ending]:
        jobs = await self._around.committer.read(partial(_get, ids=[*far]))
        while any(job is not None and not job.state.final for job in jobs):  # somebody had it run once more
            await trio.sleep(self._around.poll)
            jobs = await self._around.committer.read(partial(_get, ids=[*far]))
        return [
            ending_of(_identified(sent, job), job_id, job)
            for (job_id, sent), job in zip(far.items(), jobs, strict=True)
        ]

    async def _tried(self, what: Callable[[], Awaitable[T]]) -> T:
        while True:
            try:
                answer = await what()
            except StoreUnavailable as reason:
                self.waiting = reason.message
                await trio.sleep(AGAIN)
            else:
                self.waiting = None
                return answer


def _parts(group: Group) -> Iterator[list[Ending] | dict[str, Sent]]:
    """What is written one after the other: all that is here, then a few at a time of what the store has."""
    if group.endings:
        yield group.endings
    far = [*group.far.items()]
    for start in range(0, len(far), FAR):
        yield dict(far[start : start + FAR])


def _get(store: Store, ids: Sequence[str]) -> list[Job | None]:
    return store.get(ids)


def _identified(sent: Sent, job: Job | None) -> Sent:
    """With the custom_id of a line that an earlier life has handed over."""
    if sent.custom_id != IN_ITS_PAYLOAD:
        return sent
    payload = None if job is None else job.payload
    return sent._replace(
        custom_id=None if payload is None else parse(sent.number, payload, max_payload=LONGEST).custom_id
    )


def _added(counts: Counts, new: Written) -> Counts:
    return Counts(
        total=counts.total,
        completed=counts.completed + new.completed,
        failed=counts.failed + new.failed,
        cancelled=counts.cancelled + new.cancelled,
    )


def _brought_up(group: Group, counts: Counts, now: int, status: Status) -> Status:
    state, finished_at = status.state, status.finished_at
    if group.complete:
        state, finished_at = end_of(status, counts), now
    checkpoint = replace(status.checkpoint, number=group.place.number, offset=group.place.offset)
    return replace(
        status, state=state, counts=counts, finished_at=finished_at, updated_at=now, waiting=None, checkpoint=checkpoint
    )


def end_of(status: Status, counts: Counts) -> BatchState:
    """The final state of a batch whose lines are all answered."""
    if status.cancel_requested:
        return BatchState.CANCELLED
    return BatchState.FAILED if counts.failed or counts.cancelled else BatchState.COMPLETED
