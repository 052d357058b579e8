"""The writer's verbs, one job at a time."""

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Raw
from msgspec.structs import replace

from supervisor.core.identity import Holder, Meeting, meet, replaced
from supervisor.core.job import Attempt, Cause, Claim, Job, JobError, NewJob, Outcome, Progress, Rank, Ready, State
from supervisor.core.journal import Kind
from supervisor.core.keys import keys_of, lane_of
from supervisor.core.retention import Keep
from supervisor.errors import StoreUnavailable
from supervisor.store.memory.disk import Disk, Tables, rank
from supervisor.store.memory.reader import MemoryReader, matches
from supervisor.store.port import (
    KEPT_ATTEMPTS,
    NOT_AGAIN,
    Changed,
    Cut,
    Filter,
    Promoted,
    Recovered,
    Snapshot,
    Submitted,
    interrupted,
)


class MemoryStore:
    """port.Store. To crash is to drop it and to open another one on the same disk."""

    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = Disk() if disk is None else disk
        self._open: Tables | None = None

    @property
    def _seen(self) -> Tables:
        """What the open transaction sees, or else the last commit."""
        return self.disk.committed if self._open is None else self._open

    @property
    def _work(self) -> Tables:
        assert self._open is not None, "a verb that writes belongs between begin and commit"
        return self._open

    def begin(self) -> None:
        assert self._open is None
        self._open = self.disk.committed.copy()

    def commit(self) -> None:
        self.disk.committed = self._work
        self._open = None

    def rollback(self) -> None:
        self._open = None

    def tidy(self) -> None:
        pass

    def touch(self, now: int) -> None:
        assert self._work

    def recover(self, now: int, *, max_interruptions: int, not_again: Collection[str] = ()) -> Recovered:
        self.begin()
        work = self._work
        work.epoch += 1
        running = [job for job in work.jobs.values() if job.state is State.RUNNING]
        cut = []
        for job in running:
            job = replace(job, interruptions=job.interruptions + 1)
            if job.interruptions < max_interruptions and job.queue not in not_again:
                work.jobs[job.seq] = replace(job, state=State.PENDING, run_at=now)
                work.tell(Kind.INTERRUPTED, job, now)
                cut.append(Cut(job.id, job.queue, job.attempt, False))
            else:
                cut.append(Cut(job.id, job.queue, job.attempt, True))
                error = NOT_AGAIN if job.queue in not_again else interrupted(max_interruptions)
                attempts = _with_attempt(job, job.attempt, job.started_at or now, now, None, error)
                work.jobs[job.seq] = replace(job, state=State.FAILED, finished_at=now, error=error, attempts=attempts)
                work.tell(Kind.FAILED, job, now, cause=error.cause)
        self.commit()
        failed = sum(one.failed for one in cut)
        return Recovered(epoch=work.epoch, requeued=len(running) - failed, failed=failed, jobs=tuple(cut))

    def submit(self, jobs: Sequence[NewJob], now: int) -> list[Submitted]:
        answers = [self._submit(job, now) for job in jobs]
        gone = {answer.replaced for answer in answers}
        return [replace(one, state=State.CANCELLED, due=False) if one.id in gone else one for one in answers]

    def _submit(self, new: NewJob, now: int) -> Submitted:
        work = self._work
        earlier = work.earlier(new)
        old: str | None = None
        if earlier is not None:
            job, holder = earlier
            meeting = meet(new, holder)
            if meeting is not Meeting.TAKES_OVER:
                same = (job.queue, job.payload) == (new.queue, new.payload)
                refused = meeting is Meeting.REFUSED
                return Submitted(
                    seq=job.seq, id=job.id, created=False, state=job.state, due=False, same=same, refused=refused
                )
            self._end_pending(replace(job, error=replaced(new.id)), State.CANCELLED, now, Cause.REPLACED)
            old = job.id
        self.disk.last_seq += 1
        seq = self.disk.last_seq
        work.jobs[seq] = _born(new, seq)
        work.seqs[new.id] = seq
        if new.key is not None:
            work.keys[new.client or "", new.key] = seq
        due = new.due(now)
        if not due:
            work.later.add(seq)
        work.tell(Kind.SUBMITTED, work.jobs[seq], now, run_at=None if due else new.run_at)
        return Submitted(seq=seq, id=new.id, created=True, state=State.PENDING, due=due, replaced=old)

    def pending(self, queues: Collection[str]) -> dict[str, int]:
        return {queue: sum(1 for _ in self._seen.of(queue, State.PENDING)) for queue in queues}

    def holders(self, jobs: Sequence[NewJob]) -> Mapping[str, Holder]:
        return {job.id: earlier[1] for job in jobs if (earlier := self._seen.earlier(job)) is not None}

    def record(self, claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> tuple[list[bool], list[bool]]:
        return [self._claim(claim) for claim in claims], [self._finish(outcome) for outcome in outcomes]

    def _claim(self, claim: Claim) -> bool:
        work = self._work
        job = work.jobs.get(claim.seq)
        if job is None or job.state is not State.PENDING or job.attempt >= claim.attempt:
            return False
        job = replace(job, state=State.RUNNING, attempt=claim.attempt, started_at=claim.started_at)
        work.jobs[job.seq] = job
        work.later.discard(job.seq)
        work.tell(Kind.STARTED, job, claim.started_at)
        return True

    def _finish(self, outcome: Outcome) -> bool:
        work = self._work
        job = work.jobs.get(outcome.seq)
        if job is None or job.state is not State.RUNNING or job.attempt != outcome.attempt:
            return False
        job = replace(
            job,
            state=outcome.state,
            started_at=outcome.started_at,
            finished_at=outcome.finished_at,
            charged=outcome.charged,
            crashes=outcome.crashes,
            interruptions=outcome.interruptions,
            result=outcome.result,
            error=outcome.error,
            progress=outcome.progress,
        )
        if outcome.error is not None:
            attempts = _with_attempt(
                job, outcome.attempt, outcome.started_at, outcome.finished_at, outcome.pid, outcome.error
            )
            job = replace(job, attempts=attempts)
        if outcome.state is State.PENDING:
            run_at = outcome.finished_at if outcome.run_at is None else outcome.run_at
            job = replace(job, finished_at=None, run_at=run_at)
            if run_at > outcome.finished_at:
                work.later.add(job.seq)
        work.jobs[job.seq] = job
        cause = None if outcome.error is None else outcome.error.cause
        if outcome.state is State.PENDING:
            kind = Kind.RELEASED if outcome.error is None else Kind.RETRYING
            work.tell(kind, job, outcome.finished_at, run_at=job.run_at, cause=cause)
        else:
            # What went well in the end says nothing of a cause, whatever else the outcome carries.
            cause = None if outcome.state is State.DONE else cause
            work.tell(Kind(outcome.state.value), job, outcome.finished_at, cause=cause)
        return True

    def progress(self, reports: Sequence[Progress]) -> None:
        work = self._work
        for report in reports:
            job = work.jobs.get(report.seq)
            if job is not None and job.state is State.RUNNING and job.attempt == report.attempt:
                work.jobs[job.seq] = replace(job, progress=report.whole)
                work.tell(Kind.PROGRESS, job, report.at, progress=report.brief)

    def cancel(self, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
        def cancel(job: Job) -> Changed:
            if job.state is State.PENDING:
                self._end_pending(job, State.CANCELLED, now)
            return Changed(before=job.state, changed=job.state is State.PENDING, queue=job.queue)

        return self._each(job_ids, cancel, want)

    def _end_pending(self, job: Job, state: State, now: int, cause: Cause | None = None) -> None:
        self._work.jobs[job.seq] = replace(job, state=state, finished_at=now)
        self._work.later.discard(job.seq)
        self._work.tell(Kind(state.value), job, now, cause=cause)

    def retry(self, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
        def retry(job: Job) -> Changed:
            if not job.state.final or job.state is State.DONE:
                return Changed(before=job.state, changed=False, queue=job.queue)
            holder = self._work.holder(job.queue, job.unique)
            if holder is not None:
                return Changed(before=job.state, changed=False, queue=job.queue, conflict=holder.id)
            self._work.jobs[job.seq] = replace(
                job,
                state=State.PENDING,
                run_at=now,
                charged=0,
                crashes=0,
                interruptions=0,
                error=None,
                result=None,
                progress=None,
                finished_at=None,
                expires_at=None,
            )
            self._work.tell(Kind.RETRIED, job, now)
            return Changed(before=job.state, changed=True, queue=job.queue)

        return self._each(job_ids, retry, want)

    def delete(self, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
        def delete(job: Job) -> Changed:
            work = self._work
            if job.state is not State.RUNNING:
                del work.jobs[job.seq], work.seqs[job.id]
                work.later.discard(job.seq)
                if job.key is not None:
                    del work.keys[job.client or "", job.key]
                work.tell(Kind.DELETED, job, now)
            return Changed(before=job.state, changed=job.state is not State.RUNNING, queue=job.queue)

        return self._each(job_ids, delete, want)

    def _each(self, job_ids: Sequence[str], change: Callable[[Job], Changed], want: Filter | None) -> list[Changed]:
        return [self._one(self._work.by_id(job_id), change, want) for job_id in job_ids]

    def _one(self, job: Job | None, change: Callable[[Job], Changed], want: Filter | None) -> Changed:
        if job is None:
            return Changed(before=None, changed=False)
        if want is not None and not matches(job, want):
            return Changed(before=job.state, changed=False, queue=job.queue)
        return change(job)

    def outlived(self, keeps: Sequence[Keep], *, spare: Collection[str], limit: int) -> list[str]:
        found: dict[str, None] = {}
        for keep in keeps:
            ended = sorted(
                self._seen.of(keep.queue, keep.state), key=lambda job: keep.order(job.finished_at or 0, job.seq)
            )
            excess = 0 if keep.most is None else len(ended) - keep.most
            for place, job in enumerate(ended):
                old = keep.since is not None and (job.finished_at or 0) <= keep.since
                if (old or place < excess) and job.id not in spare:
                    found[job.id] = None
        return list(found)[:limit]

    def queues(self) -> list[str]:
        return sorted({job.queue for job in self._seen.jobs.values()} | self._seen.paused)

    def pause(self, queue: str, paused: bool) -> None:
        (self._work.paused.add if paused else self._work.paused.discard)(queue)

    def silence(self, queues: Collection[str]) -> None:
        self._work.silent = set(queues)

    def trim_events(self, *, before: int, most: int, limit: int) -> int:
        events = self._work.events
        last = self._work.extent.last
        old = [event.at < before or event.n <= last - most for event in events[:-1]]
        gone = min(limit, old.index(False) if False in old else len(old))
        del events[:gone]
        return gone

    def promote(self, now: int, limit: int) -> Promoted:
        work = self._work
        ripe = sorted((at, seq) for at, seq in self._seen.waking() if at <= now)
        expired: list[str] = []
        due: list[Job] = []
        for _, seq in ripe:
            job = work.jobs[seq]
            if job.expires_at is not None and job.expires_at <= now:
                if len(expired) < limit:
                    self._end_pending(job, State.EXPIRED, now)
                    expired.append(job.id)
            elif len(due) < limit:
                work.later.discard(seq)
                due.append(job)
        queues = {job.queue for job in due}
        return Promoted(queues=tuple(queues), expired=tuple(expired), next_at=self.next_at())

    def limit_keys(self, queues: Collection[str], after: int) -> int | None:
        assert self._work
        return None

    def lanes(self, queue: str, *, after: str | None, limit: int) -> list[tuple[str, Rank]]:
        firsts: dict[str, Rank] = {}
        for job in self._seen.due(queue):
            firsts.setdefault(_lane(job), rank(job))
        return [(lane, firsts[lane]) for lane in sorted(firsts) if after is None or lane > after][:limit]

    def lane_rows(
        self, queue: str, lanes: Sequence[tuple[str, Rank]], *, limit: int, max_bytes: int
    ) -> list[tuple[list[Ready], bool]]:
        found: list[tuple[list[Ready], bool]] = []
        room = max_bytes
        for lane, after in lanes:
            jobs = [job for job in self._seen.due(queue) if _lane(job) == lane and rank(job) > after]
            fitting: list[Ready] = []
            for job in jobs[:limit]:
                if room < 0:
                    break
                assert job.payload is not None
                room -= len(job.payload)
                fitting.append(_ready(job, job.payload))
            found.append((fitting, len(fitting) == len(jobs)))
            if room < 0:
                break
        return found

    def ready(self, queue: str, *, after: Rank | None, limit: int, max_bytes: int, lanes: bool = False) -> list[Ready]:
        found: list[Ready] = []
        room = max_bytes
        for job in self._seen.due(queue):
            if len(found) >= limit or room < 0:
                break
            if after is None or rank(job) > after:
                assert job.payload is not None
                room -= len(job.payload)
                found.append(_ready(job, job.payload))
        return found

    def get(self, job_ids: Sequence[str]) -> list[Job | None]:
        found = (self._seen.by_id(job_id) for job_id in job_ids)
        return [None if job is None else replace(job) for job in found]

    def states(self, job_ids: Sequence[str]) -> list[State | None]:
        found = (self._seen.by_id(job_id) for job_id in job_ids)
        return [None if job is None else job.state for job in found]

    def find(self, client: str, key: str) -> str | None:
        seq = self._seen.keys.get((client, key))
        return None if seq is None else self._seen.jobs[seq].id

    def paused(self) -> Collection[str]:
        return frozenset(self._seen.paused)

    def next_at(self) -> int | None:
        return min((at for at, _ in self._seen.waking()), default=None)

    def spare(self) -> int:
        return 0

    def size(self) -> int:
        return 0

    def snapshot(self) -> Snapshot:
        raise StoreUnavailable("this store is in memory alone, and has nothing to copy")

    def reader(self) -> MemoryReader:
        return MemoryReader(self.disk)

    def close(self) -> None:
        self.rollback()


def _born(new: NewJob, seq: int) -> Job:
    rate_key, concurrency_key = keys_of(new.lane)
    return Job(
        seq=seq,
        id=new.id,
        queue=new.queue,
        state=State.PENDING,
        payload=new.payload,
        result=None,
        error=None,
        attempt=0,
        max_attempts=new.max_attempts,
        backoff=new.backoff,
        timeout=new.timeout,
        priority=new.priority,
        run_at=new.run_at,
        created_at=new.created_at,
        started_at=None,
        finished_at=None,
        expires_at=new.expires_at,
        progress=None,
        client=new.client,
        key=new.key,
        unique=new.unique,
        name=new.name,
        tags=new.tags,
        charged=0,
        crashes=0,
        interruptions=0,
        rate_key=rate_key,
        concurrency_key=concurrency_key,
    )


def _lane(job: Job) -> str:
    return lane_of(job.rate_key, job.concurrency_key)


def _ready(job: Job, payload: bytes) -> Ready:
    return Ready(
        seq=job.seq,
        id=job.id,
        queue=job.queue,
        payload=Raw(payload),
        priority=job.priority,
        attempt=job.attempt,
        charged=job.charged,
        crashes=job.crashes,
        interruptions=job.interruptions,
        timeout=job.timeout,
        max_attempts=job.max_attempts,
        expires_at=job.expires_at,
        due_at=max(job.run_at, job.created_at),
        backoff=job.backoff,
        lane=_lane(job),
        unique=job.unique,
    )


def _with_attempt(
    job: Job, number: int, started_at: int, finished_at: int, pid: int | None, error: JobError
) -> tuple[Attempt, ...]:
    attempt = Attempt(attempt=number, started_at=started_at, finished_at=finished_at, pid=pid, error=error)
    return (*job.attempts, attempt)[-KEPT_ATTEMPTS:]
