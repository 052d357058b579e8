"""A client's key: one job, whoever asks at the same time, and whenever it is asked again."""

import threading
from typing import Any

from tests.e2e.conftest import Start
from tests.workers import command

ECHO = {"q": {"command": command("echo"), "size": 2}}
ROUNDS = 200


def test_of_two_submits_with_one_key_in_the_same_instant_exactly_one_makes_a_job(start: Start) -> None:
    daemon = start(ECHO)
    together = threading.Barrier(2)
    answers: list[list[dict[str, Any]]] = [[], []]

    def submit(place: int) -> None:
        with daemon.client() as client:
            for number in range(ROUNDS):
                together.wait()
                answers[place].append(client.submit("q", number, client="me", key=f"key-{number}"))

    other = threading.Thread(target=submit, args=(1,))
    other.start()
    submit(0)
    other.join()
    for left, right in zip(*answers, strict=True):
        assert left["id"] == right["id"]
        assert sorted([left["created"], right["created"]]) == [False, True]
        [earlier] = [answer for answer in (left, right) if not answer["created"]]
        assert earlier["same"]
    with daemon.client() as client:
        assert len(client.wait_all([answer["id"] for answer in answers[0]])) == ROUNDS
        assert client.queues("q")[0]["done"] == ROUNDS


def test_a_key_answers_with_its_first_job_after_a_restart(start: Start) -> None:
    daemon = start(ECHO)
    with daemon.client() as client:
        first = client.submit("q", {"n": 1}, client="me", key="k")
        assert first["created"]
        client.wait(first["id"])
        waiting = client.submit("q", None, client="me", key="later", delay_secs=3600)
    daemon.restart()
    with daemon.client() as client:
        assert client.submit("q", {"n": 1}, client="me", key="k") == {
            "id": first["id"],
            "created": False,
            "state": "done",
            "same": True,
        }
        assert not client.submit("q", {"n": 2}, client="me", key="k")["same"]
        assert client.submit("q", None, client="me", key="later")["id"] == waiting["id"]
        assert client.submit("q", {"n": 1}, client="somebody else", key="k")["created"]
        assert client.get(client="me", key="k")["id"] == first["id"]
