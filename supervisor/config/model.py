"""What a configuration says, checked and frozen. Durations are float seconds, sizes are bytes, paths are absolute."""

from pathlib import Path
from typing import Literal

import msgspec

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86400.0
NANOS = 1_000_000_000  # in a second
KIB, MIB = 1024, 1024 * 1024


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """The wait after failure n: `base * factor ** (n - 1)`, at most `cap`; or the nth of `delays`, of which the last
    one repeats. Either give or take `jitter` (a fraction)."""

    base: float = 2.0
    factor: float = 2.0
    cap: float = 10 * MINUTE
    jitter: float = 0.2
    delays: tuple[float, ...] | None = None  # in the place of base, factor and cap


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long jobs are kept after their end (inf: for ever), and how many of each kind at most (None: any number)."""

    done: float = 7 * DAY
    failed: float = 30 * DAY
    cancelled: float = 7 * DAY
    expired: float = 7 * DAY
    max_done: int | None = None
    max_failed: int | None = None
    max_cancelled: int | None = None
    max_expired: int | None = None


class AccessConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do what: users, "@" and a group, by name or number, or "*". None: in a queue as for the daemon, for that
    what `control.access` says."""

    admin: tuple[str, ...] | None = None
    submit: tuple[str, ...] | None = None
    look: tuple[str, ...] | None = None


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """`count` in `period` (nanoseconds)."""

    count: int
    period: int


class QueueConfig(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    max_attempts: int = 5
    max_crashes: int = 3
    max_payload: int = MIB
    max_result: int | None = None  # None: as much as the pool's max_line lets through
    max_pending: int | None = None
    events: bool = True  # what happens to its jobs is written into the journal
    backoff: Backoff = Backoff()
    on_daemon_crash: Literal["retry", "fail"] = "retry"  # what becomes of a job that was running then
    retention: Retention = Retention()
    access: AccessConfig = AccessConfig()
    rate: Rate | None = None  # at which jobs begin
    burst: int | None = (
        None  # how many may at once after a pause; None: as many as in a tenth of a second, at least one
    )
    concurrency: int | None = None  # jobs that run at a time, in all pools together
    rate_per_key: Rate | None = None  # the same for all jobs that have a rate_key in common,
    burst_per_key: int | None = None
    concurrency_per_key: int | None = None  # and a concurrency_key
    on_throttle: Literal["job", "queue"] = "job"  # what waits after a throttled reply

    @property
    def keyed(self) -> bool:
        """Whether its jobs are limited by their keys."""
        return self.rate_per_key is not None or self.concurrency_per_key is not None


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`min` and `max` workers; a fixed size is both. What is None is not limited, or left as the daemon has it."""

    name: str
    command: tuple[str, ...]
    min: int = 1
    max: int = 1
    grow_after: float = 0.5  # seconds that jobs wait before a worker is added
    shrink_after: float = MINUTE  # seconds that a worker is idle before it is taken away
    queues: tuple[str, ...]
    # what each of several queues has of the workers; what is not said is weight 1 and reserve 0
    order: Literal["weight", "strict"] = "weight"
    weight: tuple[tuple[str, int], ...] = ()
    reserve: tuple[tuple[str, int], ...] = ()
    # the conversation
    channel: Literal["stdio", "fd"] = "stdio"
    ready: bool = False  # it says when it is ready
    require_id: bool = False
    timeout: float = 10 * MINUTE
    boot_timeout: float = MINUTE
    kill_grace: float = 5.0
    max_line: int = 16 * MIB
    # the process
    cwd: Path
    env: tuple[tuple[str, str], ...] = ()
    env_files: tuple[Path, ...] = ()  # read at each start of a worker; later ones win, and `env` wins over them
    clear_env: bool = False
    user: str | None = None
    group: str | None = None
    nice: int | None = None
    umask: int | None = None
    rlimits: tuple[tuple[str, int | None], ...] = ()  # ("nofile", 1024); None: unlimited
    cpu_affinity: tuple[frozenset[int], ...] = ()  # slot n runs on the CPUs of entry n modulo their number
    # when it is replaced
    max_jobs: int | None = None
    max_age: float | None = None
    max_idle: float | None = None
    max_rss: int | None = None
    recycle_jitter: float = 0.2  # each worker's limits are up to this fraction lower, so that a pool never goes at once
    memory_limit: int | None = None  # of the worker and its children together; over it they are killed

    def __repr__(self) -> str:
        """Without the values of `env`, wherever a configuration may end up."""
        hidden = msgspec.structs.replace(self, env=tuple((name, "…") for name, _ in self.env))
        return msgspec.Struct.__repr__(hidden)


class DaemonConfig(msgspec.Struct, frozen=True, kw_only=True):
    socket: Path
    socket_mode: int = 0o600
    state_dir: Path
    cgroup: Path | Literal["auto", "off"] = "auto"  # where workers get a cgroup each
    drain_timeout: float = 25.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json", "journal"] = "auto"
    log_jobs: Literal["all", "failed", "none"] = "all"  # whose stories are logged
    max_connections: int = 1000
    max_outstanding: int = 128  # unanswered requests of one connection; then it is not read
    max_line: int = 16 * MIB  # of one request on the control socket
    max_jobs: int = 10_000  # in one submit_many
    disk_reserve: int = 64 * MIB  # free space of the store's disk that new jobs do not get


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True):
    url: str = "sqlite:stoker.db"
    events_max_age: float = 7 * DAY
    events_max_count: int = 1_000_000


class BatchesConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Of one batch, and of all together the lines that are not answered; how long one is kept after its end (inf: for
    ever)."""

    max_lines: int = 10_000_000
    max_bytes: int = 10 * 1024 * MIB
    max_pending_lines: int = 50_000_000
    keep: float = 30 * DAY


class Config(msgspec.Struct, frozen=True, kw_only=True):
    source: Path
    daemon: DaemonConfig
    store: StoreConfig
    access: AccessConfig = AccessConfig()
    pools: tuple[PoolConfig, ...]
    retention: Retention = Retention()  # of queues that say nothing else, and of those that are configured no more
    batches: BatchesConfig = BatchesConfig()
    queues: tuple[QueueConfig, ...]  # every known queue: configured, or served by a pool

    def queue(self, name: str) -> QueueConfig | None:
        return next((queue for queue in self.queues if queue.name == name), None)
