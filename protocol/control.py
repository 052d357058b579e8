"""The control protocol's messages: JSON-RPC 2.0, one object a line. Grammar and advice: protocol/README.md.

Structs named *Params are what a method takes, *View what it answers with. Times are RFC 3339 in UTC, ages and
durations are float seconds, sizes are bytes.
"""

import msgspec
from msgspec import UNSET, Raw, UnsetType

PROTOCOL_VERSION = 1
MAX_ANSWER = 16 * 1024 * 1024  # bytes of one answer

# JSON-RPC's own codes; everything of stoker's is REFUSED with a stable word in data.code.
PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REFUSED = -32000


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class NoParams(Params, frozen=True):
    pass


class BackoffParams(Params, frozen=True):
    """How long to wait after each failed attempt: exponential, or `delays_secs`, of which the last one repeats. What is
    left out is as in a configuration that does not say it."""

    base_secs: float | None = None
    factor: float | None = None
    cap_secs: float | None = None
    jitter: float | None = None
    delays_secs: list[float] | None = None


class SubmitParams(Params, frozen=True):
    queue: str
    payload: Raw
    priority: int = 0
    run_at: str | None = None
    delay_secs: float | None = None
    timeout_secs: float | None = None
    max_attempts: int | None = None
    backoff: list[float] | BackoffParams | None = None
    expires_in_secs: float | None = None
    client: str | None = None
    key: str | None = None
    unique: str | None = None
    on_conflict: str | None = None
    name: str | None = None
    tags: tuple[str, ...] = ()
    rate_key: str | None = None
    concurrency_key: str | None = None


class SubmitManyParams(Params, frozen=True):
    jobs: list[SubmitParams]


class GetParams(Params, frozen=True):
    id: str | None = None
    client: str | None = None
    key: str | None = None


class WaitParams(Params, frozen=True):
    id: str | None = None
    ids: list[str] | None = None
    timeout_secs: float | None = None


class FilterParams(Params, frozen=True):
    """Jobs that meet all of it."""

    queue: str | None = None
    state: str | list[str] | None = None
    cause: str | None = None
    tag: str | None = None
    client: str | None = None
    name: str | None = None
    created_after: str | None = None
    created_before: str | None = None
    finished_after: str | None = None
    finished_before: str | None = None


class ManyParams(FilterParams, frozen=True):
    """retry_many, cancel_many, delete_many."""

    all: bool = False
    dry_run: bool = False


class PurgeParams(Params, frozen=True):
    queue: str
    state: str | list[str] | None = None
    dry_run: bool = False


class ListParams(FilterParams, frozen=True):
    limit: int = 50
    cursor: str | None = None
    full: bool = False


class SubscribeParams(Params, frozen=True):
    """Neither `since` nor `last`: from the oldest event kept."""

    since: str | None = None
    last: int | None = None
    job: str | None = None
    queue: str | None = None
    kind: str | list[str] | None = None


class EventsParams(SubscribeParams, frozen=True):
    limit: int = 100
    wait_secs: float | None = None


class JobParams(Params, frozen=True):
    """position, cancel, retry, delete."""

    id: str


class RunningParams(Params, frozen=True):
    queue: str | None = None
    limit: int = 50


class QueueParams(Params, frozen=True):
    """pause, resume."""

    queue: str


class QueuesParams(Params, frozen=True):
    queue: str | None = None


class PoolsParams(Params, frozen=True):
    """pools, workers; without `pool`: all."""

    pool: str | None = None


class PoolParams(Params, frozen=True):
    """restart."""

    pool: str


class ResizeParams(Params, frozen=True):
    """`size`, or `min` and `max`."""

    pool: str
    size: int | None = None
    min: int | None = None
    max: int | None = None


class SubmittedView(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    created: bool
    state: str
    same: bool | UnsetType = UNSET  # only where created is false
    replaced: str | UnsetType = UNSET  # only where a job was cancelled for this one: its id


class SubmittedManyView(msgspec.Struct, frozen=True, kw_only=True):
    jobs: list[SubmittedView]


class PingView(msgspec.Struct, frozen=True, kw_only=True):
    """`role`: what the caller may do, null: nothing but in some of `queues`, which are those where it is another."""

    version: str
    protocol: int = PROTOCOL_VERSION
    role: str | None
    queues: dict[str, str | None]


class ErrorView(msgspec.Struct, frozen=True, kw_only=True):
    """Why an attempt failed. `retry` false: this failure was not to be repeated."""

    cause: str
    message: str
    exit_code: int | None
    signal: str | None
    stderr: str | None
    retry: bool
    details: Raw | UnsetType = UNSET


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    attempt: int
    started_at: str
    finished_at: str
    duration_secs: float
    pid: int | None
    error: ErrorView


class BackoffView(msgspec.Struct, frozen=True, kw_only=True):
    """A job's own, in the form in which it can be submitted: with `delays_secs`, or with the three others."""

    base_secs: float | UnsetType = UNSET
    factor: float | UnsetType = UNSET
    cap_secs: float | UnsetType = UNSET
    delays_secs: tuple[float, ...] | UnsetType = UNSET
    jitter: float


class JobView(msgspec.Struct, frozen=True, kw_only=True):
    """A job is this object everywhere. A list leaves payload, result and attempts out unless asked for `full`."""

    id: str
    queue: str
    state: str
    payload: Raw | UnsetType
    result: Raw | UnsetType | None
    error: ErrorView | None
    attempt: int
    max_attempts: int
    backoff: BackoffView | None
    timeout_secs: float | None
    priority: int
    run_at: str
    created_at: str
    started_at: str | None
    finished_at: str | None
    expires_at: str | None
    progress: Raw | None
    client: str | None
    key: str | None
    unique: str | None
    rate_key: str | None
    concurrency_key: str | None
    name: str | None
    tags: tuple[str, ...]
    charged: int
    crashes: int
    interruptions: int
    attempts: list[AttemptView] | UnsetType


class JobsView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `wait` with `ids`, in their order."""

    jobs: list[JobView]


class ListView(msgspec.Struct, frozen=True, kw_only=True):
    jobs: list[JobView]
    total: int
    next: str | None  # a cursor; null: that was the last page


class EventDataView(msgspec.Struct, frozen=True, kw_only=True):
    """`run_at` where the job waits for it, `cause` where an attempt failed. `progress`: the worker's, without
    its data."""

    attempt: int
    run_at: str | UnsetType = UNSET
    cause: str | UnsetType = UNSET
    progress: Raw | UnsetType = UNSET


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a job. `cursor` is the place behind it."""

    cursor: str
    at: str
    job: str | None
    queue: str
    kind: str
    data: EventDataView


class PlaceView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `subscribe`, and its notification `place`."""

    cursor: str


class GapView(msgspec.Struct, frozen=True, kw_only=True):
    """Events that were removed before they could be told; `first` is the number of the oldest one kept, which is
    told next."""

    cursor: str
    missed: int
    first: int


class EventsView(msgspec.Struct, frozen=True, kw_only=True):
    events: list[EventView]
    next: str  # a cursor
    more: bool  # already there, behind it


class RunningView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `running`: the jobs that have run for the longest, and how many run in all."""

    jobs: list[JobView]
    total: int


class PositionView(msgspec.Struct, frozen=True, kw_only=True):
    ahead: int
    active: int


class DeletedView(msgspec.Struct, frozen=True, kw_only=True):
    deleted: bool = True


class ManyView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of retry_many, cancel_many, delete_many and purge. `skipped`: retries whose `unique` value is held."""

    matched: int
    changed: int
    skipped: int
    dry_run: bool


class EndsView(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts per second, by how they ended. `retried`: failed, and to be tried again; `released`: given back at
    nobody's cost, throttled ones included."""

    done: float
    failed: float
    cancelled: float
    retried: float
    released: float


class SpreadView(msgspec.Struct, frozen=True, kw_only=True):
    """Percentiles of a duration in seconds, each off by 1/32 at most; `count`: of how many."""

    count: int
    p50: float
    p95: float
    p99: float


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """`due` is the part of `pending` whose run_at has come; rates are per second over the last minute. `limited_by` is
    what keeps every job from beginning: "rate", "concurrency", "rate_per_key", "concurrency_per_key", or nothing of the
    kind. `wait_secs` (from due to checkout) and `run_secs` (of attempts that were not given back) are of the last five
    minutes; None without any."""

    queue: str
    paused: bool
    throttled_until: str | None  # RFC 3339
    limited_by: str | None
    pending: int
    due: int
    running: int
    done: int
    failed: int
    cancelled: int
    expired: int
    oldest_pending_secs: float | None
    submit_rate: float
    finish_rate: float
    ends_1m: EndsView
    ends_5m: EndsView
    wait_secs: SpreadView | None
    run_secs: SpreadView | None
    pools: list[str]  # that serve it; empty: nothing does


class QueuesView(msgspec.Struct, frozen=True, kw_only=True):
    queues: list[QueueView]


class ShareView(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several queues has of a pool. `workers`: how many it had on average, over the last minute.
    `used_secs`: running time of its jobs in this pool since the daemon's start."""

    queue: str
    weight: int
    reserve: int
    running: int
    workers: float
    used_secs: float


class PoolView(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: starting, ready, degraded (`reason` says why), or stopping. `size` is how many workers there are now,
    of `min` to `max`. `crashes`: children that died on their own since the start; `recycled`: those that were replaced
    as planned; `spawned`: all children since the start. `generation` rises with each rolling restart. `order`
    and `shares` say how several queues divide it; a pool with one has no shares."""

    pool: str
    state: str
    reason: str | None
    generation: int
    restarting: bool
    size: int
    min: int
    max: int
    idle: int
    busy: int
    spawned: int
    crashes: int
    recycled: int
    jobs_done: int
    queues: list[str]
    order: str
    shares: list[ShareView]


class PoolsView(msgspec.Struct, frozen=True, kw_only=True):
    pools: list[PoolView]


class WorkerView(msgspec.Struct, frozen=True, kw_only=True):
    """One slot. `state`: starting, idle, busy, ending, or waiting (for the respawn backoff). `generation`: of its
    process, 0 without one."""

    pool: str
    slot: int
    generation: int
    pid: int | None
    state: str
    job: str | None
    jobs_done: int  # by this child
    rss: int | None  # bytes, its children's included
    age_secs: float | None


class WorkersView(msgspec.Struct, frozen=True, kw_only=True):
    workers: list[WorkerView]


class RestartView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `restart`, when every worker has been replaced."""

    pool: str
    generation: int
    replaced: int


class ReloadView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `reload`, when it has happened: names of pools and queues, and of settings their key paths. The
    workers of a pool in `pools_restarted` have been replaced; those in `pools_changed` were not touched."""

    config: str
    pools_added: list[str]
    pools_removed: list[str]
    pools_restarted: list[str]
    pools_changed: list[str]
    queues_added: list[str]
    queues_removed: list[str]
    queues_changed: list[str]
    settings: list[str]


class StoreView(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: ok; low, while the disk's reserve is touched and submits are refused; failing. `reason` says why."""

    url: str
    state: str
    reason: str | None
    epoch: int
    disk_free: int | None  # bytes; None: not watched, or not known


class BatchesView(msgspec.Struct, frozen=True, kw_only=True):
    """Batches that are not final: those whose lines are worked on, those that wait for their turn, and how many lines
    of both are not answered, with those that are being received."""

    in_progress: int = 0
    pending: int = 0
    unanswered: int = 0


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: running, draining or drained. `unserved`: queues that have jobs or a configuration but no pool."""

    version: str
    pid: int
    state: str
    started_at: str
    uptime_secs: float
    config: str
    connections: int
    store: StoreView
    pools: list[PoolView]
    queues: list[QueueView]
    unserved: list[str]
    batches: BatchesView = BatchesView()


class DrainView(msgspec.Struct, frozen=True, kw_only=True):
    drained: bool = True


class BackupView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `backup`, before the first notification. `bytes`: about as many as there will be."""

    version: str
    bytes: int


class CopyingView(msgspec.Struct, frozen=True, kw_only=True):
    """`copying`: how far the copy is that will then be sent."""

    bytes: int
    of: int


class CompleteView(msgspec.Struct, frozen=True, kw_only=True):
    """`complete`: everything was sent. `running`: jobs that were at that moment. `schema`: the version of the file."""

    bytes: int
    jobs: int
    running: int
    schema: int
    seconds: float


class FailedView(msgspec.Struct, frozen=True, kw_only=True):
    """`failed`: nothing more will be sent. `code` is one of the words of refusals."""

    code: str
    message: str
