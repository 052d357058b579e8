"""From what was seen of an attempt to what becomes of its job."""

from enum import Enum

import msgspec

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import MICROS, Cause, Event, JobError, Outcome, State, advance
from supervisor.core.retry import backoff

CRASHES = frozenset({Cause.EXITED, Cause.OOM})


class End(Enum):
    """How an attempt ended, before any policy."""

    OK = "ok"
    FAILED = "failed"
    THROTTLED = "throttled"
    RELEASED = "released"  # nobody's fault: it goes back uncharged
    CANCELLED = "cancelled"  # killed on request


class Verdict(msgspec.Struct, frozen=True):
    """`result` goes with OK, `error` with FAILED, `delay` (seconds) with THROTTLED; `cut` with RELEASED where
    the child has seen the request, and may have worked on it: what happened then, in words."""

    end: End
    result: bytes | None = None
    error: JobError | None = None
    delay: float = 0.0
    cut: str | None = None


class Spent(msgspec.Struct, frozen=True):
    """What the attempt being judged found and was: the job's counters before it, and its own facts."""

    seq: int
    attempt: int
    max_attempts: int | None
    charged: int
    crashes: int
    interruptions: int
    started_at: int
    pid: int | None = None
    progress: bytes | None = None
    backoff: Backoff | None = None


def judge(spent: Spent, verdict: Verdict, policy: QueueConfig, *, cancel: bool, now: int, jitter: float) -> Outcome:
    """The outcome to record.

    `cancel`: somebody asked for it while the attempt ran. A result stands, and so does a failure that was final
    anyway; what would have gone back to the queue ends cancelled instead. `now` is in microseconds; `jitter` in
    [0, 1) spreads the retries.
    """
    if verdict.result is not None and policy.max_result is not None and len(verdict.result) > policy.max_result:
        verdict = too_large(len(verdict.result), policy)
    charged, crashes, interruptions, error = spent.charged, spent.crashes, spent.interruptions, verdict.error
    event, run_at = Event.RELEASE, None
    match verdict.end:
        case End.OK:
            event = Event.SUCCEED
        case End.CANCELLED:
            event = Event.CANCEL
        case End.THROTTLED:
            run_at = now + int(verdict.delay * MICROS)
        case End.RELEASED if verdict.cut is not None and policy.on_daemon_crash == "fail" and not cancel:
            event, error = Event.FAIL, cut_short(verdict.cut)
            interruptions += 1
        case End.FAILED:
            assert error is not None
            charged += 1
            crashes += error.cause in CRASHES
            max_attempts = spent.max_attempts or policy.max_attempts
            if crashes >= policy.max_crashes and error.cause in CRASHES:
                event, error = Event.FAIL, poisoned(error, crashes)
            elif not error.retry or charged >= max_attempts:
                event = Event.FAIL
            else:
                wait = backoff(spent.backoff or policy.backoff, charged, jitter)
                event, run_at = Event.REPEAT, now + int(wait * MICROS)
    if cancel and event in (Event.REPEAT, Event.RELEASE):
        event, run_at = Event.CANCEL, None
    return Outcome(
        seq=spent.seq,
        attempt=spent.attempt,
        state=advance(State.RUNNING, event),
        started_at=spent.started_at,
        finished_at=now,
        charged=charged,
        crashes=crashes,
        interruptions=interruptions,
        run_at=run_at,
        result=verdict.result,
        error=error,
        pid=spent.pid,
        progress=spent.progress,
    )


def cut_short(what: str) -> JobError:
    """The final error of a job that was cut short by something else (`what`, a clause), in a queue of work that must
    not begin a second time."""
    message = (
        f'{what} while this job ran, and its queue has on_daemon_crash = "fail": find out how far it came, '
        "since it is not started again unless you retry it"
    )
    return JobError(cause=Cause.INTERRUPTED, message=message, retry=False)


def too_large(size: int, policy: QueueConfig) -> Verdict:
    """In place of a result over the queue's limit. Not repeated: the work is done, and would come to the same again."""
    message = (
        f"the job ran, but its result has {size} bytes, and queue {policy.name} takes {policy.max_result} "
        f"(queues.{policy.name}.max_result): keep large results in a file and return its name, or raise the limit"
    )
    return Verdict(End.FAILED, error=JobError(cause=Cause.OVERSIZE, message=message, retry=False))


def poisoned(last: JobError, crashes: int) -> JobError:
    """The final error of a job that killed its worker too often; exit status and stderr stay those of the last time."""
    return msgspec.structs.replace(
        last,
        cause=Cause.POISON,
        message=f"the job killed its worker {crashes} times and is kept apart; the last time: {last.message}",
        retry=False,
    )
