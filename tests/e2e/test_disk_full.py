"""A full disk: refusals with a reason, outcomes kept, nothing lost, and everything goes on when there is space."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed, Client
from tests.e2e.conftest import Start
from tests.e2e.daemon import PATIENCE, until
from tests.pool.rig import python
from tests.workers import Gate

# Says that it has begun, waits for its gate, and answers with a result of the size it was asked for.
WORKER = python(
    "import json, os, sys",
    "for line in sys.stdin:",
    "    request = json.loads(line)",
    "    wanted = request['payload'] if isinstance(request['payload'], dict) else {}",
    "    with open(os.environ['BEGUN'], 'a') as begun:",
    "        print(request['id'], file=begun)",
    "    if 'gate' in wanted:",
    "        open(wanted['gate']).close()",
    "    result = 'x' * wanted.get('bytes', 0)",
    "    print(json.dumps({'id': request['id'], 'status': 'ok', 'result': result}), flush=True)",
)
LARGE = 500_000  # bytes of a result that finds no room


def fill(ballast: Path) -> None:
    """To the last byte."""
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)


def submit_until_refused(client: Client, payload: str) -> tuple[list[str], CallFailed]:
    """What was accepted, and the refusal."""
    accepted: list[str] = []
    while True:
        try:
            accepted.append(client.submit("q", payload)["id"])
        except CallFailed as refusal:
            return accepted, refusal


def store(client: Client) -> dict[str, Any]:
    """State and reason, as `status` has them."""
    said = client.status()["store"]
    return {name: said[name] for name in ("state", "reason")}


def test_on_a_full_disk_nothing_is_lost_and_all_goes_on_when_there_is_space(
    start: Start, small_disk: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    ballast = small_disk / "ballast"
    pool = {"command": WORKER, "size": 2, "queues": ["q"], "env": {"BEGUN": str(begun)}}
    daemon = start({"p": pool}, state_dir=str(small_disk / "state"), disk_reserve=0)
    pid = daemon.pid

    with Gate(tmp_path) as gate, daemon.client() as client:
        running = [client.submit("q", {"gate": gate.path, "bytes": LARGE})["id"] for _ in range(2)]
        waiting = [client.submit("q", number)["id"] for number in range(20)]
        until(lambda: begun.exists() and len(begun.read_text().split()) == 2, "two running jobs")

        fill(ballast)
        accepted, refusal = submit_until_refused(client, "y" * 100_000)
        assert refusal.code == "store_unavailable"
        assert "the disk is full" in refusal.message
        gate.open()  # two results for which there is no room
        until(lambda: client.pools()[0]["busy"] == 0, "the end of both runs")

        # Both outcomes are held by now, and as long as that lasts it says no to everything, however small.
        with pytest.raises(CallFailed) as over:
            client.wait_all(running, timeout_secs=0.5)
        assert (over.value.code, over.value.data["jobs"]) == ("timeout", [])
        said = store(client)
        assert said["state"] == "failing"
        assert "the disk is full" in said["reason"]
        for payload in (None, "y" * 100_000):
            with pytest.raises(CallFailed, match="the disk is full") as refused:
                client.submit("q", payload)
            assert refused.value.code == "store_unavailable"
        assert {client.get(job_id)["state"] for job_id in waiting} == {"pending"}
        assert sorted(begun.read_text().split()) == sorted(running)

        ballast.unlink()
        jobs = client.wait_all([*running, *waiting, *accepted], timeout_secs=PATIENCE)
        assert {(job["state"], job["attempt"]) for job in jobs} == {("done", 1)}
        assert {len(job["result"]) for job in jobs[:2]} == {LARGE}
        assert store(client) == {"state": "ok", "reason": None}
        assert client.wait(client.submit("q", "after")["id"])["state"] == "done"
    assert len(begun.read_text().split()) == len(jobs) + 1
    assert daemon.pid == pid
    told = [row["event"] for row in daemon.log() if row["event"] in ("store_failing", "store_recovered")]
    assert told[-1] == "store_recovered"
    daemon.restart()
    with daemon.client() as client:
        assert client.queues("q")[0]["done"] == len(jobs) + 1


def test_a_daemon_killed_on_a_full_disk_says_why_it_does_not_start_and_starts_when_there_is_space(
    start: Start, small_disk: Path, tmp_path: Path
) -> None:
    ballast = small_disk / "ballast"
    pool = {"command": WORKER, "queues": ["q"], "env": {"BEGUN": str(tmp_path / "begun")}}
    daemon = start({"p": pool}, state_dir=str(small_disk / "state"), disk_reserve=0)
    with daemon.client() as client:
        client.pause("q")
        fill(ballast)
        accepted, _ = submit_until_refused(client, "y" * 50_000)
    daemon.kill()
    code, words = daemon.failing_start()
    assert code == 1  # not 2, after which systemd would leave it alone
    assert "the disk is full; free some space" in words

    ballast.unlink()
    daemon.start()
    with daemon.client() as client:
        client.resume("q")
        assert {job["state"] for job in client.wait_all(accepted)} == {"done"}


def test_a_daemon_stopped_before_the_disk_was_full_says_why_it_does_not_start(
    start: Start, small_disk: Path, tmp_path: Path
) -> None:
    """It has left no file with room in it: not even the lock's holder can be written down."""
    ballast = small_disk / "ballast"
    pool = {"command": WORKER, "queues": ["q"], "env": {"BEGUN": str(tmp_path / "begun")}}
    daemon = start({"p": pool}, state_dir=str(small_disk / "state"), disk_reserve=0)
    with daemon.client() as client:
        client.pause("q")
        accepted = client.submit("q", 1)["id"]
    daemon.stop()
    fill(ballast)
    code, words = daemon.failing_start()
    assert (code, words.count("\n")) == (1, 1)
    assert "the disk is full; free some space" in words

    ballast.unlink()
    daemon.start()
    with daemon.client() as client:
        client.resume("q")
        assert client.wait(accepted)["state"] == "done"


def test_before_the_disk_is_full_submits_are_refused_and_jobs_go_on(
    start: Start, small_disk: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    ballast = small_disk / "ballast"
    pool = {"command": WORKER, "queues": ["q"], "env": {"BEGUN": str(begun)}}
    daemon = start({"p": pool}, state_dir=str(small_disk / "state"), disk_reserve="4MiB")
    with Gate(tmp_path) as gate, daemon.client() as client:
        running = client.submit("q", {"gate": gate.path, "bytes": LARGE}, client="me", key="k")["id"]
        waiting = [client.submit("q", number)["id"] for number in range(20)]
        assert store(client) == {"state": "ok", "reason": None}
        free = client.status()["store"]["disk_free"]
        ballast.write_bytes(bytes(free - 3 * 1024 * 1024))
        until(lambda: store(client)["state"] == "low", "the daemon to see it")
        with pytest.raises(CallFailed, match="less than daemon") as refused:
            client.submit("q", None)
        assert refused.value.code == "store_unavailable"
        assert client.submit("q", {"gate": gate.path, "bytes": LARGE}, client="me", key="k")["id"] == running
        gate.open()
        jobs = client.wait_all([running, *waiting], timeout_secs=PATIENCE)
        assert {(job["state"], job["attempt"]) for job in jobs} == {("done", 1)}
        ballast.unlink()
        until(lambda: store(client)["state"] == "ok", "the daemon to see that it is over")
        assert client.submit("q", None)["created"]
    told = [row["event"] for row in daemon.log() if row["event"].startswith(("disk_", "store_"))]
    assert told == ["disk_low", "disk_recovered"]


def test_on_a_disk_that_the_queue_itself_has_filled_deleted_jobs_make_room_for_new_ones(
    start: Start, small_disk: Path, tmp_path: Path
) -> None:
    pool = {"command": WORKER, "queues": ["q"], "env": {"BEGUN": str(tmp_path / "begun")}}
    daemon = start({"p": pool}, state_dir=str(small_disk / "state"), disk_reserve="8MiB")
    with daemon.client() as client:
        client.pause("q")
        _, refusal = submit_until_refused(client, "y" * 50_000)
        assert "less than daemon.disk_reserve" in refusal.message
        client.purge("q")
        until(lambda: store(client)["state"] == "ok", "the daemon to see the room in its file")
        again, _ = submit_until_refused(client, "y" * 50_000)
        assert len(again) > 20
