"""What a stop leaves, the next start goes on with."""

from pathlib import Path

import pytest

from protocol.client import CallFailed
from tests.e2e.conftest import Start
from tests.e2e.daemon import until
from tests.workers import Gate, command, marks

MARKER = {"q": {"command": command("marker")}}


def test_a_pause_outlives_the_daemon(start: Start) -> None:
    daemon = start(MARKER)
    with daemon.client() as client:
        client.pause("q")
        job_id = client.submit("q", None)["id"]
    daemon.restart()
    with daemon.client() as client:
        [queue] = client.queues()
        assert (queue["paused"], queue["pending"]) == (True, 1)
        assert not client.resume("q")["paused"]
        assert client.wait(job_id)["state"] == "done"
    assert [mark.event for mark in marks(daemon.side_file)] == ["begin", "end"]


def test_what_is_submitted_while_the_daemon_drains_is_run_by_the_next_one(start: Start, tmp_path: Path) -> None:
    daemon = start(MARKER)
    with Gate(tmp_path) as gate, daemon.client() as client, daemon.client() as other:
        running = client.submit("q", {"gate": gate.path})["id"]
        until(lambda: client.get(running)["state"] == "running", "the job's start")
        drained = client.send("drain")
        until(lambda: other.status()["state"] == "draining", "the drain's beginning")
        late = other.submit("q", None)["id"]
        gate.open()
        assert client.receive() == (drained, {"drained": True})
        assert other.status()["state"] == "drained"
        assert [other.get(job_id)["state"] for job_id in (running, late)] == ["done", "pending"]
    daemon.restart()
    with daemon.client() as client:
        assert client.status()["state"] == "running"
        assert client.wait(late)["state"] == "done"


def test_jobs_of_a_queue_without_a_pool_are_kept_and_status_says_that_nothing_serves_it(start: Start) -> None:
    daemon = start(MARKER, {"lonely": {"max_attempts": 1}})
    with daemon.client() as client:
        job_id = client.submit("lonely", None)["id"]
        assert client.status()["unserved"] == ["lonely"]
        assert client.queues("lonely")[0]["pools"] == []
        assert client.position(job_id) == {"ahead": 0, "active": 1}
    daemon.restart()
    with daemon.client() as client:
        assert client.get(job_id)["state"] == "pending"
        assert client.cancel(job_id)["state"] == "cancelled"


def test_a_queue_that_is_no_longer_configured_can_be_looked_at_while_it_has_jobs(start: Start) -> None:
    daemon = start(MARKER, {"old": {"max_attempts": 1}})
    with daemon.client() as client:
        job_id = client.submit("old", None)["id"]
    daemon.stop()
    daemon.configure(MARKER)
    daemon.start()
    with daemon.client() as client:
        [view] = client.queues("old")
        assert (view["pending"], view["pools"]) == (1, [])
        assert [one["queue"] for one in client.queues()] == ["old", "q"]
        assert client.delete(job_id) == {"deleted": True}
        with pytest.raises(CallFailed) as refused:
            client.queues("old")
        assert refused.value.code == "unknown_queue"
