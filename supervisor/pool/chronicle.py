"""The stories of jobs, for the log: where each attempt ran, and what came of it once that is on disk.

`journalctl STOKER_JOB=ID` has them in order, with what the worker wrote to stderr in between. How many of them are told
is core.story's to decide; what is not told costs a job next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import structlog

from supervisor.core.job import MICROS, Cause, Outcome, State
from supervisor.core.story import Allowance
from supervisor.store.port import Cut

if TYPE_CHECKING:
    from supervisor.pool.life import Life
    from supervisor.pool.run import Run

log = structlog.get_logger("stoker.jobs")

MESSAGE_MAX = 1000  # characters of an error; the job has the whole

Which = Literal["all", "failed", "none"]


class Chronicle:
    """`which`: the stories of all jobs, failures alone, or nothing. `now`: monotonic nanoseconds."""

    def __init__(self, which: Which = "none", now: Callable[[], int] = time.monotonic_ns) -> None:
        self.revise(which)
        self._now = now
        self._allowance = Allowance()

    def revise(self, which: Which) -> None:
        """From now on. A story that was begun is told to its end."""
        self._all = which == "all"
        self._failures = which != "none"

    # -- attempts --------------------------------------------------------------------------------------------------

    def began(self, run: Run, life: Life) -> None:
        """The worker has been given the job."""
        if not self._all or not self._allowance.story(run.since):
            return
        run.told = True
        waited = round((run.started_at - run.row.due_at) / MICROS, 3)
        log.info("job_started", **_facts(run, life), waited_secs=waited)

    def ended(self, run: Run, outcome: Outcome) -> None:
        """What came of it is on disk. To be called for those that were `told`, and for all that have an error."""
        if not self._may_tell(run, outcome):
            return
        facts = _facts(run, run.home)
        facts["secs"] = round((outcome.finished_at - outcome.started_at) / MICROS, 6)
        if (error := outcome.error) is not None:
            facts |= {"cause": error.cause.value, "message": error.message[:MESSAGE_MAX]}
            facts |= {"exit_code": error.exit_code, "signal": error.signal}
        match outcome.state:
            case State.DONE:
                log.info("job_done", **facts)
            case State.FAILED:
                log.error("job_failed", **facts)
            case State.CANCELLED:
                log.info("job_cancelled", **facts)
            case State.PENDING if error is not None:
                log.warning("job_retrying", **facts, retry_at=_instant(outcome.run_at))
            case _:
                log.info("job_released", **facts, retry_at=_instant(outcome.run_at))

    def _may_tell(self, run: Run, outcome: Outcome) -> bool:
        """A story that was begun is told to its end; a failure needs none, as long as there are not too many."""
        if outcome.error is None or outcome.state is State.CANCELLED:
            return run.told
        return self._failures and (run.told or self._allowance.failure(self._now()))

    # -- what happens to jobs that no worker has -------------------------------------------------------------------

    def cancelled(self, jobs: Iterable[tuple[str, str | None]], reason: str | None = None) -> None:
        """Ids, with the queues as far as they are known. `reason`: if it was not asked for by itself."""
        if self._all:
            for job, queue in jobs:
                if self._allowance.story(self._now()):
                    log.info("job_cancelled", job=job, queue=queue, reason=reason)

    def retried(self, jobs: Iterable[tuple[str, str | None]]) -> None:
        """By hand."""
        if self._all:
            for job, queue in jobs:
                if self._allowance.story(self._now()):
                    log.info("job_retried", job=job, queue=queue)

    def expired(self, ids: Iterable[str]) -> None:
        """A failure, though nobody's: what was wanted has not been done."""
        if self._failures:
            for job in ids:
                if self._allowance.failure(self._now()):
                    log.warning("job_expired", job=job)

    def interrupted(self, jobs: Iterable[Cut]) -> None:
        """By the end of the last daemon, which nobody could log then."""
        for cut in jobs:
            if not self._failures or not self._allowance.failure(self._now()):
                continue
            facts = {"job": cut.id, "queue": cut.queue, "attempt": cut.attempt}
            if cut.failed:
                log.error("job_failed", **facts, cause=Cause.INTERRUPTED.value)
            else:
                log.warning("job_interrupted", **facts)

    # -- what was left out -----------------------------------------------------------------------------------------

    def tick(self, *, last: bool = False) -> None:
        """About once a second, and a `last` time."""
        now = self._now()
        out = self._allowance.left_out(now, every=0) if last else self._allowance.left_out(now)
        if out is not None:
            facts = {"stories": out.stories, "failures": out.failures, "secs": out.seconds}
            if out.failures:
                log.warning("job_lines_left_out", **facts)
            else:  # of a busy queue some stories are told, and that is enough
                log.info("job_lines_left_out", **facts)


def _facts(run: Run, life: Life | None) -> dict[str, object]:
    facts: dict[str, object] = {"job": run.id, "queue": run.row.queue}
    if life is not None:
        facts |= {"pool": life.pool.name, "slot": life.number}
    return facts | {"pid": run.pid, "attempt": run.attempt}


def _instant(micros: int | None) -> str | None:
    if micros is None:
        return None
    return datetime.fromtimestamp(micros / MICROS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
