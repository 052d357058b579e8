"""A full disk: refusals with a reason, outcomes kept, nothing lost, and everything goes on when there is space."""

import os
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed, Client
from tests.e2e.conftest import Start
from tests.e2e.daemon import until
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
            with pytest.raises(OSError, match="No space left"):
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
    return client.status()["store"]


def test_on_a_full_disk_nothing_is_lost_and_all_goes_on_when_there_is_space(
    start: Start, small_disk: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    ballast = small_disk / "ballast"
    pool = {"command": WORKER, "size": 2, "queues": ["q"], "env": {"BEGUN": str(begun)}}
    daemon = start({"p": pool}, state_dir=str(small_disk / "state"))

    with Gate(tmp_path) as gate, daemon.client() as client:
        running = [client.submit("q", {"gate": gate.path, "bytes": LARGE})["id"] for _ in range(2)]
        waiting = [client.submit("q", number)["id"] for number in range(20)]
        until(lambda: begun.exists() and len(begun.read_text().split()) == 2, "two running jobs")

        fill(ballast)
        accepted, refusal = submit_until_refused(client, "y" * 100_000)
        assert refusal.code == "store_unavailable"
        assert "the disk is full" in refusal.message
        gate.open()  # two results for which there is no room
        until(lambda: store(client)["state"] == "failing", "the daemon's saying so")
        with pytest.raises(CallFailed) as waited:
            client.wait_all(running, timeout_secs=0.5)
        assert (waited.value.code, waited.value.data["jobs"]) == ("timeout", [])

        # Both outcomes are held by now, and for as long as that lasts it says no to everything, however small.
        until(lambda: [one["busy"] for one in client.pools()] == [0], "the end of both runs")
        said = store(client)
        assert said["state"] == "failing"
        assert "the disk is full" in said["reason"]
        for payload in (None, "y" * 100_000):
            with pytest.raises(CallFailed, match="the disk is full") as refused:
                client.submit("q", payload)
            assert refused.value.code == "store_unavailable"
        assert [client.get(job_id)["state"] for job_id in waiting] == ["pending"] * 20
        assert sorted(begun.read_text().split()) == sorted(running)
        pid = daemon.pid

        os.unlink(ballast)
        jobs = client.wait_all([*running, *waiting, *accepted], timeout_secs=30)
        assert {(job["state"], job["attempt"]) for job in jobs} == {("done", 1)}
        assert {len(job["result"]) for job in jobs[:2]} == {LARGE}
        assert store(client) | {"epoch": 0} == {**store(client), "state": "ok", "reason": None, "epoch": 0}
        assert client.wait(client.submit("q", "after")["id"])["state"] == "done"
        assert len(begun.read_text().split()) == len({*begun.read_text().split()})
    assert daemon.pid == pid
    assert [row["event"] for row in daemon.log() if row["event"].startswith("store_")][-1] == "store_recovered"
    daemon.restart()
    with daemon.client() as client:
        assert client.queues("q")[0]["done"] == len(running) + len(waiting) + len(accepted) + 1
