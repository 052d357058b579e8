"""Rate and concurrency, of a queue and of its keys, by what the workers write down themselves, also across the daemon's
death; and that jobs of a blocked key are in nobody's way, however many."""

import time

import pytest

from protocol.client import Client
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import Mark, command, marks

RATE, BURST, CONCURRENCY = 40, 4, 3
JOBS = 120
# From the checkout, where a token is taken, to the worker's own mark: a pipe, and a processor that others want too.
ON_ITS_WAY = 0.5  # seconds
DELAY = 0.05


def begun(daemon: Daemon) -> list[Mark]:
    return [mark for mark in marks(daemon.side_file) if mark.event == "begin"]


def test_neither_is_exceeded_across_kills_of_the_daemon(start: Start) -> None:
    limits = {"rate": f"{RATE}/s", "burst": BURST, "concurrency": CONCURRENCY, "max_attempts": 1}
    daemon = start({"q": {"command": command("marker"), "size": 8}}, {"q": limits})
    deaths = []
    with daemon.client() as client:
        client.submit_many([{"queue": "q", "payload": {"sleep": 0.03}} for _ in range(JOBS)])
    for part in (1, 2):
        until(lambda part=part: len(begun(daemon)) >= part * JOBS // 3, f"the beginning of {part} thirds of the jobs")  # type: ignore[misc]
        daemon.kill()
        deaths.append(time.monotonic_ns())
        daemon.start()
    with daemon.client() as client:
        until(lambda: client.queues("q")[0]["done"] == JOBS, "the end of all jobs")
    check_rate(begun(daemon))
    check_concurrency(marks(daemon.side_file), deaths)


def test_nor_are_those_of_a_key_while_other_keys_go_on(start: Start) -> None:
    limits = {"rate_per_key": f"{RATE}/s", "burst_per_key": BURST, "concurrency_per_key": CONCURRENCY}
    daemon = start({"q": {"command": command("marker"), "size": 8}}, {"q": {**limits, "max_attempts": 1}})
    key_of: dict[str, str] = {}
    with daemon.client() as client:
        for rate_key, place_key, count in (("r", None, JOBS // 2), (None, "c", JOBS // 2), ("both", "both", JOBS // 2)):
            keys = {"rate_key": rate_key, "concurrency_key": place_key}
            job = {"queue": "q", "payload": {"sleep": 0.03}, **{name: key for name, key in keys.items() if key}}
            answers = client.submit_many([job] * count)
            key_of |= {answer["id"]: rate_key or place_key or "" for answer in answers}
    deaths = []
    for part in (1, 2):
        until(lambda part=part: len(begun(daemon)) >= part * len(key_of) // 3, f"the beginning of {part} thirds")  # type: ignore[misc]
        daemon.kill()
        deaths.append(time.monotonic_ns())
        daemon.start()
    with daemon.client() as client:
        until(lambda: client.queues("q")[0]["done"] == len(key_of), "the end of all jobs")
    written = {key: [mark for mark in marks(daemon.side_file) if key_of[mark.id] == key] for key in ("r", "c", "both")}
    for key in ("r", "both"):
        check_rate([mark for mark in written[key] if mark.event == "begin"])
    for key in ("c", "both"):
        check_concurrency(written[key], list(deaths))


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_jobs_of_a_blocked_key_do_not_delay_those_of_another_one(start: Start, count: int) -> None:
    """Neither while the daemon sees them come, nor after a death, when it knows nothing of them."""
    daemon = start({"q": {"command": command("echo"), "size": 2}}, {"q": {"rate_per_key": "1/h"}})
    with daemon.client() as client:
        for _ in range(count // 10_000):
            client.submit_many([{"queue": "q", "payload": None, "rate_key": "blocked"}] * 10_000)
        assert sorted(taken(client) for _ in range(20))[10] < DELAY
        assert client.queues("q")[0]["limited_by"] == "rate_per_key"
        client.pause("q")
        waiting = client.submit("q", None, concurrency_key="other", priority=-5)["id"]
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        began = time.monotonic()
        client.resume("q")
        client.wait(waiting)
        assert time.monotonic() - began < DELAY + ON_ITS_WAY
        assert sorted(taken(client) for _ in range(20))[10] < DELAY
        counts = client.queues("q")[0]
        assert (counts["pending"], counts["failed"]) == (count, 0)


def taken(client: Client) -> float:
    """Seconds from the submit to the result of a job of another key."""
    began = time.monotonic()
    client.wait(client.submit("q", None, concurrency_key="other")["id"])
    return time.monotonic() - began


def check_rate(begins: list[Mark]) -> None:
    """Over all windows from one beginning to another."""
    times = sorted(mark.at for mark in begins)
    for first, since in enumerate(times):
        for last in range(first, len(times)):
            window = (times[last] - since) / 1e9 + ON_ITS_WAY
            assert last - first + 1 <= RATE * window + BURST


def check_concurrency(written: list[Mark], deaths: list[int]) -> None:
    """A worker dies with its daemon, before the next one begins."""
    running: set[tuple[str, int]] = set()
    for mark in sorted(written, key=lambda mark: mark.at):
        if deaths and mark.at > deaths[0]:
            del deaths[0]
            running.clear()
        if mark.event == "begin":
            running.add((mark.id, mark.attempt))
        else:
            running.discard((mark.id, mark.attempt))
        assert len(running) <= CONCURRENCY
    assert not deaths
