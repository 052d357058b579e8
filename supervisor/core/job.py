"""The job, its states, and the records that pass between the pool and the store.

Times are integers: microseconds since 1970 in UTC. Durations are float seconds. Payloads and results are the JSON
bytes as they came, compact, never decoded by the daemon.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import msgspec

from supervisor.config.model import Backoff
from supervisor.errors import IllegalTransition

MICROS = 1_000_000
NULL = msgspec.Raw(b"null")  # for JSON that is not there: msgspec decodes no `Raw | None`


class State(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset(State) - {State.PENDING, State.RUNNING}


class Event(StrEnum):
    """What can happen to a job."""

    CLAIM = "claim"
    SUCCEED = "succeed"
    FAIL = "fail"
    REPEAT = "repeat"  # a failed attempt that may be repeated
    RELEASE = "release"  # given back without costing an attempt
    CANCEL = "cancel"
    EXPIRE = "expire"
    RETRY = "retry"  # by hand, out of a final state


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.PENDING, Event.CLAIM): State.RUNNING,
        (State.PENDING, Event.CANCEL): State.CANCELLED,
        (State.PENDING, Event.EXPIRE): State.EXPIRED,
        (State.RUNNING, Event.SUCCEED): State.DONE,
        (State.RUNNING, Event.FAIL): State.FAILED,
        (State.RUNNING, Event.REPEAT): State.PENDING,
        (State.RUNNING, Event.RELEASE): State.PENDING,
        (State.RUNNING, Event.CANCEL): State.CANCELLED,
        (State.FAILED, Event.RETRY): State.PENDING,
        (State.CANCELLED, Event.RETRY): State.PENDING,
        (State.EXPIRED, Event.RETRY): State.PENDING,
    }
)


def advance(state: State, event: Event) -> State:
    """The state after `event`; raises IllegalTransition where the table has no row."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a {state} job cannot {event}") from None


class Cause(StrEnum):
    """Why an attempt failed; or, of a job that never failed, why it ended."""

    ERROR = "error"
    DESYNC = "desync"
    GARBAGE = "garbage"
    OVERSIZE = "oversize"
    EXITED = "exited"
    TIMEOUT = "timeout"
    OOM = "oom"
    POISON = "poison"
    INTERRUPTED = "interrupted"
    REPLACED = "replaced"  # of a cancelled job: another took its place


class OnConflict(StrEnum):
    """What becomes of a submit whose `unique` value a live job of its queue has."""

    EXISTING = "existing"  # that job answers
    REJECT = "reject"
    REPLACE = "replace"  # a pending one is cancelled; one that runs is in the way


class JobError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """What a failed attempt says of itself. `details` is the worker's own JSON, `stderr` its last lines."""

    cause: Cause
    message: str
    exit_code: int | None = None
    signal: str | None = None
    stderr: str | None = None
    retry: bool = True
    details: msgspec.Raw = NULL


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One failed checkout, kept with its job."""

    attempt: int
    started_at: int
    finished_at: int
    pid: int | None
    error: JobError


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is submitted: checked already, with its public id (UUIDv7) chosen."""

    id: str
    queue: str
    payload: bytes
    created_at: int
    run_at: int
    priority: int = 0
    timeout: float | None = None  # None: the pool's
    max_attempts: int | None = None  # None: the queue's
    backoff: Backoff | None = None  # None: the queue's
    expires_at: int | None = None
    client: str | None = None
    key: str | None = None
    unique: str | None = None
    on_conflict: OnConflict = OnConflict.EXISTING  # of the submit, not of the job: it is not stored
    name: str | None = None
    tags: tuple[str, ...] = ()
    lane: str | None = None  # core.keys.lane_of its keys; None: it has none, and its queue limits none

    def due(self, now: int) -> bool:
        """Whether it may begin at once. One without a delay may, though the clock has been set back since."""
        return self.run_at <= now or self.run_at <= self.created_at


class Rank(msgspec.Struct, frozen=True, order=True, array_like=True):
    """The place of a due job in its queue's claim order: higher priority first, then the order of submission."""

    urgency: int  # -priority
    seq: int


class Ready(msgspec.Struct, kw_only=True):
    """A due pending row, read ahead: all that a checkout needs. `seq` is the store's own integer key."""

    seq: int
    id: str
    queue: str
    payload: msgspec.Raw
    priority: int
    attempt: int  # of the last checkout; 0 before the first
    charged: int
    crashes: int
    interruptions: int
    timeout: float | None
    max_attempts: int | None
    expires_at: int | None
    due_at: int  # since when it could have begun: its run_at, but not before it was submitted
    backoff: Backoff | None = None
    unique: str | None = None
    lane: str | None = None

    @property
    def rank(self) -> Rank:
        return Rank(-self.priority, self.seq)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Checkout number `attempt` of a pending row, to be recorded as running."""

    seq: int
    attempt: int
    started_at: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the attempt of a running job was at `at`. `whole` is what its worker said, `brief` what of it a journal
    can bear: both JSON objects."""

    seq: int
    attempt: int
    at: int
    whole: bytes
    brief: bytes


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended, and where the job goes: a final state, or `pending` again at `run_at`.

    The counters are the job's new totals. `error` is None for done, cancelled, expired and released. An outcome
    charges nothing by itself: core.verdict decides, the store records.
    """

    seq: int
    attempt: int
    state: State
    started_at: int
    finished_at: int
    charged: int
    crashes: int
    interruptions: int
    run_at: int | None = None  # for pending; None: due at once
    result: bytes | None = None
    error: JobError | None = None
    pid: int | None = None
    progress: bytes | None = None  # the last one, JSON

    @property
    def due(self) -> bool:
        """Of a pending one: whether the job may begin again at once."""
        return self.run_at is None or self.run_at <= self.finished_at


class Job(msgspec.Struct, kw_only=True):
    """A whole job as the store knows it. `max_attempts`, `timeout` and `backoff` are None where the submit did not
    say."""

    seq: int
    id: str
    queue: str
    state: State
    payload: bytes | None  # None where a list left it out
    result: bytes | None
    error: JobError | None
    attempt: int
    max_attempts: int | None
    timeout: float | None
    priority: int
    run_at: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    expires_at: int | None
    progress: bytes | None
    client: str | None
    key: str | None
    unique: str | None
    name: str | None
    tags: tuple[str, ...]
    charged: int
    crashes: int
    interruptions: int
    attempts: tuple[Attempt, ...] = ()
    backoff: Backoff | None = None
    rate_key: str | None = None
    concurrency_key: str | None = None
