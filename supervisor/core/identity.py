"""What happens where a job that is submitted meets one that is there already."""

from enum import Enum

import msgspec

from supervisor.core.job import Cause, JobError, NewJob, OnConflict, State

Scope = tuple[str, ...]


class Holder(msgspec.Struct, frozen=True):
    """A job that has what a new one asks for: its idempotency key (`by_key`), or else its `unique` value."""

    id: str
    state: State
    by_key: bool = False


class Meeting(Enum):
    ANSWERED = "answered"  # by the earlier job
    REFUSED = "refused"
    TAKES_OVER = "takes over"  # the earlier job ends cancelled


def meet(job: NewJob, holder: Holder) -> Meeting:
    """A key answers in any state and whatever the submit says: it is there so that asking twice does nothing twice. A
    `unique` value is held by a live job alone, and only one that waits can be replaced: one that runs would go on."""
    if holder.by_key or job.on_conflict is OnConflict.EXISTING:
        return Meeting.ANSWERED
    if job.on_conflict is OnConflict.REPLACE and holder.state is State.PENDING:
        return Meeting.TAKES_OVER
    return Meeting.REFUSED


def key_scope(job: NewJob) -> Scope | None:
    return None if job.key is None else ("key", job.client or "", job.key)


def unique_scope(job: NewJob) -> Scope | None:
    return None if job.unique is None else ("unique", job.queue, job.unique)


def replaced(by: str) -> JobError:
    """The error of a job that was cancelled for another one's sake."""
    message = f"job {by} has the same unique value and took its place while it waited"
    details = msgspec.Raw(msgspec.json.encode({"replaced_by": by}))
    return JobError(cause=Cause.REPLACED, message=message, retry=False, details=details)
