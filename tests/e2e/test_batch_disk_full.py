"""A full disk in the middle of a batch: it waits and says why, and nothing is lost or doubled when there is room."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed, Client
from tests.batches import MAX_PAYLOAD, WORKER
from tests.e2e.batching import check_whole, completed, final, look, rows, send, waits
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.e2e.test_disk_full import fill
from tests.workers import Gate

FIRST = 50  # lines that are done before the disk is filled
LINES = 1500
QUEUE: dict[str, Any] = {"q": {"max_payload": MAX_PAYLOAD, "backoff": {"base": "10ms", "cap": "20ms"}}}
ID = "x" * 500  # results are larger than what may be left over between one thing on the disk and the next


def small(start: Start, disk: Path, reserve: object = 0, **settings: object) -> Daemon:
    pools = {"p": {"command": WORKER, "size": 2, "queues": ["q"]}}
    return start(pools, QUEUE, state_dir=str(disk / "state"), disk_reserve=reserve, **settings)


@pytest.fixture
def ballast(small_disk: Path) -> Path:
    return small_disk / "ballast"


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    with Gate(tmp_path) as made:
        yield made


def text_of(*gates: Gate) -> bytes:
    """Some lines, and then as many behind each of the gates."""
    each = (LINES - FIRST) // len(gates)
    assert FIRST + each * len(gates) == LINES
    return rows(FIRST, custom_id=ID) + b"".join(rows(each, custom_id=ID, secs=0.001, gate=gate.path) for gate in gates)


def stuck(client: Client, batch_id: str, ballast: Path, gate: Gate) -> None:
    """Fill the disk when its workers are at the gate, and let them in: it cannot go on, and says why."""
    fill(ballast)
    gate.open()

    def noticed() -> bool:
        fill(ballast)  # what the store gives back meanwhile
        return "the disk is full; free some space" in (look(client, batch_id)["waiting"] or "")

    until(noticed, "a batch that waits for the disk")
    batch = look(client, batch_id)
    assert (batch["state"], batch["counts"]["completed"] < LINES) == ("in_progress", True)


def check(daemon: Daemon, client: Client, batch_id: str, text: bytes) -> None:
    batch = check_whole(client, daemon, batch_id, text)
    assert batch["counts"] == {"total": LINES, "completed": LINES, "failed": 0, "cancelled": 0}
    assert batch["waiting"] is None


def test_a_batch_waits_for_room_on_the_disk_and_goes_on_by_itself(
    start: Start, small_disk: Path, ballast: Path, gate: Gate
) -> None:
    daemon, text = small(start, small_disk), text_of(gate)
    with daemon.client() as client:
        batch_id = send(client, text)
        completed(client, batch_id, FIRST)
        stuck(client, batch_id, ballast, gate)
        with pytest.raises(CallFailed) as refusal:
            send(client, text)
        assert refusal.value.code == "store_unavailable"
        ballast.unlink()
        check(daemon, client, batch_id, text)


def test_killed_while_the_disk_is_full_a_batch_goes_on_when_there_is_room(
    start: Start, small_disk: Path, ballast: Path, gate: Gate
) -> None:
    daemon, text = small(start, small_disk), text_of(gate)
    with daemon.client() as client:
        batch_id = send(client, text)
        completed(client, batch_id, FIRST)
        stuck(client, batch_id, ballast, gate)
    daemon.kill()
    code, words = daemon.failing_start()
    assert (code, "the disk is full; free some space" in words) == (1, True)
    ballast.unlink()
    daemon.start()
    with daemon.client() as client:
        check(daemon, client, batch_id, text)


@pytest.mark.long
def test_stopped_while_the_disk_is_full_it_stops_and_goes_on_when_there_is_room(
    start: Start, small_disk: Path, ballast: Path, gate: Gate
) -> None:
    daemon, text = small(start, small_disk, drain_timeout="100ms"), text_of(gate)
    with daemon.client() as client:
        batch_id = send(client, text)
        completed(client, batch_id, FIRST)
        stuck(client, batch_id, ballast, gate)
    began = time.monotonic()
    daemon.stop(but=("outcomes_not_recorded",))  # of jobs that run again
    assert time.monotonic() - began < 10
    ballast.unlink()
    daemon.start()
    with daemon.client() as client:
        check(daemon, client, batch_id, text)


@pytest.mark.long
def test_filled_and_emptied_again_and_again_a_batch_comes_to_its_end(
    start: Start, small_disk: Path, ballast: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        gates = [stack.enter_context(Gate(tmp_path, f"gate{number}")) for number in range(5)]
        daemon, text = small(start, small_disk), text_of(*gates)
        client = stack.enter_context(daemon.client())
        batch_id = send(client, text)
        for number, gate in enumerate(gates):
            completed(client, batch_id, FIRST + (LINES - FIRST) // len(gates) * number)
            stuck(client, batch_id, ballast, gate)
            ballast.unlink()
        check(daemon, client, batch_id, text)


@pytest.mark.long
def test_on_a_disk_with_less_than_its_reserve_a_batch_waits_and_none_is_taken(
    start: Start, small_disk: Path, ballast: Path, gate: Gate
) -> None:
    daemon, text = small(start, small_disk, "4MiB"), text_of(gate)
    with daemon.client() as client:
        batch_id = send(client, text)
        completed(client, batch_id, FIRST)
        free = client.status()["store"]["disk_free"]
        ballast.write_bytes(bytes(free - 3 * 1024 * 1024))
        waits(client, batch_id, "daemon.disk_reserve")
        with pytest.raises(CallFailed, match="less than daemon") as refusal:
            send(client, text)
        assert refusal.value.code == "store_unavailable"
        ballast.unlink()
        gate.open()
        check(daemon, client, batch_id, text)


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
