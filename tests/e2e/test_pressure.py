"""A queue that holds only so many jobs: who is refused, what is said, and who is not refused."""

import threading
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed, Client
from tests.e2e.conftest import Start
from tests.workers import command

ECHO = {"p": {"command": command("echo"), "queues": ["q", "r"]}}
LIMIT = 50


def refusal(client: Client, *args: Any, **values: Any) -> dict[str, Any]:
    with pytest.raises(CallFailed) as refused:
        client.submit(*args, **values)
    assert refused.value.code == "queue_full"
    return {"message": refused.value.message, **vars(refused.value)["data"]}


@pytest.mark.provokes("max_pending")
def test_a_full_queue_refuses_says_when_to_come_back_and_takes_jobs_again_when_it_moves(start: Start) -> None:
    daemon = start(ECHO, {"q": {"max_pending": 2}})
    with daemon.client() as client:
        client.pause("q")
        first = client.submit("q", 1, client="me", key="k")
        held = client.submit("q", 2, unique="u")
        told = refusal(client, "q", 3)
        assert (told["queue"], told["wanted"], told["pending"], told["limit"]) == ("q", 1, 2, 2)
        assert 1 <= told["retry_after_secs"] <= 60
        assert "queue q is full: 2 pending of the 2 that it takes (queues.q.max_pending): try" in told["message"]
        # Who asks again after a lost answer hears of his job, and one that is there already needs no room.
        assert client.submit("q", 1, client="me", key="k") == {**first, "created": False, "same": True}
        assert client.submit("q", 3, unique="u")["id"] == held["id"]
        assert client.submit("r", 1)["created"]  # another queue of the same pool
        client.resume("q")
        assert {job["state"] for job in client.wait_all([first["id"], held["id"]])} == {"done"}
        assert client.submit("q", 3)["created"]


def test_a_submit_many_enters_a_limited_queue_as_a_whole_or_not_at_all(start: Start) -> None:
    daemon = start(ECHO, {"q": {"max_pending": 3}})
    with daemon.client() as client:
        client.pause("q")
        client.submit("q", 0)
        jobs = [{"queue": "r", "payload": 0}, *({"queue": "q", "payload": n} for n in range(3))]
        with pytest.raises(CallFailed) as refused:
            client.submit_many(jobs)
        assert refused.value.code == "queue_full"
        assert client.queues("r")[0]["done"] == 0
        assert client.queues("q")[0]["pending"] == 1
        assert len(client.submit_many(jobs[:-1])) == 3
        with pytest.raises(CallFailed, match="4 at once never fit") as never:
            client.submit_many([{"queue": "q", "payload": n} for n in range(4)])
        assert "retry_after_secs" not in vars(never.value)["data"]


def test_however_many_submit_at_once_a_queue_holds_exactly_what_it_may(start: Start, tmp_path: Path) -> None:
    daemon = start(ECHO, {"q": {"max_pending": LIMIT}})
    accepted: list[str] = []
    codes: set[str] = set()

    def submit() -> None:
        with daemon.client() as client:
            for number in range(LIMIT):
                try:
                    accepted.append(client.submit("q", number)["id"])
                except CallFailed as refused:
                    codes.add(refused.code)

    with daemon.client() as client:
        client.pause("q")
        several = [threading.Thread(target=submit) for _ in range(4)]
        for one in several:
            one.start()
        for one in several:
            one.join()
        assert len(accepted) == client.queues("q")[0]["pending"] == LIMIT
        assert codes == {"queue_full"}
        client.resume("q")
        assert {job["state"] for job in client.wait_all(accepted)} == {"done"}
