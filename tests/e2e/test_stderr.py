"""What workers write to stderr, in the log of a real daemon."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import Gate, command

BURST = 1000  # lines
PER_SECOND = 200
CUT = 4096  # bytes of a line

# Says so when it is ready, when it has a job and, once the gate has let it pass, that it goes on.
TALKER = """
echo ready >&2
while read -r request; do
    echo begins >&2
    read -r go < {gate}
    echo goes on >&2
    echo '{{"status":"ok"}}'
done
"""


def events(daemon: Daemon, name: str) -> list[dict[str, Any]]:
    return [row for row in daemon.log() if row["event"] == name]


def said(daemon: Daemon, line: str) -> list[dict[str, Any]]:
    return [row for row in events(daemon, "worker_stderr") if row["line"] == line]


def test_each_line_carries_its_pool_its_slot_its_pid_and_the_job_that_ran(start: Start, tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        talker = ["sh", "-c", TALKER.format(gate=gate.path)]
        daemon = start({"talkers": {"command": talker, "queues": ["q"], "size": 2}})
        until(lambda: len(said(daemon, "ready")) == 2, "both workers' first words")
        with daemon.client() as client:
            ids = [client.submit("q", None)["id"] for _ in range(2)]
            until(lambda: len(said(daemon, "begins")) == 2, "both workers' words about their jobs")
            places = {(worker["slot"], worker["pid"], worker["job"]) for worker in client.workers("talkers")}
            gate.open()
            with open(gate.path, "w") as go:
                go.write("go\ngo\n")
            client.wait_all(ids)
        daemon.stop()
    assert {job for _, _, job in places} == {*ids}
    assert {row["pool"] for row in events(daemon, "worker_stderr")} == {"talkers"}
    assert {(row["slot"], row["pid"]) for row in said(daemon, "ready")} == {(slot, pid) for slot, pid, _ in places}
    assert {row["job"] for row in said(daemon, "ready")} == {None}
    for line in ("begins", "goes on"):
        assert {(row["slot"], row["pid"], row["job"]) for row in said(daemon, line)} == places


@pytest.mark.provokes("stderr rate", program="flood_stderr.py")
def test_of_a_flood_some_lines_are_logged_and_all_are_counted(start: Start) -> None:
    size = 20_000_000
    daemon = start({"p": {"command": command("flood_stderr"), "queues": ["q"]}})
    with daemon.client() as client:
        job_id = client.submit("q", {"bytes": size})["id"]
        [job] = client.wait_all([job_id])
        assert job["state"] == "done"
    daemon.stop()
    logged, reports = events(daemon, "worker_stderr"), events(daemon, "worker_stderr_dropped")
    assert {(row["line"], row["job"]) for row in logged} == {("#" * 99, job_id)}
    first, last = (datetime.fromisoformat(row["timestamp"]) for row in (logged[0], logged[-1]))
    secs = (last - first).total_seconds()
    assert BURST <= len(logged) <= BURST + PER_SECOND * (secs + 1)
    assert len(logged) + sum(row["lines"] for row in reports) == size / 100


@pytest.mark.provokes("stderr line", program="flood_stderr.py")
def test_a_line_over_4_kib_is_cut(start: Start) -> None:
    daemon = start({"p": {"command": command("flood_stderr"), "queues": ["q"]}})
    with daemon.client() as client:
        [job] = client.wait_all([client.submit("q", {"bytes": 1_000_000, "lines": False})["id"]])
        assert job["state"] == "done"
    daemon.stop()
    assert [row["line"] for row in events(daemon, "worker_stderr")] == ["#" * CUT]
