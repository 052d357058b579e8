"""One worker started as a pool would start it, without the pool: what it was given is seen from inside it."""

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from supervisor.config.model import PoolConfig
from supervisor.pool import launch as launching
from supervisor.pool.cgroups import Cgroup
from supervisor.pool.child import Child
from supervisor.pool.launch import MARK, launch
from tests.pool.rig import pool_config

PATIENCE = 20.0  # seconds; a test that needs them has failed
INSTANCE = "test.1"
PYTHON = (sys.executable, "-S", "-E", "-c")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"


class Worker:
    """A started child and both ends of the conversation with it."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.heard = {"replies": b"", "stderr": b""}

    def say(self, *lines: str) -> None:
        self.child.write("".join(f"{line}\n" for line in lines).encode())

    def line(self, channel: str = "replies") -> str:
        """The next line on "replies" or "stderr"; fails when the pipe ends before."""
        while b"\n" not in self.heard[channel]:
            assert self._more(channel), f"{channel} ended after {self.heard[channel]!r}"
        line, self.heard[channel] = self.heard[channel].split(b"\n", 1)
        return line.decode()

    def rest(self, channel: str = "replies") -> str:
        """All that comes until the pipe ends."""
        while self._more(channel):
            pass
        data, self.heard[channel] = self.heard[channel], b""
        return data.decode("utf-8", "surrogateescape")

    def hang_up(self) -> None:
        os.close(self.child.requests)
        self.child.requests = -1

    def status(self) -> int:
        """How it ended, as subprocess says it; waits for that."""
        poll = select.poll()
        poll.register(self.child.pidfd, select.POLLIN)
        assert poll.poll(PATIENCE * 1000), "it does not end"
        return self.child.reap()

    def _more(self, channel: str) -> bool:
        fd = getattr(self.child, channel)
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(PATIENCE * 1000), f"nothing more came on {channel} after {self.heard[channel]!r}"
        data = os.read(fd, 65536)
        self.heard[channel] += data
        return bool(data)


@contextmanager
def launched(
    command: Sequence[str],
    folder: Path,
    *,
    slot: int = 0,
    environ: Mapping[str, str] | None = None,
    cgroup: Cgroup | None = None,
    at_gate: Callable[[int], None] | None = None,
    **changes: object,
) -> Iterator[Worker]:
    """`changes` are the pool's settings; `environ` is the daemon's environment (default: ours). `at_gate` is called
    with the pid of what waits to become the worker, before anything is set."""
    real = launching.settle

    def settle(config: PoolConfig, slot: int, pid: int, cgroup: Cgroup | None) -> None:
        if at_gate is not None:
            at_gate(pid)
        real(config, slot, pid, cgroup)

    with patch.object(launching, "settle", settle):
        child = launch(
            pool_config(command, folder, **changes),
            slot,
            instance=INSTANCE,
            environ=dict(os.environ) if environ is None else environ,
            cgroup=cgroup,
        )
    try:
        yield Worker(child)
    finally:
        child.signal(signal.SIGKILL)
        child.reap()
        for fd in (child.requests, child.replies, child.stderr, child.pidfd):
            if fd >= 0:
                os.close(fd)


def seen(program: str, folder: Path, **settings: Any) -> Any:
    """What a Python program that prints one JSON value sees."""
    with launched([*PYTHON, program], folder, **settings) as worker:
        return json.loads(worker.line())


def environment(folder: Path, **settings: Any) -> dict[str, str]:
    """The whole environment of a worker, without any interpreter in between; but not its mark, which is another each
    time."""
    made = _environment(folder, settings)
    del made[MARK]
    return made


def mark_of(folder: Path, **settings: Any) -> str:
    return _environment(folder, settings)[MARK]


def _environment(folder: Path, settings: dict[str, Any]) -> dict[str, str]:
    with launched(["cat", "/proc/self/environ"], folder, **settings) as worker:
        return dict(entry.split("=", 1) for entry in worker.rest().split("\0") if entry)


def status_of(text: str) -> dict[str, str]:
    """/proc/PID/status."""
    return {name: value.strip() for name, value in (line.split(":", 1) for line in text.splitlines())}


def until(true: Any, what: str) -> None:
    """Return when `true()` is: the state of another process, which nothing announces."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.002)
