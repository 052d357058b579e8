"""A stoker daemon of one's own: started in a folder, stopped at the end, its log at hand when something goes wrong.

The demos share it; each has a link to it in its folder.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import tomli_w

from protocol.client import Client, NoDaemon

START_SECS = 30.0
STOP_SECS = 40.0  # more than drain_timeout, so that a slow stop is the daemon's own
LOG_LINES = 20

# What systemd told whoever started this program is not meant for the daemon below it.
OF_SYSTEMD = ("NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID")


class DaemonFailed(Exception):
    """It did not start, or did not stop as it should. The text ends with the last lines of its log."""


class LocalDaemon:
    """`with LocalDaemon(folder, config) as daemon: Client(daemon.socket)`; the folder takes socket, state and log.

    `config` is what stoker.toml would say of pools and queues.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        self.socket = str(folder / "stoker.sock")
        self._log = folder / "stoker.log"
        self._config = folder / "stoker.toml"
        own = {"daemon": {"socket": self.socket, "state_dir": str(folder)}}
        self._config.write_text(tomli_w.dumps(config | own), encoding="utf-8")

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if name not in OF_SYSTEMD}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "supervisor", "serve", "-c", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C is for us; the daemon is told by SIGTERM
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        code = self._stop()
        if code != 0 and kind is None:
            raise DaemonFailed(f"the daemon was told to stop and exited with code {code}{self._last_words()}")

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_SECS
        while time.monotonic() < deadline:
            if (code := self._process.poll()) is not None:
                raise DaemonFailed(f"the daemon exited at its start with code {code}{self._last_words()}")
            try:
                with Client(self.socket, timeout=START_SECS) as client:
                    client.ping()
                return
            except NoDaemon:
                time.sleep(0.02)
        raise DaemonFailed(f"the daemon did not answer within {START_SECS:g} s{self._last_words()}")

    def _stop(self) -> int:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        return "; its log ends with:\n" + "\n".join(lines) if lines else "; its log is empty"
