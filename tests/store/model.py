"""What a store should hold, said once more and independently: the model that the state machine compares with."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from supervisor.core.job import Cause, NewJob, OnConflict, Outcome, State
from supervisor.core.journal import Kind
from supervisor.core.retention import Keep

LIVE = (State.PENDING, State.RUNNING)
# kind, at, attempt, run_at, cause, progress
Told = tuple[Kind, int, int, int | None, Cause | None, bytes | None]


@dataclass
class ModelJob:
    new: NewJob
    seq: int
    state: State
    due: bool
    run_at: int
    expires_at: int | None
    finished_at: int | None = None
    attempt: int = 0
    charged: int = 0
    interruptions: int = 0
    result: bytes | None = None
    progress: bytes | None = None
    cause: Cause | None = None  # of the last attempt's error
    failed: list[int] = field(default_factory=list)  # numbers of failed attempts

    @property
    def wake_at(self) -> int | None:
        if self.state is not State.PENDING:
            return None
        instants = (None if self.due else self.run_at, self.expires_at)
        return min((at for at in instants if at is not None), default=None)


@dataclass
class Model:
    jobs: dict[str, ModelJob] = field(default_factory=dict)
    seqs: set[int] = field(default_factory=set)  # of every job there ever was
    paused: set[str] = field(default_factory=set)
    epoch: int = 1
    silent: set[str] = field(default_factory=set)
    told: dict[str, list[Told]] = field(default_factory=dict)  # what the journal was told of each job, in order
    events: int = 0  # how many that is
    trimmed: int = 0  # and of how many of them nothing is left

    def tell(
        self,
        job: ModelJob,
        kind: Kind,
        at: int,
        run_at: int | None = None,
        cause: Cause | None = None,
        progress: bytes | None = None,
    ) -> None:
        if job.new.queue not in self.silent:
            self.events += 1
            self.told.setdefault(job.new.id, []).append((kind, at, job.attempt, run_at, cause, progress))

    def keyed(self, new: NewJob) -> ModelJob | None:
        """The job that has its key."""
        for job in self.jobs.values():
            if new.key is not None and (job.new.client, job.new.key) == (new.client, new.key):
                return job
        return None

    def holder(self, queue: str, unique: str | None) -> ModelJob | None:
        for job in self.jobs.values():
            if unique is not None and (job.new.queue, job.new.unique) == (queue, unique) and job.state in LIVE:
                return job
        return None

    def replaceable(self, new: NewJob) -> ModelJob | None:
        """The job whose place `new` takes."""
        holder = self.holder(new.queue, new.unique)
        waits = holder is not None and holder.state is State.PENDING
        return holder if waits and new.on_conflict is OnConflict.REPLACE and self.keyed(new) is None else None

    def submit(self, new: NewJob, seq: int, now: int) -> None:
        old = self.replaceable(new)
        if old is not None:
            old.state, old.finished_at, old.cause = State.CANCELLED, now, Cause.REPLACED
            self.tell(old, Kind.CANCELLED, now, None, Cause.REPLACED)
        self.seqs.add(seq)
        due = new.run_at <= max(now, new.created_at)
        job = self.jobs[new.id] = ModelJob(new, seq, State.PENDING, due, new.run_at, new.expires_at)
        self.tell(job, Kind.SUBMITTED, now, None if due else new.run_at)

    def finish(self, job: ModelJob, outcome: Outcome) -> None:
        job.state = outcome.state
        job.charged = outcome.charged
        job.result = outcome.result
        job.progress = outcome.progress
        job.cause = None if outcome.error is None else outcome.error.cause
        if outcome.error is not None:
            job.failed = [*job.failed, outcome.attempt][-20:]
        if outcome.state is State.PENDING:
            job.run_at = outcome.finished_at if outcome.run_at is None else outcome.run_at
            job.due = job.run_at <= outcome.finished_at
        else:
            job.finished_at = outcome.finished_at
        self.tell_of_outcome(job, outcome)

    def tell_of_outcome(self, job: ModelJob, outcome: Outcome) -> None:
        cause = None if outcome.error is None else outcome.error.cause
        match outcome.state:
            case State.PENDING:
                kind = Kind.RELEASED if cause is None else Kind.RETRYING
                self.tell(job, kind, outcome.finished_at, job.run_at, cause)
            case State.DONE:
                self.tell(job, Kind.DONE, outcome.finished_at)
            case state:
                self.tell(job, Kind(state), outcome.finished_at, None, cause)

    def recover(self, now: int, most: int, not_again: Collection[str] = ()) -> None:
        self.epoch += 1
        for job in self.in_state(State.RUNNING):
            job.interruptions += 1
            if job.interruptions < most and job.new.queue not in not_again:
                job.state, job.due, job.run_at = State.PENDING, True, now
                self.tell(job, Kind.INTERRUPTED, now)
            else:
                job.state, job.cause = State.FAILED, Cause.INTERRUPTED
                job.failed = [*job.failed, job.attempt][-20:]
                job.finished_at = now
                self.tell(job, Kind.FAILED, now, None, Cause.INTERRUPTED)

    def change(self, verb: str, job: ModelJob, now: int) -> bool:
        """Cancel, retry or delete; whether it may be."""
        match verb:
            case "cancel" if job.state is State.PENDING:
                job.state, job.finished_at = State.CANCELLED, now
                self.tell(job, Kind.CANCELLED, now)
            case "delete" if job.state is not State.RUNNING:
                del self.jobs[job.new.id]
                self.tell(job, Kind.DELETED, now)
            case "retry" if self.retriable(job):
                job.state, job.due, job.run_at, job.expires_at = State.PENDING, True, now, None
                job.finished_at = None
                job.charged = job.interruptions = 0
                job.result = job.progress = job.cause = None
                self.tell(job, Kind.RETRIED, now)
            case _:
                return False
        return True

    def retriable(self, job: ModelJob) -> bool:
        return job.state not in (*LIVE, State.DONE) and self.holder(job.new.queue, job.new.unique) is None

    def in_state(self, *states: State) -> list[ModelJob]:
        return [job for job in self.jobs.values() if job.state in states]

    def ready(self, queue: str) -> list[str]:
        due = [job for job in self.in_state(State.PENDING) if job.due and job.new.queue == queue]
        return [job.new.id for job in sorted(due, key=lambda job: (-job.new.priority, job.seq))]

    def outlived(self, keep: Keep) -> list[ModelJob]:
        """Which jobs of a queue and state it does not keep."""
        found = [job for job in self.in_state(keep.state) if job.new.queue == keep.queue]
        newest_first = sorted(found, key=lambda job: (job.finished_at, job.seq), reverse=True)
        before_a_step_back = [job for job in newest_first if job.finished_at > keep.now]
        newest_first = [job for job in newest_first if job.finished_at <= keep.now] + before_a_step_back
        beyond = [] if keep.most is None else newest_first[keep.most :]
        return [job for job in found if job in beyond or (keep.since is not None and job.finished_at <= keep.since)]

    def next_at(self) -> int | None:
        return min(self.waking(), default=None)

    def waking(self) -> Iterable[int]:
        return [job.wake_at for job in self.jobs.values() if job.wake_at is not None]
