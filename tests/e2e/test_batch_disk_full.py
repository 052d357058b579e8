"""A full disk in the middle of a batch: it waits and says why, and nothing is lost or doubled when there is room."""

import time
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed, Client
from tests.batches import MAX_PAYLOAD, WORKER
from tests.e2e.batching import check_whole, completed, final, look, rows, send, waits
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.e2e.test_disk_full import fill

LINES = 1500
QUEUE: dict[str, Any] = {"q": {"max_payload": MAX_PAYLOAD, "backoff": {"base": "10ms", "cap": "20ms"}}}
# Results are larger than what may be left over between one thing on the disk and the next.
TEXT = rows(LINES, custom_id="x" * 500, secs=0.001)


def small(start: Start, disk: Path, reserve: object = 0, **settings: object) -> Daemon:
    pools = {"p": {"command": WORKER, "size": 2, "queues": ["q"]}}
    return start(pools, QUEUE, state_dir=str(disk / "state"), disk_reserve=reserve, **settings)


@pytest.fixture
def ballast(small_disk: Path) -> Path:
    return small_disk / "ballast"


def stuck(client: Client, batch_id: str) -> int:
    """How many lines were done when it could not go on; it says why."""
    said = waits(client, batch_id, "the disk is full; free some space")["counts"]["completed"]
    assert look(client, batch_id)["state"] == "in_progress"
    return int(said)


def check(daemon: Daemon, client: Client, batch_id: str) -> None:
    batch = check_whole(client, daemon, batch_id, TEXT)
    assert batch["counts"] == {"total": LINES, "completed": LINES, "failed": 0, "cancelled": 0}
    assert batch["waiting"] is None


def test_a_batch_waits_for_room_on_the_disk_and_goes_on_by_itself(
    start: Start, small_disk: Path, ballast: Path
) -> None:
    daemon = small(start, small_disk)
    with daemon.client() as client:
        batch_id = send(client, TEXT)
        completed(client, batch_id, 50)
        fill(ballast)
        assert stuck(client, batch_id) < LINES
        with pytest.raises(CallFailed) as refusal:
            send(client, TEXT)
        assert refusal.value.code == "store_unavailable"
        ballast.unlink()
        check(daemon, client, batch_id)


def test_killed_while_the_disk_is_full_a_batch_goes_on_when_there_is_room(
    start: Start, small_disk: Path, ballast: Path
) -> None:
    daemon = small(start, small_disk)
    with daemon.client() as client:
        batch_id = send(client, TEXT)
        completed(client, batch_id, 50)
        fill(ballast)
        stuck(client, batch_id)
    daemon.kill()
    code, words = daemon.failing_start()
    assert (code, "the disk is full; free some space" in words) == (1, True)
    ballast.unlink()
    daemon.start()
    with daemon.client() as client:
        check(daemon, client, batch_id)


def test_stopped_while_the_disk_is_full_it_stops_and_goes_on_when_there_is_room(
    start: Start, small_disk: Path, ballast: Path
) -> None:
    daemon = small(start, small_disk, drain_timeout="100ms")
    with daemon.client() as client:
        batch_id = send(client, TEXT)
        completed(client, batch_id, 50)
        fill(ballast)
        stuck(client, batch_id)
    began = time.monotonic()
    daemon.stop(but=("outcomes_not_recorded",))  # of jobs that run again
    assert time.monotonic() - began < 10
    ballast.unlink()
    daemon.start()
    with daemon.client() as client:
        check(daemon, client, batch_id)


@pytest.mark.long
def test_filled_and_emptied_again_and_again_a_batch_comes_to_its_end(
    start: Start, small_disk: Path, ballast: Path
) -> None:
    daemon = small(start, small_disk)
    with daemon.client() as client:
        batch_id = send(client, TEXT)
        for lines in (50, 300, 600, 900):
            completed(client, batch_id, lines)
            fill(ballast)
            until(lambda: look(client, batch_id)["waiting"], "the batch to notice")
            ballast.unlink()
        check(daemon, client, batch_id)


def test_on_a_disk_with_less_than_its_reserve_a_batch_waits_and_none_is_taken(
    start: Start, small_disk: Path, ballast: Path
) -> None:
    daemon = small(start, small_disk, "4MiB")
    with daemon.client() as client:
        batch_id = send(client, TEXT)
        completed(client, batch_id, 50)
        free = client.status()["store"]["disk_free"]
        ballast.write_bytes(bytes(free - 3 * 1024 * 1024))
        waits(client, batch_id, "daemon.disk_reserve")
        with pytest.raises(CallFailed, match="less than daemon") as refusal:
            send(client, TEXT)
        assert refusal.value.code == "store_unavailable"
        ballast.unlink()
        check(daemon, client, batch_id)


def test_an_input_for_which_there_is_no_room_is_refused_and_leaves_nothing(
    start: Start, small_disk: Path, ballast: Path
) -> None:
    daemon = small(start, small_disk)
    large = rows(40_000, custom_id="x" * 500)
    with daemon.client() as client:
        with pytest.raises(CallFailed, match="the disk is full") as refusal:
            send(client, large)
        assert refusal.value.code == "store_unavailable"
        until(lambda: list((small_disk / "state" / "batches").iterdir()) == [], "its leftovers to go")
        assert final(client, send(client, rows(10)))["state"] == "completed"
