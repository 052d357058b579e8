"""A queue's rate and concurrency by what the workers write down themselves, also across the daemon's death."""

import time

from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import Mark, command, marks

RATE, BURST, CONCURRENCY = 40, 4, 3
JOBS = 120
# From the checkout, where a token is taken, to the worker's own mark: a pipe, and a processor that others want too.
ON_ITS_WAY = 0.5  # seconds


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
