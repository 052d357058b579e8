"""What a configuration says, checked and frozen. Durations are float seconds, sizes are bytes, paths are absolute."""

from pathlib import Path
from typing import Literal

import msgspec

SECOND, MINUTE, HOUR, DAY = 1.0, 60.0, 3600.0, 86400.0
KIB, MIB = 1024, 1024 * 1024


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """The wait before attempt n+1: `base * factor ** (n - 1)`, at most `cap`, give or take `jitter` (a fraction)."""

    base: float = 2.0
    factor: float = 2.0
    cap: float = 10 * MINUTE
    jitter: float = 0.2


class QueueConfig(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    max_attempts: int = 5
    max_crashes: int = 3
    max_payload: int = MIB
    backoff: Backoff = Backoff()


class PoolConfig(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    command: tuple[str, ...]
    size: int = 1
    queues: tuple[str, ...]
    cwd: Path
    env: tuple[tuple[str, str], ...] = ()
    timeout: float = 10 * MINUTE
    boot_timeout: float = MINUTE
    kill_grace: float = 5.0
    max_line: int = 16 * MIB


class DaemonConfig(msgspec.Struct, frozen=True, kw_only=True):
    socket: Path
    socket_mode: int = 0o600
    state_dir: Path
    drain_timeout: float = 25.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    max_connections: int = 1000
    max_outstanding: int = 128  # unanswered requests of one connection; then it is not read
    max_line: int = 16 * MIB  # of one request on the control socket
    max_jobs: int = 10_000  # in one submit_many


class StoreConfig(msgspec.Struct, frozen=True, kw_only=True):
    url: str = "sqlite:stoker.db"


class Config(msgspec.Struct, frozen=True, kw_only=True):
    source: Path
    daemon: DaemonConfig
    store: StoreConfig
    pools: tuple[PoolConfig, ...]
    queues: tuple[QueueConfig, ...]  # every known queue: configured, or served by a pool

    def queue(self, name: str) -> QueueConfig | None:
        return next((queue for queue in self.queues if queue.name == name), None)
