"""What somebody sees who looks at a daemon while it works: from the worker's own words to the screen."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import Start
from tests.e2e.daemon import PATIENCE, ROOT, Daemon, until
from tests.workers import Gate, command


def stoker(daemon: Daemon, *arguments: str) -> str:
    environment = {**os.environ, "STOKER_SOCKET": daemon.socket}
    argv = [sys.executable, "-m", "supervisor", *arguments]
    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout


def test_top_shows_how_far_a_job_is_and_queues_how_long_others_took(start: Start, tmp_path: Path) -> None:
    daemon = start({"film": {"command": command("progress"), "size": 2}})
    with daemon.client() as client, Gate(tmp_path) as gate:
        quick = [client.submit("film", None)["id"] for _ in range(5)]
        client.wait_all(quick, timeout_secs=PATIENCE)
        slow = client.submit("film", {"steps": 4, "gate": gate.path}, name="a film\x1b[2J")["id"]
        until(lambda: (client.running("film")["jobs"] or [{"progress": None}])[0]["progress"], "its first step")
        [row] = [line for line in stoker(daemon, "top").splitlines() if "a film" in line]
        assert row.startswith("film/")
        assert "a film\\x1b[2J" in row
        assert "##........ 25% 1/4 step 1 of 4" in row
        told = json.loads(stoker(daemon, "top", "--json"))
        [job] = told["running"]["jobs"]
        assert (job["id"], job["progress"]["total"]) == (slow, 4)
        assert slow in {worker["job"] for worker in told["workers"]}
        [queue] = told["status"]["queues"]
        assert (queue["wait_secs"]["count"], queue["run_secs"]["count"]) == (6, 5)
        assert 0 < queue["run_secs"]["p50"] <= queue["run_secs"]["p95"] <= queue["run_secs"]["p99"] < PATIENCE
        assert queue["ends_1m"]["done"] > 0
        assert "how long jobs waited and ran" in stoker(daemon, "queues")
        gate.open()
        client.wait(slow, timeout_secs=PATIENCE)
        assert client.running() == {"jobs": [], "total": 0}
