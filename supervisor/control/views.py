"""Jobs, and the figures of queues, as clients see them."""

from collections.abc import Sequence

from msgspec import UNSET, Raw, structs

from protocol.control import AttemptView, BackoffView, EndsView, ErrorView, JobView, SpreadView, SubmittedView
from protocol.times import maybe_rfc3339, to_rfc3339
from supervisor.config.model import Backoff, Config, QueueConfig
from supervisor.core.ends import PerSecond
from supervisor.core.job import MICROS, NULL, Attempt, Job, JobError
from supervisor.core.spread import Spread, percentiles
from supervisor.store.port import Submitted


def job_view(job: Job, config: Config, *, full: bool = True) -> JobView:
    """`max_attempts` is what holds for the job: its own, else its queue's, else (a queue that is configured no more)
    the default. Without `full` payload, result and attempts are left out."""
    return JobView(
        id=job.id,
        queue=job.queue,
        state=job.state,
        payload=Raw(job.payload) if full and job.payload is not None else UNSET,
        result=_maybe_raw(job.result) if full else UNSET,
        error=None if job.error is None else error_view(job.error),
        attempt=job.attempt,
        max_attempts=_max_attempts(job, config),
        backoff=None if job.backoff is None else backoff_view(job.backoff),
        timeout_secs=job.timeout,
        priority=job.priority,
        run_at=to_rfc3339(job.run_at),
        created_at=to_rfc3339(job.created_at),
        started_at=maybe_rfc3339(job.started_at),
        finished_at=maybe_rfc3339(job.finished_at),
        expires_at=maybe_rfc3339(job.expires_at),
        progress=_maybe_raw(job.progress),
        client=job.client,
        key=job.key,
        unique=job.unique,
        rate_key=job.rate_key,
        concurrency_key=job.concurrency_key,
        name=job.name,
        tags=job.tags,
        charged=job.charged,
        crashes=job.crashes,
        interruptions=job.interruptions,
        attempts=[attempt_view(attempt) for attempt in job.attempts] if full else UNSET,
    )


def job_views(jobs: Sequence[Job], config: Config, *, full: bool = True) -> list[JobView]:
    return [job_view(job, config, full=full) for job in jobs]


def attempt_view(attempt: Attempt) -> AttemptView:
    return AttemptView(
        attempt=attempt.attempt,
        started_at=to_rfc3339(attempt.started_at),
        finished_at=to_rfc3339(attempt.finished_at),
        duration_secs=max(0, attempt.finished_at - attempt.started_at) / MICROS,  # the clock may have been set back
        pid=attempt.pid,
        error=error_view(attempt.error),
    )


def error_view(error: JobError) -> ErrorView:
    return ErrorView(
        cause=error.cause,
        message=error.message,
        exit_code=error.exit_code,
        signal=error.signal,
        stderr=error.stderr,
        retry=error.retry,
        details=UNSET if error.details == NULL else error.details,
    )


def backoff_view(backoff: Backoff) -> BackoffView:
    if backoff.delays is not None:
        return BackoffView(delays_secs=backoff.delays, jitter=backoff.jitter)
    return BackoffView(base_secs=backoff.base, factor=backoff.factor, cap_secs=backoff.cap, jitter=backoff.jitter)


def ends_view(rates: PerSecond) -> EndsView:
    return EndsView(**structs.asdict(rates))


def spread_view(spread: Spread) -> SpreadView | None:
    counts = spread.counts()
    if not counts:
        return None
    p50, p95, p99 = (round(micros / MICROS, 6) for micros in percentiles(counts, (50, 95, 99)))
    return SpreadView(count=sum(counts.values()), p50=p50, p95=p95, p99=p99)


def submitted_view(submitted: Submitted) -> SubmittedView:
    """`same` is said only where an earlier job answers, `replaced` where one was cancelled for this."""
    return SubmittedView(
        id=submitted.id,
        created=submitted.created,
        state=submitted.state,
        same=UNSET if submitted.created else submitted.same,
        replaced=UNSET if submitted.replaced is None else submitted.replaced,
    )


def _maybe_raw(text: bytes | None) -> Raw | None:
    return None if text is None else Raw(text)


def _max_attempts(job: Job, config: Config) -> int:
    if job.max_attempts is not None:
        return job.max_attempts
    queue = config.queue(job.queue) or QueueConfig(name=job.queue)
    return queue.max_attempts
