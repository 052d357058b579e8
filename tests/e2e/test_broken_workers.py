"""A broken worker costs nothing: no job is charged for it, and hardly any processor time."""

import time
from typing import Any

import pytest

from protocol.client import Client
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import command

NO_SUCH_MODULE = ["python3", "-c", "import nosuch"]


def every(client: Client, **filters: Any) -> list[dict[str, Any]]:
    """All jobs that the filters let through, page by page."""
    page = client.list(limit=200, **filters)
    jobs: list[dict[str, Any]] = page["jobs"]
    while page["next"] is not None:
        page = client.list(limit=200, cursor=page["next"], **filters)
        jobs += page["jobs"]
    return jobs


def submit(client: Client, queue: str, count: int) -> list[str]:
    ids: list[str] = []
    for start in range(0, count, 1000):
        jobs = [{"queue": queue, "payload": number} for number in range(start, min(count, start + 1000))]
        ids += [job["id"] for job in client.submit_many(jobs)]
    return ids


def degraded(client: Client, spawned: int) -> dict[str, Any] | None:
    [pool] = client.status()["pools"]
    return pool if pool["state"] == "degraded" and pool["spawned"] >= spawned else None


def look_at_jobs_no_worker_can_take(daemon: Daemon, secs: float) -> float:
    """1,000 jobs, and a look at them after so many seconds. Returns the part of one processor the daemon used."""
    with daemon.client() as client:
        ids = submit(client, "broken", 1000)
        until(lambda: degraded(client, spawned=4), "a degraded pool")
        began, cpu = time.monotonic(), daemon.cpu()
        while time.monotonic() - began < secs:  # as somebody would who wonders why nothing happens
            pool = degraded(client, spawned=4)
            assert pool is not None
            assert "ModuleNotFoundError: No module named 'nosuch'" in pool["reason"]
            assert pool["jobs_done"] == 0
            time.sleep(0.1)
        used = (daemon.cpu() - cpu) / (time.monotonic() - began)
        client.pause("broken")  # from now on none is in the hands of a dying child
        until(lambda: client.list(state="running")["total"] == 0, "the last child's death")
        jobs = every(client, full=True)
        assert {job["id"] for job in jobs} == {*ids}
        assert {(job["state"], job["charged"], job["crashes"], len(job["attempts"])) for job in jobs} == {
            ("pending", 0, 0, 0)
        }
    return used


def test_an_import_error_at_boot_charges_no_job_and_says_what_it_is(start: Start) -> None:
    daemon = start({"broken": {"command": NO_SUCH_MODULE, "size": 2}})
    assert look_at_jobs_no_worker_can_take(daemon, 2.0) < 0.5


@pytest.mark.long
def test_an_import_error_at_boot_charges_no_job_in_a_minute(start: Start) -> None:
    daemon = start({"broken": {"command": NO_SUCH_MODULE, "size": 4}})
    assert look_at_jobs_no_worker_can_take(daemon, 60.0) < 0.1


def run_through_workers_that_answer_once(daemon: Daemon, count: int) -> None:
    with daemon.client() as client:
        ids = submit(client, "once", count)
        for begin in range(0, count, 1000):
            client.wait_all(ids[begin : begin + 1000])
        [queue] = client.queues("once")
        assert (queue["done"], queue["failed"], queue["pending"], queue["running"]) == (count, 0, 0, 0)
        jobs = every(client)
        assert {(job["state"], job["charged"], job["crashes"]) for job in jobs} == {("done", 0, 0)}
        [pool] = client.pools("once")
        assert pool["state"] == "ready"
        assert pool["spawned"] >= count


def test_a_worker_that_answers_once_and_exits_fails_no_job(start: Start) -> None:
    daemon = start({"once": {"command": command("answers_once_and_exits.sh"), "size": 4}})
    run_through_workers_that_answer_once(daemon, 500)


@pytest.mark.long
@pytest.mark.provokes("dies idle", program="answers_once_and_exits.sh")
def test_a_worker_that_answers_once_and_exits_fails_none_of_10_000_jobs(start: Start) -> None:
    daemon = start({"once": {"command": command("answers_once_and_exits.sh"), "size": 4}})
    run_through_workers_that_answer_once(daemon, 10_000)
