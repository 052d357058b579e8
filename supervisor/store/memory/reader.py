"""Lists, positions and counts of what is committed."""

import itertools
from collections.abc import Sequence

from msgspec.structs import replace

from supervisor.core.job import Cause, Job, State
from supervisor.core.journal import EVERY, Extent, JobEvent, Wanted, begin
from supervisor.store.memory.disk import Disk, Tables
from supervisor.store.port import EVENTS_LOOKED_AT, PAGE_BYTES, EventPage, Filter, Found, Page, Position, QueueCounts


class MemoryReader:
    """port.Reader. Each call looks at one version of the tables, whatever is committed meanwhile."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def get(self, job_id: str) -> Job | None:
        job = self._disk.committed.by_id(job_id)
        return None if job is None else replace(job)

    def list(self, want: Filter, *, limit: int, before: int | None, full: bool) -> Page:
        jobs = self._disk.committed.jobs
        matching = [job for job in reversed(jobs.values()) if matches(job, want)]
        rest = [job for job in matching if before is None or job.seq < before]
        page = rest[:limit]
        if full:
            page = page[: _fitting(page)]
        next_seq = page[-1].seq if len(page) < len(rest) else None
        if not full:
            page = [_head(job) for job in page]
        return Page(jobs=tuple(page), total=len(matching), next_seq=next_seq)

    def find(self, want: Filter, *, limit: int, before: int | None) -> Found:
        jobs = reversed(self._disk.committed.jobs.values())
        rest = [job for job in jobs if matches(job, want) and (before is None or job.seq < before)]
        found = rest[:limit]
        return Found(ids=tuple(job.id for job in found), next_seq=found[-1].seq if len(found) < len(rest) else None)

    def heads(self, seqs: Sequence[int]) -> Sequence[Job]:
        jobs = self._disk.committed.jobs
        return [_head(jobs[seq]) for seq in seqs if seq in jobs]

    def clients(self, prefix: str) -> Sequence[str]:
        clients = {job.client for job in self._disk.committed.jobs.values()}
        return sorted(client for client in clients if client is not None and client.startswith(prefix))

    def position(self, job_id: str) -> Position | None:
        tables = self._disk.committed
        job = tables.by_id(job_id)
        if job is None:
            return None
        if job.state.final:
            return Position(ahead=0, active=0)
        line = [*tables.of(job.queue, State.RUNNING), *tables.due(job.queue), *tables.waiting(job.queue)]
        ahead = 0 if job.state is State.RUNNING else line.index(job)
        return Position(ahead=ahead, active=len(line))

    def counts(self) -> tuple[QueueCounts, ...]:
        tables = self._disk.committed
        names = {job.queue for job in tables.jobs.values()} | tables.paused
        return tuple(_count(tables, name) for name in sorted(names))

    def events(self, after: int | None, *, limit: int, want: Wanted = EVERY) -> EventPage:
        tables = self._disk.committed
        place = begin(tables.extent, after)
        seen = [event for event in tables.events if place < event.n <= place + EVENTS_LOOKED_AT]
        page = [event for event in seen if _is_wanted(event, want)][:limit]
        last = page[-1].n if len(page) == limit else max(place, seen[-1].n if seen else 0)
        return EventPage(events=tuple(page), last=last, more=last < tables.extent.last)

    def extent(self) -> Extent:
        return self._disk.committed.extent

    def close(self) -> None:
        pass


def _head(job: Job) -> Job:
    return replace(job, payload=None, result=None, attempts=())


def _count(tables: Tables, queue: str) -> QueueCounts:
    due = tables.due(queue)
    return QueueCounts(
        queue=queue,
        due=len(due),
        oldest_pending_at=min((job.run_at for job in due), default=None),
        paused=queue in tables.paused,
        **{state.value: sum(1 for _ in tables.of(queue, state)) for state in State},
    )


def _fitting(page: list[Job]) -> int:
    """How many of the first an answer may hold, at least one."""
    sizes = itertools.accumulate(len(job.payload or b"") + len(job.result or b"") for job in page)
    return max(1, sum(size <= PAGE_BYTES for size in sizes))


def matches(job: Job, want: Filter) -> bool:
    return (
        (want.queue is None or job.queue == want.queue)
        and (not want.states or job.state in want.states)
        and (want.tag is None or want.tag in job.tags)
        and (want.client is None or job.client == want.client)
        and (want.name is None or job.name == want.name)
        and (want.cause is None or _ended_with(job, want.cause))
        and _within(job.created_at, want.created_after, want.created_before)
        and _within(job.finished_at, want.finished_after, want.finished_before)
    )


def _ended_with(job: Job, cause: Cause) -> bool:
    ended = State.CANCELLED if cause is Cause.REPLACED else State.FAILED
    return job.state is ended and job.error is not None and job.error.cause is cause


def _within(instant: int | None, after: int | None, before: int | None) -> bool:
    if instant is None:
        return after is None and before is None
    return (after is None or instant >= after) and (before is None or instant < before)


def _is_wanted(event: JobEvent, want: Wanted) -> bool:
    return (
        want.job in (None, event.job)
        and want.queue in (None, event.queue)
        and (not want.kinds or event.kind in want.kinds)
        and (want.sight is None or want.sight.shows(event.queue))
    )
