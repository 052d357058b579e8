"""What a run of `stoker map` is to do."""

from pathlib import Path
from typing import Literal

import msgspec

from supervisor.config.model import KIB, MIB, Backoff, PoolConfig, QueueConfig
from supervisor.mapping.row import NAME


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Durations in seconds, sizes in bytes. `retries`: attempts of a line after its first. Without `input` it is stdin,
    without `output` stdout; without `errors` a failed line is answered in the output. `progress`: None where a terminal
    decides."""

    command: tuple[str, ...]
    cwd: Path
    workers: int = 1
    input: Path | None = None
    output: Path | None = None
    errors: Path | None = None
    unordered: bool = False
    records: bool = False
    raw_input: bool = False
    retries: int = 0
    backoff: Backoff = Backoff(base=1.0, cap=60.0)
    timeout: float = 600.0
    boot_timeout: float = 60.0
    kill_grace: float = 5.0
    ready: bool = False
    channel: Literal["stdio", "fd"] = "stdio"
    resume: bool = False
    progress: bool | None = None
    max_payload: int = 8 * MIB
    read_ahead: int = 256 * KIB

    def pool(self) -> PoolConfig:
        """The workers."""
        return PoolConfig(
            name=NAME,
            command=self.command,
            min=self.workers,
            max=self.workers,
            queues=(NAME,),
            channel=self.channel,
            ready=self.ready,
            timeout=self.timeout,
            boot_timeout=self.boot_timeout,
            kill_grace=self.kill_grace,
            cwd=self.cwd,
        )

    def queue(self) -> QueueConfig:
        """What becomes of a line whose attempt has failed."""
        return QueueConfig(name=NAME, max_attempts=self.retries + 1, backoff=self.backoff)
