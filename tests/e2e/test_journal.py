"""The journal of a real daemon: nothing is missing, whoever reads it and however."""

import threading
import time
from collections import defaultdict
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed, Client, Disconnected
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import Gate, command

ECHO = {"q": {"command": command("echo"), "size": 2}}
GOOD = ["submitted", "started", "done"]


def rest(client: Client, since: str | None = None, **wanted: Any) -> list[dict[str, Any]]:
    """All events from there to the end."""
    place = {} if since is None else {"since": since}
    events: list[dict[str, Any]] = []
    while True:
        page = client.events(**place, **wanted)
        events += page["events"]
        place = {"since": page["next"]}
        if not page["more"]:
            return events


def by_job(events: list[dict[str, Any]]) -> dict[str, list[str]]:
    told = defaultdict(list)
    for event in events:
        told[event["job"]].append(event["kind"])
    return told


def submit(client: Client, count: int) -> list[str]:
    return [job["id"] for job in client.submit_many([{"queue": "q", "payload": n} for n in range(count)])]


def follow(daemon: Daemon, since: str, count: int, found: list[dict[str, Any]], pause: float) -> None:
    """Until so many jobs are done."""
    done = 0
    with daemon.client() as client:
        while done < count:
            page = client.events(since=since, limit=50, wait_secs=10)
            since = page["next"]
            found += page["events"]
            done += sum(event["kind"] == "done" for event in page["events"])
            time.sleep(pause)


def test_followers_quick_and_slow_hear_everything_once_and_in_order(start: Start) -> None:
    daemon = start(ECHO)
    heard: list[list[dict[str, Any]]] = [[], []]
    with daemon.client() as client:
        client.pause("q")
        followers = [
            threading.Thread(target=follow, args=(daemon, client.events(last=0)["next"], 500, found, pause))
            for found, pause in zip(heard, (0, 0.02), strict=True)
        ]
        before = rest(client)
        for follower in followers:
            follower.start()
        jobs = submit(client, 500)
        client.resume("q")
        client.wait_all(jobs)
        for follower in followers:
            follower.join(60)
            assert not follower.is_alive()
        whole = rest(client)[len(before) :]
    assert by_job(whole) == dict.fromkeys(jobs, GOOD)
    assert len({event["cursor"] for event in whole}) == 1500
    for found in heard:
        assert found == whole[-len(found) :]
        assert by_job(found).keys() == set(jobs)


def subscribed(daemon: Daemon, found: list[dict[str, Any]], since: str | None = None, enough: int = 0) -> None:
    """Until there are so many, or the daemon goes away."""
    with daemon.client() as client, suppress(Disconnected):
        for what, told in client.subscribe(**({} if since is None else {"since": since})):
            assert what != "gap"
            found += [told] if what == "event" else []
            if len(found) == enough:
                return


def test_a_subscriber_hears_everything_once_and_in_order_and_goes_on_when_the_daemon_is_back(start: Start) -> None:
    daemon = start(ECHO)
    heard: list[dict[str, Any]] = []
    following = threading.Thread(target=subscribed, args=(daemon, heard))
    following.start()
    with daemon.client() as client:
        jobs = submit(client, 300)
        client.wait_all(jobs)
    daemon.kill()
    following.join(60)
    daemon.start()
    with daemon.client() as client:
        more = submit(client, 10)
        client.wait_all(more)
        whole = rest(client)
    subscribed(daemon, heard, heard[-1]["cursor"] if heard else None, len(whole))
    assert heard == whole
    assert by_job(whole) == dict.fromkeys([*jobs, *more], GOOD)


def test_who_takes_nothing_for_a_while_misses_nothing_and_a_stop_does_not_wait_for_him(start: Start) -> None:
    daemon = start(ECHO)
    with daemon.client() as slow, daemon.client() as client:
        stream = slow.subscribe()
        jobs = submit(client, 2000)  # more than the socket holds
        client.wait_all(jobs)
        whole = rest(client)
        told = [one for what, one in islice(stream, 1 + len(whole)) if what == "event"]
        assert told == whole
        client.wait_all(submit(client, 2000))
    with daemon.client() as idle:
        idle.subscribe()
        daemon.stop()


@pytest.mark.long
def test_a_subscriber_who_sleeps_ten_seconds_in_a_hundred_thousand_events_misses_none(start: Start) -> None:
    daemon = start(ECHO)
    count = 35_000
    with daemon.client() as slow, daemon.client() as client:
        stream = slow.subscribe(last=0)
        for _ in range(count // 1000):
            submit(client, 1000)
        told = [one for what, one in islice(stream, 1000) if what == "event"]
        memory = daemon.memory()
        time.sleep(10)
        until(lambda: client.queues("q")[0]["done"] == count, "all jobs")
        assert daemon.memory() - memory < 10e6
        told += [one for what, one in islice(stream, 3 * count - len(told)) if what == "event"]
        assert len(told) == 3 * count > 100_000
        assert [event["cursor"] for event in told] == [event["cursor"] for event in rest(client, limit=1000)]
        assert set(map(tuple, by_job(told).values())) == {tuple(GOOD)}


def test_what_a_job_said_of_its_progress_is_there_after_the_daemons_death(start: Start, tmp_path: Path) -> None:
    daemon = start({"q": {"command": command("progress")}})
    with Gate(tmp_path) as gate:
        with daemon.client() as client:
            job = client.submit("q", {"steps": 2, "gate": gate.path})["id"]
            told = until(lambda: client.events(kind="progress")["events"], "its progress in the journal")
            said = client.get(job)["progress"]
        assert (said["done"], said["total"]) == (1, 2)
        daemon.kill()
        daemon.start()
        with daemon.client() as client:
            assert client.get(job)["progress"] == said
            assert client.events(kind=["progress", "interrupted"])["events"][0] == told[0]
            gate.open()
            assert client.wait(job)["progress"]["done"] == 2


def test_a_reader_goes_on_where_it_was_after_the_daemon_was_killed(start: Start) -> None:
    daemon = start(ECHO)
    with daemon.client() as client:
        jobs = submit(client, 20)
        client.wait_all(jobs)
        since = client.events(limit=30)["next"]
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        more = submit(client, 5)
        client.wait_all(more)
        told = by_job(rest(client))
        assert told == dict.fromkeys([*jobs, *more], GOOD)
        assert len(rest(client, since)) == 75 - 30
        assert rest(client, job=more[2]) == [event for event in rest(client) if event["job"] == more[2]]


def test_waiting_for_events_ends_with_the_first_one_or_in_time(start: Start) -> None:
    daemon = start(ECHO)
    with daemon.client() as client, daemon.client() as other:
        end = client.events(last=0)
        assert (end["events"], end["more"]) == ([], False)
        assert client.events(since=end["next"], wait_secs=0.05) == end
        asked = client.send("events", {"since": end["next"], "wait_secs": 30, "job": "nobody"})
        client.send("events", {"since": end["next"], "wait_secs": 30})
        job = submit(other, 1)
        number, page = client.receive()
        assert number != asked
        assert page["events"][0]["job"] == job[0]


def test_a_silent_queue_is_left_out(start: Start) -> None:
    pools = {"p": {"command": command("echo"), "queues": ["q", "quiet"]}}
    daemon = start(pools, {"quiet": {"events": False}})
    with daemon.client() as client:
        silent = client.submit("quiet", 1)["id"]
        client.wait(silent)
        jobs = submit(client, 3)
        client.wait_all(jobs)
        assert by_job(rest(client)) == dict.fromkeys(jobs, GOOD)


def test_a_queue_that_has_left_the_configuration_can_still_be_read_of_and_one_that_never_was_cannot(
    start: Start,
) -> None:
    daemon = start({"p": {"command": command("echo"), "queues": ["q", "old"]}})
    with daemon.client() as client:
        client.wait(job := client.submit("old", 1)["id"])
        client.delete(job)
        daemon.configure(ECHO)
        daemon.restart()
    with daemon.client() as client:
        assert [event["kind"] for event in client.events(queue="old")["events"]] == [*GOOD, "deleted"]
        for method in (client.events, client.subscribe):
            with pytest.raises(CallFailed, match='there is no queue "Q": the configuration has q') as refused:
                method(queue="Q")
            assert refused.value.code == "unknown_queue"


def test_a_place_of_another_store_is_gone(start: Start) -> None:
    first, second = start(ECHO), start(ECHO)
    with first.client() as client:
        client.wait_all(submit(client, 5))
        since = client.events()["next"]
    with second.client() as client:
        with pytest.raises(CallFailed, match="another store") as caught:
            client.events(since=since)
        assert caught.value.code == "gone"
