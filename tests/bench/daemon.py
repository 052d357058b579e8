"""A real daemon, with a folder and a configuration of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import tomli_w

from tests.bench.setting import ECHO, WORKERS
from tests.bench.wire import Wire, ids, submits

QUEUE = "echo"
_PATIENCE = 60.0  # seconds
_WARM_UP = 200  # jobs
_TRACE = ("-D", "-f", "--seccomp-bpf", "-qq", "-e", "trace=fdatasync,fsync")


class Daemon:
    """Use as a context manager: started at its beginning, killed at its end if it still runs.

    `beside`: another queue that its workers serve. `limits`: those of the queue. `events`: whether it keeps a journal.
    `count_syncs`: let strace write down each sync. Only those calls are stopped at, so the rest runs at full speed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        beside: str | None = None,
        limits: dict[str, object] | None = None,
        events: bool = True,
        count_syncs: bool = False,
    ) -> None:
        self.folder = folder
        self.socket = folder / "sock"
        self._trace = folder / "syncs" if count_syncs else None
        self._process: subprocess.Popen[bytes]
        config = {
            "daemon": {"socket": str(self.socket), "state_dir": str(folder / "state"), "log_format": "json"},
            "pools": {QUEUE: {"command": ECHO, "size": WORKERS, "queues": [QUEUE, *([beside] if beside else [])]}},
            "queues": {QUEUE: {**(limits or {}), **({} if events else {"events": False})}},
        }
        (folder / "stoker.toml").write_text(tomli_w.dumps(config))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.poll() is None:
            self.kill()

    @property
    def pid(self) -> int:
        return self._process.pid

    def launch(self) -> None:
        """Returns as soon as there is a process."""
        command = [sys.executable, "-m", "supervisor", "serve", "-c", str(self.folder / "stoker.toml")]
        if self._trace is not None:
            command = ["strace", *_TRACE, "-o", str(self._trace), *command]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, stdout=log)

    def start(self) -> None:
        """Returns when it serves and each of its workers has answered a job."""
        self.launch()
        with self.connect() as wire:
            self.until_idle(wire)
            # A worker counts as idle before its interpreter is up; then it is given a job, and that one is waited for.
            warm_up = ids(wire.ask_all(submits(QUEUE, range(_WARM_UP), _WARM_UP), 1))
            wire.call("wait", {"ids": warm_up})

    def until_idle(self, wire: Wire) -> None:
        self._until(lambda: wire.call("pools")["pools"][0]["idle"] == WORKERS)

    def connect(self) -> Wire:
        """A connection, as soon as there is somebody to connect to."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return Wire(self.socket)
            except (FileNotFoundError, ConnectionRefusedError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the daemon did not come up:\n{self._last_words()}") from None
                time.sleep(0.001)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        if self._process.wait(_PATIENCE):
            raise RuntimeError(f"the daemon ended badly:\n{self._last_words()}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def memory(self, which: str = "VmRSS") -> float:
        """VmRSS or VmHWM in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith(which)]
        return int(line.split()[1]) * 1024 / 1e6

    def cpu(self) -> float:
        """Seconds of processor time so far, of all its threads and none of its workers."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def syncs(self) -> int:
        """How many there have been; only with `count_syncs`."""
        assert self._trace is not None
        text = self._trace.read_text()
        return text.count("fdatasync(") + text.count("fsync(")

    def _until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not true():
            if time.monotonic() > deadline:
                raise RuntimeError(f"the daemon's workers did not come up:\n{self._last_words()}")
            time.sleep(0.01)

    def _last_words(self) -> str:
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-5:])


def can_count_syncs() -> bool:
    """Whether there is a strace, recent enough and allowed to trace."""
    if shutil.which("strace") is None:
        return False
    probe = subprocess.run(["strace", *_TRACE, "-o", os.devnull, "true"], capture_output=True)
    return probe.returncode == 0
