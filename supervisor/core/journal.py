"""The journal: what happened to jobs, one numbered event after the other.

The journal is for people and programs that follow along. Nothing in the daemon depends on it, so that it may be
switched off for a queue, and loses its oldest part in time.
"""

from enum import StrEnum

import msgspec

from supervisor.core.access import Sight
from supervisor.errors import Gone


class Kind(StrEnum):
    """What happened. A job's events follow each other as its states do; DELETED is its last."""

    SUBMITTED = "submitted"
    STARTED = "started"
    PROGRESS = "progress"
    RETRYING = "retrying"  # an attempt failed, another will follow
    RELEASED = "released"  # given back, at no cost
    INTERRUPTED = "interrupted"  # the daemon ended while it ran, and it goes back
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    RETRIED = "retried"  # by hand, out of a final state
    DELETED = "deleted"


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`n` rises by one from event to event and is never given twice. `at`: microseconds since 1970.

    `job` is None for a job that was deleted while its queue wrote no events. `attempt` is the checkout that it is
    about, or the last one before it. `run_at` is there where the job waits for it, `cause` where an attempt failed.
    `progress` is what a worker said of it, without what could be large.
    """

    n: int
    at: int
    job: str | None
    queue: str
    kind: Kind
    attempt: int
    run_at: int | None = None
    cause: str | None = None
    progress: bytes | None = None  # a JSON object


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which events: those that meet all of it. No `kinds`: of any."""

    job: str | None = None
    queue: str | None = None
    kinds: tuple[Kind, ...] = ()
    sight: Sight | None = None


EVERY = Wanted()


class Extent(msgspec.Struct, frozen=True):
    """What a journal holds: the numbers of its oldest and its newest event. Without any, `last` is `first - 1`."""

    first: int
    last: int


def begin(extent: Extent, after: int | None) -> int:
    """The number after which to read on. None: from the oldest event there is.

    Raises Gone where something that followed `after` is not there any more, or where `after` was never reached: then
    it is from another journal, and to go on would pass over what comes until that number.
    """
    if after is None:
        return extent.first - 1
    if after < extent.first - 1:
        raise Gone(
            f"events after number {after} were removed, the oldest that is kept is {extent.first}: begin again without "
            "a place, and look at the jobs themselves for what was missed",
            first=extent.first,
        )
    if after > extent.last:
        raise Gone(
            f"there is no event number {after} yet, the newest is {extent.last}, so that place is from another store: "
            "begin again without one",
            first=extent.first,
        )
    return after
