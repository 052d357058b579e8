"""The feeder brings due jobs to idle children, and what became of them to the store.

It is the one place that knows which jobs are checked out. From checkout until its outcome is on disk a job is in
`running`; the store may still call it pending, so whatever is read from the store is held against that list. A job
somebody is about to cancel or delete is `held`: it is in no look-ahead and enters none. Where these are all that
wait in a queue, be it a million, the queue is `swept` instead: its look-ahead is empty and stays so.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import structlog
from msgspec import Raw

from supervisor.config.model import NANOS, QueueConfig
from supervisor.core.gate import NEVER
from supervisor.core.job import Claim, NewJob, Outcome, Ready, State
from supervisor.core.verdict import Verdict, judge
from supervisor.pool.alarm import Alarm
from supervisor.pool.chronicle import Chronicle
from supervisor.pool.claiming import Claiming
from supervisor.pool.line import Line
from supervisor.pool.reading import Reading
from supervisor.pool.replacing import Replacing, Value
from supervisor.pool.run import Run
from supervisor.pool.sharing import Sharing
from supervisor.pool.waiters import Waiters
from supervisor.store.committer import Committer
from supervisor.store.port import Submitted

if TYPE_CHECKING:
    from supervisor.pool.pool import Pool

log = structlog.get_logger("stoker.feeder")

PROGRESS_EVERY = 1.0  # seconds


class Feeder:
    """`now` gives UTC microseconds, `jitter` numbers in [0, 1). `at` is told of instants at which the store's clock has
    something to do. `chronicle` hears what happens to jobs."""

    def __init__(
        self,
        committer: Committer,
        queues: Sequence[QueueConfig],
        *,
        now: Callable[[], int],
        jitter: Callable[[], float],
        chronicle: Chronicle | None = None,
    ) -> None:
        self.lines = {queue.name: Line(queue) for queue in queues}
        self.chronicle = chronicle or Chronicle()
        self.running: dict[str, Run] = {}
        self.progressing: dict[str, Run] = {}  # whose workers have said more since it was kept last
        self._progress_kept = float("-inf")  # monotonic
        self.held: Counter[str] = Counter()
        self.waiters = Waiters()
        self.replacing = Replacing(self.lines, self.reread)
        self.expiring = 0  # the store is about to end what expires by this instant, whatever the clock says by now
        self.stopped = False  # draining: nothing new is checked out
        self.at: Callable[[int], None] = lambda instant: None
        self.emptied: Callable[[], None] = lambda: None  # nothing runs any more
        self._shared: list[Sharing] = []
        self.alarm = Alarm(self._gates_open)
        self._committer = committer
        self._now = now
        self._jitter = jitter
        self._claiming = Claiming(self, committer, now)
        self._reading = Reading(self, committer)
        committer.recorded = self._recorded
        committer.found = self.waiters.found
        committer.on_failing = self._store_failing

    def serve(self, pool: Pool) -> None:
        """It is given jobs of its queues from now on, and of no others."""
        before = pool.sharing
        self.unserve(pool)
        for name in pool.config.queues:
            self.lines[name].pools.append(pool)
        if len(pool.config.queues) > 1:
            pool.sharing = before or Sharing(pool.config, self.lines, self.may_begin, self.starves)
            pool.sharing.revise(pool.config)
            self._shared.append(pool.sharing)
            for run in self.running.values():
                if run.life is not None and run.life.pool is pool:
                    pool.sharing.begun(run)

    def unserve(self, pool: Pool) -> None:
        """It is given no job any more."""
        for line in self.lines.values():
            if pool in line.pools:
                line.pools.remove(pool)
        if pool.sharing is not None:
            self._shared.remove(pool.sharing)
            pool.sharing = None

    # -- jobs come in ----------------------------------------------------------------------------------------------

    def submitted(self, jobs: Sequence[NewJob], answers: Sequence[Submitted], values: Sequence[Value] = ()) -> None:
        """They are on disk. `values` are those that were given to `replacing`."""
        if values:
            self._replaced(self.replacing.done(values, jobs, answers))
        # What comes of those that are on their way says whether a job is wanted here.
        contested = self.replacing if self.replacing else None
        lines: dict[str, Line] = {}
        for job, answer in zip(jobs, answers, strict=True):
            if not answer.created:
                continue
            line = self.lines.get(job.queue)
            if line is None:
                continue
            line.submitted.total += 1
            if not answer.due:
                self.at(job.run_at)
            elif (contested is None or job not in contested) and line.ahead.takes(-job.priority, answer.seq, job.lane):
                line.ahead.offer(_ready(job, answer))
                lines[line.name] = line
            if job.expires_at is not None:
                self.at(job.expires_at)
        for line in lines.values():
            self.wake(line)

    def _replaced(self, ids: Sequence[str]) -> None:
        for job_id in ids:
            run = self.running.get(job_id)
            if run is not None:  # its attempt has just come to its end, on disk, and nobody was told yet
                run.replaced = True
        self.chronicle.cancelled(((job_id, None) for job_id in ids), "replaced")
        self.ended(ids)

    def offer(self, row: Ready) -> None:
        """A row is due again."""
        line = self.lines.get(row.queue)
        if line is None or row.id in self or row in self.replacing:
            return
        if line.ahead.offer(row):
            self.wake(line)

    def reread(self, queues: Iterable[str]) -> None:
        """Rows became due in places the look-ahead cannot know: read the front of these queues anew. Until that
        arrives, what was read before is still good."""
        for name in queues:
            line = self.lines.get(name)
            if line is not None:
                line.stale = True
                self._reading.look(line)

    def __contains__(self, job_id: object) -> bool:
        """Whether a job must not enter a look-ahead."""
        return job_id in self.running or job_id in self.held

    # -- jobs go out -----------------------------------------------------------------------------------------------

    def wake(self, line: Line) -> None:
        """Give the line's jobs to whoever is idle."""
        for pool in line.pools:
            if not line.ahead:
                break
            self.feed(pool)
            if line.ahead and self.may_begin(line):
                pool.sizing.pressed()
        self._reading.look(line)

    def feed(self, pool: Pool) -> None:
        while pool.idle and self._has_work(pool) and pool.give_one():
            pass

    def _has_work(self, pool: Pool) -> bool:
        lines = self.lines
        return any(lines[name].ahead and self.may_begin(lines[name]) for name in pool.config.queues)

    @property
    def holds_back(self) -> bool:
        """Whether no job of any queue is given out."""
        return self.stopped or self._committer.failing is not None

    def waiting(self, pool: Pool) -> int:
        """Jobs that this pool could begin now, as far as they were read ahead."""
        if self.holds_back:
            return 0
        lines = (self.lines[name] for name in pool.config.queues)
        return sum(line.waiting for line in lines if line.ahead and self.may_begin(line))

    def checkout(self, pool: Pool) -> Run | None:
        """The next job for an idle child of this pool.

        Here, and nowhere later, pause, rate, concurrency, expiry and the store's health are checked: a row that was
        read ahead has no claim to run.
        """
        if self.stopped or self._committer.failing is not None:
            return None
        if pool.sharing is not None:
            return self._checkout_shared(pool, pool.sharing)
        line = self.lines[pool.config.queues[0]]
        if line.shut or (line.gate.limited and not self.may_begin(line)):
            return None
        row = self._next_row(line)
        # Keys are looked at with the row, so once for each job. Where they let none begin, they are asked when they
        # will, and that may have come meanwhile.
        while row is None and line.lanes is not None and self.may_begin(line):
            row = self._next_row(line)
        return None if row is None else self._check_out(row, line, pool)

    def _checkout_shared(self, pool: Pool, sharing: Sharing) -> Run | None:
        now = time.monotonic_ns()
        ready = sharing.ready(now)
        while (chosen := sharing.next(ready, now, len(pool.idle))) is not None:
            line, share = chosen
            row = self._next_row(line)
            if row is not None:
                run = self._check_out(row, line, pool)
                run.share = share
                share.begin(now)
                return run
        return None

    def may_begin(self, line: Line) -> bool:
        """Whether the line's next job may begin now. Where it is a matter of time, the line is woken then; where a job
        must end first, it wakes the line."""
        if line.shut or not line.limited:
            return not line.shut
        now = time.monotonic_ns()
        opens = line.opens_at(now)
        if opens == now:
            return True
        if opens < NEVER:
            self.alarm.ask(opens)
        if line.lanes is not None:  # whatever may begin instead has perhaps not been read
            self._reading.look(line)
        return False

    def starves(self, line: Line) -> bool:
        """Whether the line's next job may begin as soon as it is read."""
        return not line.shut and line.starves(time.monotonic_ns())

    def _throttle(self, line: Line, until: int) -> None:
        line.throttle(until)
        self.alarm.ask(until)

    def _gates_open(self) -> None:
        now = time.monotonic_ns()
        for line in self.lines.values():
            if line.throttled_until is not None:
                line.open_again(now)
                if line.throttled_until is None:
                    self.wake(line)
                else:
                    self.alarm.ask(line.throttled_until)
            elif line.limited:
                self.wake(line)

    def _next_row(self, line: Line) -> Ready | None:
        ahead, now = line.ahead, time.monotonic_ns() if line.limited else 0
        row = ahead.pop(now)
        while row is not None and row.expires_at is not None and row.expires_at <= max(self._now(), self.expiring):
            self.at(row.expires_at)  # the store's clock ends it, unless it is set back by then
            line.overdue = True
            row = ahead.pop(now)
        if ahead.wants_rows:
            self._reading.look(line)
        return row

    def _check_out(self, row: Ready, line: Line, pool: Pool) -> Run:
        timeout = row.timeout if row.timeout is not None else pool.config.timeout
        run = Run(row, self._now(), timeout, claim_first=line.claims_first)
        self.running[row.id] = run
        run.since = time.monotonic_ns()
        pool.begun += 1
        line.waits.add(run.started_at - row.due_at)
        if line.limited:
            line.enter(row, run.since)
        claim = Claim(seq=row.seq, attempt=run.attempt, started_at=run.started_at)
        if run.claim_first:
            self._claiming.ask(claim, run)
        else:
            self._committer.claim(claim)
        return run

    # -- jobs come back --------------------------------------------------------------------------------------------

    def finished(self, run: Run, verdict: Verdict) -> None:
        """A child is done with a job, or done for. From here on only the disk is waited for."""
        line = self.lines[run.row.queue]
        ended = time.monotonic_ns()
        if run.share is not None:
            run.share.end(run.since, ended)
        if verdict.delay and line.policy.on_throttle == "queue":
            self._throttle(line, time.monotonic_ns() + int(verdict.delay * NANOS))
        outcome = judge(run.spent(), verdict, line.policy, cancel=run.cancel, now=self._now(), jitter=self._jitter())
        run.outcome = outcome
        run.home, run.life = run.life, None
        if outcome.state is not State.PENDING or outcome.error is not None:  # it was not given back
            line.runs.add((ended - run.since) // 1000)
        run.waited_for = run.id in self.waiters and outcome.state.final
        self._committer.outcome(outcome, run, get=run.id if run.waited_for else None)
        if line.limited and line.leave(run.row):
            self.wake(line)

    def _recorded(self, runs: Sequence[Run], oks: Sequence[bool]) -> None:
        late: list[str] = []
        for run, ok in zip(runs, oks, strict=True):
            del self.running[run.id]
            run.settle()
            outcome = run.outcome
            assert outcome is not None
            if not ok:
                log.error("stale_outcome", job=run.id, attempt=run.attempt)
                continue
            self.lines[run.row.queue].ends.count(outcome)
            if run.told or outcome.error is not None:
                self.chronicle.ended(run, outcome)
            self.waiters.recorded(run.id, outcome)
            if outcome.state is State.PENDING:
                self._sent_back(run, outcome)
            elif not run.waited_for and run.id in self.waiters:  # somebody came to wait after it was handed over
                late.append(run.id)
        self.ended(late)
        if not self.running:
            self.emptied()

    def drop(self, run: Run) -> None:
        """A job that was checked out never began, and the store knows nothing of it."""
        del self.running[run.id]
        run.settle()
        line = self.lines[run.row.queue]
        if line.limited and line.leave(run.row):
            self.wake(line)
        if not self.running:
            self.emptied()

    def _sent_back(self, run: Run, outcome: Outcome) -> None:
        if run.replaced:
            return
        if outcome.due:
            self.offer(run.row_again(outcome))
        elif outcome.run_at is not None:
            self.at(outcome.run_at)
        if run.row.expires_at is not None:  # it may have passed while the job ran, when it did not matter
            self.at(run.row.expires_at)

    def _store_failing(self, reason: str | None) -> None:
        if reason is not None:
            log.error("store_failing", reason=reason)
            return
        log.info("store_recovered")
        for line in self.lines.values():
            self.wake(line)

    # -- jobs are held back ----------------------------------------------------------------------------------------

    def hold(self, *job_ids: str) -> None:
        """No child receives these jobs from now on; each hold wants its `unhold`."""
        self.held.update(job_ids)
        self._drop(set(job_ids))

    def unhold(self, *job_ids: str, reread: bool) -> None:
        """`reread`: they may still be pending, and are wanted back in their look-ahead."""
        for job_id in job_ids:
            self.held[job_id] -= 1
            if not self.held[job_id]:
                del self.held[job_id]
        if reread:
            self.reread(self.lines)

    def sweep(self, queue: str) -> None:
        """No child receives a job of this queue from now on; each wants its `swept`."""
        line = self.lines[queue]
        line.swept_by += 1
        line.forget()

    def swept(self, queue: str) -> None:
        self.lines[queue].swept_by -= 1
        self.reread([queue])

    def expired(self, ids: Collection[str]) -> None:
        """Jobs that the store's clock has ended."""
        if not ids:
            return
        self._drop(set(ids))
        self.chronicle.expired(ids)
        self.ended(ids)

    def _drop(self, ids: set[str]) -> None:
        for line in self.lines.values():
            line.ahead.discard(ids)
            self._reading.look(line)  # a worker may be idle, and what stands behind these not read yet

    def tick(self, now: float) -> None:
        """About once a second (`now`: monotonic): rates, what running jobs said of their progress, and a second chance
        for reads that failed and for jobs that seemed to have expired."""
        for sharing in self._shared:
            sharing.sample(now)
        for line in self.lines.values():
            line.submitted.sample(now)
            line.ends.sample(now)
            line.waits.turn(now)
            line.runs.turn(now)
            if line.overdue:
                line.overdue, line.stale = False, True
            self.wake(line)
        if self.progressing and now - self._progress_kept >= PROGRESS_EVERY:
            self._progress_kept = now
            self._keep_progress()
        self.chronicle.tick()

    def _keep_progress(self) -> None:
        """Of all that said more, in one write. A job that is over by then needs none: its outcome has the last."""
        said, self.progressing = self.progressing, {}
        runs = [run for run in said.values() if run.life is not None]
        if not runs:
            return
        now = self._now()
        reports = [run.report(now) for run in runs]

        def failed() -> None:
            for run in runs:
                self.progressing.setdefault(run.id, run)

        self._committer.write_soon(lambda store: store.progress(reports), lambda _: None, failed)

    def pause(self, name: str, paused: bool) -> None:
        """To resume a queue ends a worker's throttling too: somebody knows better."""
        line = self.lines[name]
        line.pause(paused)
        if not paused:
            self.wake(line)

    def ended(self, ids: Iterable[str]) -> None:
        """Jobs that reached their end without a child: tell those who wait for them."""
        waited_for = [job_id for job_id in ids if self.waiters.concerns(job_id)]
        if waited_for:
            self._committer.tell(waited_for)


def _ready(job: NewJob, answer: Submitted) -> Ready:
    return Ready(
        seq=answer.seq,
        id=job.id,
        queue=job.queue,
        payload=Raw(job.payload),
        priority=job.priority,
        attempt=0,
        charged=0,
        crashes=0,
        interruptions=0,
        timeout=job.timeout,
        max_attempts=job.max_attempts,
        expires_at=job.expires_at,
        due_at=max(job.run_at, job.created_at),
        backoff=job.backoff,
        lane=job.lane,
        unique=job.unique,
    )
