"""A real daemon with a configuration of its own: started, asked, looked at from outside, stopped."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

import tomli_w

from protocol.client import Client, Disconnected, NoDaemon
from supervisor.pool import procfs

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds; a test that needs them has failed
TICK = os.sysconf("SC_CLK_TCK")
NOT_FOR_THE_DAEMON = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "STOKER_SOCKET")
BUGS = {
    "claim_refused",
    "dispatch_renewed",
    "dispatch_stuck",
    "outcomes_not_recorded",
    "request_failed",
    "stale_outcome",
    "store_batch_failed",
    "worker_tree_survived",
}  # what a log never holds, whatever a test does to the daemon

T = TypeVar("T")


def until(true: Callable[[], T], what: str, patience: float = PATIENCE) -> T:
    """Return what `true()` does, as soon as that is true."""
    deadline = time.monotonic() + patience
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {patience:g} s in vain for {what}"
        time.sleep(0.01)
    return found


def children(pid: int) -> list[procfs.Stat]:
    """Of a process, dead ones included that are not reaped, whichever of its threads has started them."""
    found = (path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [stat for pids in found for one in pids if (stat := procfs.stat(int(one)))]


class Daemon:
    """`pools`, `queues`, `access` and `batches` as in the configuration file; `settings` are those of its [daemon]."""

    def __init__(
        self,
        folder: Path,
        pools: Mapping[str, Mapping[str, Any]],
        queues: Mapping[str, Mapping[str, Any]] | None = None,
        access: Mapping[str, Any] | None = None,
        batches: Mapping[str, Any] | None = None,
        **settings: object,
    ) -> None:
        # The kernel's limit for a socket's path is 107 bytes, and a test's own folder may be deep.
        self._place = tempfile.TemporaryDirectory(prefix="stoker-")
        self.socket = f"{self._place.name}/sock"
        self._config = folder / "stoker.toml"
        self._log = folder / "log"
        self.side_file = folder / "marks"  # for the workers that write one
        self.state = Path(str(settings.get("state_dir", folder / "state")))
        self._settings = {"socket": self.socket, "state_dir": str(self.state), "log_format": "json", **settings}
        self._others = {"access": access or {}, "batches": batches or {}}
        self.configure(pools, queues)
        self._process: subprocess.Popen[bytes] | None = None
        self._no_bugs: set[str] = set()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def configure(
        self, pools: Mapping[str, Mapping[str, Any]], queues: Mapping[str, Mapping[str, Any]] | None = None
    ) -> None:
        """For the next start."""
        tables = {"daemon": self._settings, "pools": pools, "queues": queues or {}}
        tables |= {name: table for name, table in self._others.items() if table}
        self._config.write_text(tomli_w.dumps(tables))

    # -- from start to stop ----------------------------------------------------------------------------------------

    def start(self, *, own_session: bool = False) -> None:
        """Returns when it answers. `own_session`: without a terminal, whatever the tests have."""
        with self._log.open("ab") as log:
            self._process = self._launch(log, own_session=own_session)
        try:
            until(self._answers, "the daemon's first answer")
        except BaseException:
            self.kill()
            raise

    def failing_start(self) -> tuple[int, str]:
        """The exit code, and what it says."""
        process = self._launch(subprocess.PIPE)
        try:
            words, _ = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
        return process.returncode, words.decode()

    def _launch(self, output: IO[bytes] | int, *, own_session: bool = False) -> "subprocess.Popen[bytes]":
        environment = {name: value for name, value in os.environ.items() if name not in NOT_FOR_THE_DAEMON}
        environment["STOKER_TEST_FILE"] = str(self.side_file)
        return subprocess.Popen(
            [sys.executable, "-m", "supervisor", "serve", "-c", str(self._config)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=own_session,
        )

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the daemon exited at its start:\n{self.last_words()}"
        try:
            with self.client() as client:
                return bool(client.ping())
        except (NoDaemon, Disconnected):  # a child of a killed one may still hold its socket, for a moment
            return False

    def stop(self, *, but: Collection[str] = ()) -> None:
        """As systemd does; it must exit cleanly, leave no child, and have met no bug on its way. `but`: words of a log
        that are none in this test."""
        self._no_bugs |= {*but}
        assert self._process is not None
        assert self._process.poll() is None, f"the daemon has exited:\n{self.last_words()}"
        children = self.children()
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(PATIENCE)
        self._process = None
        assert code == 0, f"the daemon exited with code {code}:\n{self.last_words()}"
        left = [child for child in children if (now := procfs.stat(child.pid)) and now.started == child.started]
        assert left == []
        assert (BUGS - self._no_bugs).isdisjoint(row["event"] for row in self.log())

    def kill(self) -> None:
        """As the kernel does when memory runs out."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def end(self) -> None:
        """Whatever happened, and however often it is called."""
        if self._process is not None:
            self.kill()
        self._place.cleanup()

    @property
    def running(self) -> bool:
        return self._process is not None

    # -- from outside ----------------------------------------------------------------------------------------------

    def client(self, timeout: float | None = PATIENCE) -> Client:
        return Client(self.socket, timeout=timeout)

    def connect(self) -> socket.socket:
        """A bare connection, for what a client would not do."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self.socket)
        connection.settimeout(PATIENCE)  # not before: where there is a timeout, connect does not wait for its turn
        return connection

    def children(self) -> list[procfs.Stat]:
        """Its child processes, dead ones included that it has not reaped."""
        return children(self.pid)

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def memory(self) -> int:
        """Bytes of it that are resident."""
        return procfs.rss(self.pid) or 0

    def cpu(self) -> float:
        """Seconds of processor time so far, of all its threads and none of its workers."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def log(self) -> list[dict[str, Any]]:
        """Every event, all its starts together."""
        return [json.loads(row) for row in self._log.read_text().splitlines()]

    def last_words(self, rows: int = 30) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-rows:])
