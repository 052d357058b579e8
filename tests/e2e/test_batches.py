"""Batches of a real daemon, in whatever weather: each line has one record in the end, and who waits says for what."""

import contextlib
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed, Client
from tests.batches import FINAL, MAX_PAYLOAD, WORKER, compose
from tests.e2e.batching import check_whole, completed, contents, folder, jobs_of, look, rows, send, waits
from tests.e2e.conftest import Start
from tests.e2e.daemon import until
from tests.workers import Gate

POOLS: dict[str, Any] = {"p": {"command": WORKER, "size": 3, "queues": ["q"], "kill_grace": "1s"}}
AGAIN = {"backoff": {"base": "10ms", "cap": "20ms"}, "max_payload": MAX_PAYLOAD}
LINES = 300


def text_of(seed: int, lines: int = LINES, **how: Any) -> bytes:
    return compose(random.Random(seed), lines, **how)


def test_each_line_is_answered_once_as_it_should_be(start: Start) -> None:
    daemon = start(POOLS, {"q": AGAIN})
    texts = [text_of(seed) for seed in range(3)]
    with daemon.client() as client:
        batches = [send(client, text) for text in texts]
        for batch_id, text in zip(batches, texts, strict=True):
            assert check_whole(client, daemon, batch_id, text)["state"] == "failed"
        clean = send(client, rows(20))
        assert check_whole(client, daemon, clean, rows(20))["state"] == "completed"


def test_a_paused_queue_holds_its_batch_until_it_is_resumed(start: Start) -> None:
    daemon = start(POOLS, {"q": AGAIN})
    text = rows(LINES, secs=0.005)
    with daemon.client() as client:
        batch_id = send(client, text)
        completed(client, batch_id, 5)
        client.pause("q")
        until(lambda: client.pools("p")[0]["busy"] == 0, "the end of what ran")
        waits(client, batch_id, "paused")
        seen = look(client, batch_id)["counts"]
        daemon.restart()
    with daemon.client() as client:
        waits(client, batch_id, "paused")
        assert look(client, batch_id)["counts"]["completed"] >= seen["completed"]
        client.resume("q")
        assert check_whole(client, daemon, batch_id, text)["waiting"] is None


def test_a_batch_whose_queue_is_taken_away_waits_until_it_is_back(start: Start) -> None:
    daemon = start(POOLS, {"q": AGAIN})
    text = rows(LINES, secs=0.005)
    with daemon.client() as client:
        batch_id = send(client, text)
        completed(client, batch_id, 5)
        client.pause("q")
        daemon.configure({"other": {"command": WORKER}})
        client.reload()
        waits(client, batch_id, "queue q is not in the configuration")
        with pytest.raises(CallFailed) as refusal:
            send(client, text)
        assert refusal.value.code == "unknown_queue"
        daemon.restart()
    with daemon.client() as client:
        waits(client, batch_id, "queue q is not in the configuration")
        daemon.configure(POOLS, {"q": AGAIN})
        client.reload()
        waits(client, batch_id, "paused")
        client.resume("q")
        check_whole(client, daemon, batch_id, text)


def test_a_queue_of_few_pending_jobs_takes_a_batch_bit_by_bit(start: Start) -> None:
    daemon = start(POOLS, {"q": {**AGAIN, "max_pending": 4}})
    text = text_of(4, crashes=False)
    with daemon.client() as client:
        batch_id = send(client, text)
        check_whole(client, daemon, batch_id, text)


def test_a_queue_that_others_have_filled_makes_a_batch_wait_and_not_fail(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, {"q": {**AGAIN, "max_pending": 4}})
    with daemon.client() as client, Gate(tmp_path) as gate:
        held = [client.submit("q", {"gate": gate.path})["id"] for _ in range(3)]
        until(lambda: client.queues("q")[0]["running"] == 3, "busy workers")
        waiting = [client.submit("q", {"n": 1})["id"] for _ in range(4)]
        batch_id = send(client, rows(50))
        waits(client, batch_id, "full")
        gate.open()
        check_whole(client, daemon, batch_id, rows(50))
        assert {job["state"] for job in client.wait_all([*held, *waiting])} == {"done"}


@pytest.mark.long
def test_a_retention_that_keeps_no_job_takes_none_of_a_batchs_records(start: Start) -> None:
    """Beside sweeps every two seconds, and those of each start."""
    none = {"done": "1s", "failed": "1s", "max_done": 0, "max_failed": 0, "max_cancelled": 0}
    daemon = start(POOLS, {"q": {**AGAIN, "retention": none}})
    text = text_of(5, 800, secs=0.02)
    with daemon.client() as client:
        batch_id = send(client, text)
    for lines in (30, 60, 90):
        with daemon.client() as client:
            completed(client, batch_id, lines)
        daemon.kill()
        daemon.start()
    with daemon.client() as client:
        check_whole(client, daemon, batch_id, text)


def test_a_rate_and_a_limit_of_running_jobs_hold_for_a_batch_too(start: Start) -> None:
    daemon = start(POOLS, {"q": {**AGAIN, "rate": "100/s", "burst": 10, "concurrency": 2}})
    text = rows(110)
    most = 0
    with daemon.client() as client:
        began = time.monotonic()
        batch_id = send(client, text)
        while look(client, batch_id)["state"] == "in_progress":
            most = max(most, client.queues("q")[0]["running"])
        check_whole(client, daemon, batch_id, text)
        assert time.monotonic() - began > 0.95
        assert most <= 2


def test_workers_that_die_often_cost_no_record(start: Start) -> None:
    daemon = start(POOLS, {"q": {**AGAIN, "max_crashes": 10, "max_attempts": 10}})
    text = b"".join(b'{"n":%d,"dies":%d}\n' % (number, number % 4 == 0) for number in range(60))
    with daemon.client() as client:
        batch_id = send(client, text)
        assert check_whole(client, daemon, batch_id, text)["counts"]["completed"] == 60


@pytest.mark.long
def test_stopped_and_started_in_the_middle_of_batches_again_and_again_they_go_on(start: Start) -> None:
    daemon = start(POOLS, {"q": AGAIN})
    texts = [text_of(seed, secs=0.01) for seed in range(2)]
    with daemon.client() as client:
        batches = [send(client, text) for text in texts]
    for lines in (10, 40, 80):
        with daemon.client() as client:
            completed(client, batches[0], lines)
        daemon.restart()
    with daemon.client() as client:
        for batch_id, text in zip(batches, texts, strict=True):
            check_whole(client, daemon, batch_id, text)


def test_cancelled_in_the_middle_what_is_done_stays_and_the_rest_is_marked(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, {"q": AGAIN})
    with daemon.client() as client, Gate(tmp_path) as gate:
        text = rows(100) + rows(3, gate=gate.path) + rows(5000)
        batch_id = send(client, text)
        other = send(client, rows(200))
        completed(client, batch_id, 100)
        until(lambda: client.queues("q")[0]["running"] == 3, "the three that wait")
        batch = client.call("batch_cancel", {"id": batch_id})
        assert batch["state"] == "cancelled"
        assert batch["counts"] == {"total": 5103, "completed": 100, "failed": 0, "cancelled": 5003}
        check_whole(client, daemon, batch_id, text, cancelled=True)
        assert client.call("batch_cancel", {"id": batch_id}) == batch
        check_whole(client, daemon, other, rows(200))


def test_a_deleted_batch_ends_who_follows_it_and_leaves_nothing(start: Start) -> None:
    daemon = start(POOLS, {"q": AGAIN})
    text = rows(30_000)
    with daemon.client() as client, daemon.client() as follower:
        batch_id = send(client, text)
        lines = follower.batch_output(batch_id, follow=True)
        assert next(lines)[0] == 1
        with pytest.raises(CallFailed) as refusal:
            client.call("batch_delete", {"id": batch_id})
        assert refusal.value.code == "conflict"
        client.call("batch_cancel", {"id": batch_id})
        assert client.call("batch_delete", {"id": batch_id}) == {"deleted": True}
        try:
            list(lines)  # all there was, where they had left already
        except CallFailed as gone:
            assert gone.code == "not_found"  # noqa: PT017
        assert not folder(daemon, batch_id).exists()
        assert jobs_of(client, batch_id) == 0
        assert list((daemon.state / "batches").iterdir()) == []


@pytest.mark.parametrize("kills", [0, pytest.param(2, marks=pytest.mark.long)])
def test_whatever_somebody_does_to_its_jobs_by_hand_each_line_has_one_record(
    start: Start, tmp_path: Path, kills: int
) -> None:
    """They are cancelled, deleted, purged and retried all the time, in the states in which they happen to be."""
    daemon = start(POOLS, {"q": AGAIN})
    with Gate(tmp_path) as gate:
        text = rows(3, gate=gate.path) + text_of(7, 1500, secs=0.01)
        with daemon.client() as client:
            batch_id = send(client, text)
            until(lambda: jobs_of(client, batch_id) > 4, "some that wait behind those at the gate")
            [one] = client.list(client=f"batch:{batch_id}", state="pending", limit=1)["jobs"]
            client.cancel(one["id"])
            assert client.purge("q")["changed"] > 0
        gate.open()
        for _ in range(kills):
            with daemon.client() as client:
                meddle(client, batch_id, 15)
            daemon.kill()
            daemon.start()
        with daemon.client() as client:
            meddle(client, batch_id, 1000)
            batch = check_whole(client, daemon, batch_id, text, meddled=True)
    causes = {json.loads(row)["error"]["cause"] for row in contents(daemon, batch_id).errors}
    assert batch["state"] == "failed"
    assert {"cancelled", "deleted"} <= causes, causes


def meddle(client: Client, batch_id: str, times: int) -> None:
    chance = random.Random(times)
    mine = {"client": f"batch:{batch_id}"}
    for _ in range(times):
        if look(client, batch_id)["state"] in FINAL:
            return
        jobs = client.list(**mine, limit=30)["jobs"]
        if not jobs:
            continue
        one = chance.choice(jobs)["id"]
        for act in chance.sample(["cancel", "delete", "retry"], 3):
            with contextlib.suppress(CallFailed):  # of a job that is in another state by then, or no more there
                client.call(act, {"id": one})
        if chance.random() < 0.2:
            act = chance.choice([client.retry_many, client.delete_many])
            act(**mine, state=["failed", "cancelled"])
