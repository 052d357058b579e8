"""Cancel means now, whatever the worker does to stay."""

import statistics
import time
from pathlib import Path
from typing import Any

import pytest

from protocol.client import Client
from supervisor.pool import procfs
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import command

GRACE = 0.4  # seconds
AT_ONCE = 0.5  # seconds: what the whole tree's end may take beyond the grace
TRIES = 3


def lives(pid: int) -> bool:
    found = procfs.stat(pid)
    return found is not None and found.state not in "ZX"


def begin(daemon: Daemon, client: Client, pid_file: Path, close: list[int]) -> tuple[str, int, int]:
    """A job whose worker has hidden a grandchild and closed these; the job, the worker and the grandchild."""
    payload: dict[str, Any] = {"pid_file": str(pid_file), "deaf": True, "close": close, "then": "hang"}
    job = client.submit("p", payload)["id"]
    until(pid_file.exists, "the grandchild")
    grandchild = int(pid_file.read_text())
    until(lambda: not Path(f"/proc/{grandchild}/fd/1").exists(), "the end of the grandchild's pipes")
    [worker] = client.workers("p")
    assert worker["pid"] is not None
    assert lives(grandchild)
    return job, worker["pid"], grandchild


@pytest.mark.provokes("cancelled", "grandchildren", "kill_grace", program="daemonises.py")
def test_what_hides_and_is_deaf_is_gone_half_a_second_after_the_grace(start: Start, tmp_path: Path) -> None:
    """Its mark in the environment is all that the grandchild has left of where it comes from. The worker has closed
    stdin and stderr; one that closes stdout as well is the next test's."""
    daemon = start({"p": {"command": command("daemonises"), "kill_grace": GRACE}})
    took = []
    with daemon.client() as client:
        for turn in range(TRIES):
            job, worker, grandchild = begin(daemon, client, tmp_path / f"pid{turn}", [0, 2])
            began = time.monotonic()
            assert client.cancel(job)["state"] == "cancelled"
            took.append(time.monotonic() - began)
            assert not lives(worker)
            assert not lives(grandchild)
    print(f"gone after {', '.join(f'{secs:.3f}' for secs in took)} s")
    assert min(took) >= GRACE
    assert statistics.median(took) < GRACE + AT_ONCE


@pytest.mark.provokes("cancelled", "exited", "grandchildren", program="daemonises.py")
def test_what_closes_all_its_pipes_is_gone_as_soon(start: Start, tmp_path: Path) -> None:
    """Without stdout nobody can answer: the daemon ends it by itself, and a cancel comes before that or after."""
    queue = {"max_attempts": 9, "max_crashes": 9, "backoff": {"base": "1h", "cap": "1h"}}
    daemon = start({"p": {"command": command("daemonises"), "kill_grace": GRACE}}, {"p": queue})
    took = []
    with daemon.client() as client:
        for turn in range(TRIES):
            pid_file = tmp_path / f"pid{turn}"
            payload = {"pid_file": str(pid_file), "deaf": True, "close": [0, 1, 2], "then": "hang"}
            job = client.submit("p", payload)["id"]
            until(pid_file.exists, "the grandchild")
            began = time.monotonic()
            assert client.cancel(job)["state"] == "cancelled"
            took.append(time.monotonic() - began)
            assert not lives(int(pid_file.read_text()))
            assert not [child for child in daemon.children() if child.state == "Z"]
    assert statistics.median(took) < GRACE + AT_ONCE
