"""A folder with a configuration, and the real daemon that is started in it again and again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from protocol.client import Client, Disconnected, NoDaemon
from supervisor.pool import procfs
from tests.crash.every_moment import EVERY_MOMENT
from tests.workers import Mark, marks

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds; a test that needs them has failed
NOT_FOR_CHILDREN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "STOKER_SOCKET")


def until(come: Callable[[], object], what: str) -> None:
    """Return when `come()` is true."""
    deadline = time.monotonic() + PATIENCE
    while not come():
        assert time.monotonic() < deadline, f"waited {PATIENCE:g} s in vain: {what}"
        time.sleep(0.003)


class Daemon:
    """One process; `number` counts those of its house. `moment`: where it was told to end itself, if at all."""

    def __init__(self, house: "House", number: int, moment: str | None, argv: Sequence[str], env: Mapping[str, str]):
        self.number = number
        self.moment = moment
        self.side_file = house.folder / f"marks.{number}"
        self._house = house
        self._log = house.folder / f"log.{number}"
        self._env = {name: value for name, value in os.environ.items() if name not in NOT_FOR_CHILDREN}
        self._env |= {"STOKER_TEST_FILE": str(self.side_file), "STOKER_TEST_HOUSE": str(house.folder), **env}
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*_dies_with_us(), sys.executable, *argv],
                cwd=ROOT,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stderr=log,
                # As a service is; where sessions share the processors (autogroup), it does not share ours.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Once it has ended by itself; negative: the signal."""
        return self.process.wait(PATIENCE)

    def is_up(self) -> bool:
        """Whether it answers: a child of its predecessor, on the way to become a worker, may listen in its place for a
        moment. AssertionError if it has ended of its own accord, which it was not to."""
        assert self.process.poll() in (None, -signal.SIGKILL), f"the daemon exited at its start:\n{self.log()}"
        try:
            with self._house.client() as client:
                client.ping()
                return True
        except (NoDaemon, Disconnected):
            return False

    def wait_until_up(self) -> None:
        until(lambda: self.is_up() or self.process.poll() is not None, "the daemon's socket")

    def has_struck(self) -> bool:
        return self._house.hit(self.number).exists()

    def log(self) -> str:
        return self._log.read_text()

    def events(self, name: str) -> list[dict[str, Any]]:
        """What it has logged under this name; a line cut short by its death is left out."""
        rows = [json.loads(row) for row in self.log().splitlines() if row.startswith("{") and row.endswith("}")]
        return [row for row in rows if row["event"] == name]

    def marks(self) -> list[Mark]:
        return marks(self.side_file)

    def processes(self) -> list[int]:
        """Its workers and theirs that are alive, whatever became of itself."""
        entry = os.fsencode(f"STOKER_TEST_FILE={self.side_file}")
        return [pid for pid in _living(entry) if pid != self.pid]


class House:
    """`pools` as in the configuration, each named like its queue; the others are settings for those tables, and any
    further ones."""

    def __init__(
        self,
        folder: Path,
        pools: Mapping[str, Mapping[str, Any]],
        *,
        queue: Mapping[str, Any] | None = None,
        daemon: Mapping[str, Any] | None = None,
        store: Mapping[str, Any] | None = None,
        **tables: Mapping[str, Any],
    ) -> None:
        self.folder = folder
        self.socket = folder / "socket"
        self.state_dir = folder / "state"
        self.config = folder / "stoker.toml"
        self.daemons: list[Daemon] = []
        where = {"socket": str(self.socket), "state_dir": str(self.state_dir), "log_format": "json"}
        document = {
            "daemon": {**where, **(daemon or {})},
            "store": dict(store or {}),
            "pools": {name: {"kill_grace": "300ms", "boot_timeout": "20s", **pool} for name, pool in pools.items()},
            "queues": {name: dict(queue or {}) for name in pools},
            **tables,
        }
        self.config.write_text(tomli_w.dumps(document))

    def start(self, *, env: Mapping[str, str] | None = None, config: Path | None = None) -> Daemon:
        """The daemon as anybody starts it."""
        return self._add(None, ["-m", "supervisor", "serve", "-c", str(config or self.config)], env or {})

    def start_until(self, moment: str, nth: int, number: signal.Signals = signal.SIGKILL) -> Daemon:
        """A daemon that sends itself the signal at the nth occurrence of `moment`."""
        assert moment in EVERY_MOMENT
        hit = self.hit(len(self.daemons))
        argv = ["-m", "tests.crash.daemon_at", str(self.config), moment, str(nth), number.name, str(hit)]
        return self._add(moment, argv, {})

    def _add(self, moment: str | None, argv: Sequence[str], env: Mapping[str, str]) -> Daemon:
        daemon = Daemon(self, len(self.daemons), moment, argv, env)
        self.daemons.append(daemon)
        return daemon

    def started(self, **how: Any) -> Daemon:
        """One that listens already."""
        daemon = self.start(**how)
        daemon.wait_until_up()
        return daemon

    def client(self) -> Client:
        return Client(str(self.socket), timeout=PATIENCE)

    def hit(self, number: int) -> Path:
        return self.folder / f"hit.{number}"

    def records(self) -> list[str]:
        """The sessions on record for the next start to end."""
        return os.listdir(self.state_dir / "children")

    def processes(self) -> list[int]:
        """Every process that was ever started in this house and is alive."""
        return _living(os.fsencode(f"STOKER_TEST_HOUSE={self.folder}"))

    def close(self) -> None:
        """End whatever is left, by its number."""
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.process.kill()
            daemon.process.wait()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


def _living(entry: bytes) -> list[int]:
    everybody = procfs.all_processes()
    return [one.pid for one in everybody if one.state not in "ZX" and procfs.has_environ(one.pid, entry)]


def _dies_with_us() -> list[str]:
    """So that a test run that is killed leaves no daemon behind."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
