"""What is to be tried, and with what: a command line, checked and frozen. Durations are float seconds."""

from pathlib import Path
from typing import Literal

import msgspec

from supervisor.config.model import PoolConfig

NAME = "check"  # of the pool, and of the queue, that the program sees
JOBS = 10_000
QUICK_JOBS = 1_000

# What is sent where nobody says what the program understands: its answers may be errors.
OWN_PAYLOADS = (b'{"name":"world"}', b'{"text":"to be or not to be"}', b'{"n":360}', b'["a","b"]', b'"text"', b"7")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`payloads`: compact JSON texts that the program understands. `jobs`: of the long trials. `only`, `skip`: names
    of trials."""

    command: tuple[str, ...]
    cwd: Path
    env: tuple[tuple[str, str], ...] = ()
    payloads: tuple[bytes, ...] = ()
    ready: bool = False
    require_id: bool = False
    channel: Literal["stdio", "fd"] = "stdio"
    timeout: float = 10.0
    boot_timeout: float = 60.0
    kill_grace: float = 5.0
    jobs: int = JOBS
    only: frozenset[str] = frozenset()
    skip: frozenset[str] = frozenset()

    @property
    def pipes(self) -> tuple[str, str]:
        """What to call those that the program reads and writes."""
        return ("file descriptor 3", "file descriptor 4") if self.channel == "fd" else ("stdin", "stdout")

    def pool(self) -> PoolConfig:
        """The pool that the program would be a worker of."""
        return PoolConfig(
            name=NAME,
            command=self.command,
            queues=(NAME,),
            channel=self.channel,
            ready=self.ready,
            require_id=self.require_id,
            timeout=self.timeout,
            boot_timeout=self.boot_timeout,
            kill_grace=self.kill_grace,
            cwd=self.cwd,
            env=self.env,
        )
