import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.client import Client, ClientError

WORKER = Path(__file__).with_name("thumbs.py")
CONFIGURATION = """
[daemon]
socket = {socket}
state_dir = {state}
drain_timeout = "0s"

[pools.thumbs]
command = {command}
size = 2

# What no pool serves waits, so that an example can look at it.
[queues.mail]
[queues.nightly]
[queues.quiet]
[queues.reports]
"""
START_WITHIN = 20.0  # seconds
STOP_WITHIN = 20.0


@pytest.fixture(scope="module")
def daemon_socket() -> Iterator[str]:
    """The socket of a real daemon that was just started, with an empty store."""
    with tempfile.TemporaryDirectory(prefix="stoker-") as name:  # tmp_path is too long for a socket
        folder = Path(name)
        socket = str(folder / "s")
        config = folder / "stoker.toml"
        command = [sys.executable, "-S", str(WORKER)]
        values = {"socket": socket, "state": str(folder / "state"), "command": command}
        config.write_text(CONFIGURATION.format(**{key: json.dumps(value) for key, value in values.items()}))
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen(
                [sys.executable, "-m", "supervisor", "serve", "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": name},
            )
        try:
            _wait_until_it_answers(daemon, socket, folder / "log")
            yield socket
        finally:
            _stop(daemon)


def _wait_until_it_answers(daemon: "subprocess.Popen[bytes]", socket: str, log: Path) -> None:
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            with Client(socket, timeout=START_WITHIN) as client:
                client.ping()
                return
        except ClientError as error:
            if daemon.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the daemon did not start: {error}; it said:\n{log.read_text()}")
        time.sleep(0.02)


def _stop(daemon: "subprocess.Popen[bytes]") -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
        pytest.fail(f"the daemon did not stop within {STOP_WITHIN:.0f} s of SIGTERM")
