"""What is on the imaginary disk, and what can be said of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from supervisor.core.identity import Holder
from supervisor.core.job import Job, NewJob, Rank, State
from supervisor.core.journal import Extent, JobEvent, Kind


@dataclass
class Tables:
    """One version of everything. A transaction works on a copy; rows are never changed in place, only replaced."""

    jobs: dict[int, Job] = field(default_factory=dict)
    seqs: dict[str, int] = field(default_factory=dict)  # by id
    keys: dict[tuple[str, str], int] = field(default_factory=dict)
    later: set[int] = field(default_factory=set)  # pending, and not promoted yet
    paused: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    events: list[JobEvent] = field(default_factory=list)
    epoch: int = 0

    def copy(self) -> "Tables":
        return Tables(
            jobs=dict(self.jobs),
            seqs=dict(self.seqs),
            keys=dict(self.keys),
            later=set(self.later),
            paused=set(self.paused),
            silent=set(self.silent),
            events=list(self.events),
            epoch=self.epoch,
        )

    def tell(self, kind: Kind, job: Job, at: int, **more: Any) -> None:
        """Add to the journal what happened to this job."""
        if job.queue not in self.silent:
            n = self.extent.last + 1
            event = JobEvent(n=n, at=at, job=job.id, queue=job.queue, kind=kind, attempt=job.attempt, **more)
            self.events.append(event)

    @property
    def extent(self) -> Extent:
        return Extent(self.events[0].n, self.events[-1].n) if self.events else Extent(1, 0)

    def by_id(self, job_id: str) -> Job | None:
        seq = self.seqs.get(job_id)
        return None if seq is None else self.jobs[seq]

    def earlier(self, new: NewJob) -> tuple[Job, Holder] | None:
        """The job that `new` meets."""
        seq = None if new.key is None else self.keys.get((new.client or "", new.key))
        job = self.holder(new.queue, new.unique) if seq is None else self.jobs[seq]
        return None if job is None else (job, Holder(job.id, job.state, by_key=seq is not None))

    def holder(self, queue: str, unique: str | None) -> Job | None:
        """The pending or running job of the queue that holds this `unique`."""
        if unique is None:
            return None
        scope = (queue, unique)
        return next(
            (job for job in self.jobs.values() if (job.queue, job.unique) == scope and not job.state.final), None
        )

    def due(self, queue: str) -> list[Job]:
        """In claim order."""
        found = (job for job in self.of(queue, State.PENDING) if job.seq not in self.later)
        return sorted(found, key=rank)

    def waiting(self, queue: str) -> list[Job]:
        """The pending rest, in the order in which they become due."""
        found = (job for job in self.of(queue, State.PENDING) if job.seq in self.later)
        return sorted(found, key=lambda job: (self.wake_at(job) or 0, job.seq))

    def of(self, queue: str, state: State) -> Iterator[Job]:
        return (job for job in self.jobs.values() if job.queue == queue and job.state is state)

    def wake_at(self, job: Job) -> int | None:
        """When the clock must look at this job."""
        if job.state is not State.PENDING:
            return None
        instants = [job.run_at] if job.seq in self.later else []
        if job.expires_at is not None:
            instants.append(job.expires_at)
        return min(instants, default=None)

    def waking(self) -> Iterator[tuple[int, int]]:
        """When, and the seq of which job."""
        for job in self.jobs.values():
            at = self.wake_at(job)
            if at is not None:
                yield at, job.seq


@dataclass
class Disk:
    """What survives a crash: hand it to the next MemoryStore. A commit is the one assignment to `committed`."""

    committed: Tables = field(default_factory=Tables)
    last_seq: int = 0  # outside of transactions: a seq is never given twice


def rank(job: Job) -> Rank:
    return Rank(-job.priority, job.seq)
