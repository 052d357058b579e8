"""`unique` and `on_conflict` from the outside: whoever submits the same thing at the same time, one of them counts."""

import threading
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed
from tests.e2e.conftest import Start
from tests.e2e.daemon import until
from tests.workers import Gate, command

ECHO = {"q": {"command": command("echo"), "size": 2}}


def test_the_newest_of_what_waits_is_what_runs(start: Start) -> None:
    daemon = start(ECHO)
    with daemon.client() as client:
        client.pause("q")
        answers = [client.submit("q", n, unique="page", on_conflict="replace") for n in range(5)]
        assert [answer.get("replaced") for answer in answers] == [None, *(answer["id"] for answer in answers[:-1])]
        with pytest.raises(CallFailed) as refused:
            client.submit("q", 5, unique="page", on_conflict="reject")
        assert (refused.value.code, refused.value.data["holder"]) == ("conflict", answers[-1]["id"])
        client.resume("q")
        *replaced, last = client.wait_all([answer["id"] for answer in answers])
        assert (last["state"], last["attempt"]) == ("done", 1)
        for job, by in zip(replaced, answers[1:], strict=True):
            assert (job["state"], job["attempt"]) == ("cancelled", 0)
            assert job["error"]["cause"] == "replaced"
            assert job["error"]["details"] == {"replaced_by": by["id"]}
        assert client.list(cause="replaced")["total"] == 4
        assert client.submit("q", 5, unique="page", on_conflict="reject")["created"]


def test_a_replaced_job_stays_so_and_its_value_stays_taken_after_a_kill(start: Start) -> None:
    daemon = start(ECHO)
    with daemon.client() as client:
        client.pause("q")
        old = client.submit("q", 1, unique="u", client="me", key="1")
        new = client.submit("q", 2, unique="u", client="me", key="2", on_conflict="replace")
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        again = client.submit("q", 1, unique="u", client="me", key="1", on_conflict="replace")
        assert again == {"id": old["id"], "created": False, "state": "cancelled", "same": True}
        with pytest.raises(CallFailed) as refused:
            client.retry(old["id"])
        assert (refused.value.code, refused.value.data["holder"]) == ("conflict", new["id"])
        assert client.retry_many(state="cancelled", queue="q")["skipped"] == 1
        client.resume("q")
        assert client.wait(new["id"])["state"] == "done"
        assert client.retry(old["id"])["error"] is None
        assert client.wait(old["id"])["state"] == "done"


def test_of_many_clients_that_replace_each_other_at_the_same_time_each_job_has_one_end(start: Start) -> None:
    daemon = start(ECHO)
    ids: list[list[str]] = [[], [], []]
    values = ("a", "b")

    def submit(place: int) -> None:
        with daemon.client() as client:
            for number in range(150):
                options: dict[str, Any] = {"unique": values[number % 2], "on_conflict": "replace"}
                try:
                    ids[place].append(client.submit("q", {"place": place, "number": number}, **options)["id"])
                except CallFailed as busy:
                    client.wait(busy.data["holder"])

    others = [threading.Thread(target=submit, args=(place,)) for place in (1, 2)]
    for other in others:
        other.start()
    submit(0)
    for other in others:
        other.join()
    with daemon.client() as client:
        jobs = client.wait_all([one for some in ids for one in some])
        for job in jobs:
            assert (job["state"], job["attempt"]) in (("done", 1), ("cancelled", 0)), job
            assert (job["error"] or {}).get("cause") == ("replaced" if job["state"] == "cancelled" else None)
        assert client.queues("q")[0]["done"] == sum(job["state"] == "done" for job in jobs)


def test_a_running_job_is_in_the_way_until_its_end(start: Start, tmp_path: Path) -> None:
    daemon = start({"q": {"command": command("marker"), "size": 1}})
    with Gate(tmp_path) as gate, daemon.client() as client:
        running = client.submit("q", {"gate": gate.path}, unique="u")
        jobs = [{"queue": "q", "payload": 1}, {"queue": "q", "payload": 2, "unique": "u", "on_conflict": "replace"}]
        until(lambda: client.get(running["id"])["state"] == "running", "the job to begin")
        with pytest.raises(CallFailed, match=r"^jobs\[1\]\.unique: job .* runs, so it is not replaced") as refused:
            client.submit_many(jobs)
        assert refused.value.data == {"code": "conflict", "index": 1, "holder": running["id"], "state": "running"}
        assert client.queues("q")[0]["pending"] == 0
        gate.open()
        client.wait(running["id"])
        assert len(client.submit_many(jobs)) == 2
