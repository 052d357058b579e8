"""A purge that is cut off in the middle: by its client, by a kill."""

import json
from collections.abc import Callable

import pytest

from protocol.client import Client
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import command

JOBS = 40_000  # some seconds of purging on a busy machine, half a second on an idle one


def fill(client: Client) -> None:
    client.pause("q")
    for _ in range(JOBS // 5000):
        client.submit_many([{"queue": "q", "payload": None}] * 5000)


def pending(client: Client) -> int:
    found: int = client.queues("q")[0]["pending"]
    return found


def hang_up(daemon: Daemon, begun: Callable[[], bool]) -> None:
    with daemon.connect() as connection:
        purge = {"jsonrpc": "2.0", "id": 1, "method": "purge", "params": {"queue": "q"}}
        connection.sendall(json.dumps(purge).encode() + b"\n")
        until(begun, "the first batch")


def hang_up_and_kill(daemon: Daemon, begun: Callable[[], bool]) -> None:
    hang_up(daemon, begun)
    daemon.kill()
    daemon.start()


@pytest.mark.long
@pytest.mark.parametrize("cut_off", [hang_up, hang_up_and_kill])
def test_what_a_purge_has_left_is_served_afterwards(
    start: Start, cut_off: Callable[[Daemon, Callable[[], bool]], None]
) -> None:
    daemon = start({"q": {"command": command("echo"), "size": 1}})
    with daemon.client() as client:
        fill(client)
        cut_off(daemon, lambda: pending(client) < JOBS)
    with daemon.client() as client:
        client.resume("q")
        assert client.wait(client.submit("q", 7)["id"])["result"] == 7  # behind all that is left
        [queue] = client.queues("q")
        assert 1 < queue["done"] < JOBS
        assert [queue[state] for state in ("pending", "running", "failed", "cancelled")] == [0] * 4


def test_a_purge_while_the_queue_is_served_leaves_nothing_behind(start: Start) -> None:
    daemon = start({"q": {"command": command("echo"), "size": 2}})
    with daemon.client() as client, daemon.client() as other:
        fill(client)
        client.resume("q")
        answer = other.purge("q")
        [queue] = client.queues("q")
        assert answer["changed"] + queue["done"] + queue["running"] + queue["pending"] == JOBS
        assert queue["pending"] == 0
        assert other.purge("q", state=["pending", "done"])["matched"] <= queue["done"] + queue["running"]
