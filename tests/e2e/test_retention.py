"""A million jobs through a queue that keeps few of them: the file stays as large as it must be, and nobody waits."""

import statistics
import time

import pytest

from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import command

JOBS = 1_000_000
GROUP = 1000
AHEAD = 8  # groups that are submitted before the first of them has ended
KEPT = 10_000  # more than those: who asks for a job that ended is told so only while it is kept
PAYLOAD = "x" * 200
# A million jobs of this kind are some 530 MB. What ends in the two seconds between two sweeps is there beside those
# that are kept, and the sweep needs a while too. It reaches that once and then stays.
MAY_BE = 250_000_000
CALLS = 200


def size(daemon: Daemon) -> int:
    return sum(path.stat().st_size for path in daemon.state.glob("stoker.db*"))


@pytest.mark.long
def test_the_file_stays_bounded_while_a_million_jobs_flow_through(start: Start) -> None:
    daemon = start(
        {"p": {"command": command("echo"), "size": 4, "queues": ["q"]}},
        {"q": {"retention": {"done": "forever", "max_done": KEPT}}},
    )
    sizes: list[int] = []
    last: list[str] = []
    with daemon.client(timeout=None) as client:
        for group in range(JOBS // GROUP):
            jobs = client.submit_many([{"queue": "q", "payload": PAYLOAD} for _ in range(GROUP)])
            last.append(jobs[-1]["id"])
            if group >= AHEAD:
                client.wait_all([last[group - AHEAD]])
            if group % 50 == 49:
                sizes.append(size(daemon))
        client.wait_all(last[-AHEAD:])
        until(lambda: client.queues("q")[0]["done"] == KEPT, "the last sweep")
    print([each // 1_000_000 for each in sizes])
    assert max(sizes) < MAY_BE


@pytest.mark.long
def test_other_clients_hardly_notice_that_half_a_million_jobs_are_deleted(start: Start) -> None:
    pools = {"p": {"command": command("echo"), "size": 2, "queues": ["q", "r"]}}
    daemon = start(pools)
    many = JOBS // 2

    def latencies() -> list[float]:
        found = []
        with daemon.client() as client:
            for number in range(CALLS):
                began = time.perf_counter()
                client.wait(client.submit("r", number)["id"])
                found.append(time.perf_counter() - began)
        return found

    with daemon.client(timeout=None) as client:
        for _ in range(many // GROUP):
            last = client.submit_many([{"queue": "q", "payload": PAYLOAD} for _ in range(GROUP)])[-1]["id"]
        client.wait(last)
        until(lambda: client.queues("q")[0]["done"] == many, "all of them done")
    alone = latencies()
    daemon.stop()
    daemon.configure(pools, {"q": {"retention": {"max_done": 0}}})
    daemon.start()
    beside = []
    with daemon.client() as client:
        until(lambda: client.queues("q")[0]["done"] < many, "the sweep to begin")
        while client.queues("q")[0]["done"]:
            beside += latencies()
    print(f"median {statistics.median(alone) * 1000:.1f} ms alone, {statistics.median(beside) * 1000:.1f} ms beside")
    print(f"worst {max(alone) * 1000:.1f} ms alone, {max(beside) * 1000:.1f} ms beside; {len(beside)} calls")
    assert statistics.median(beside) < 0.05
    assert max(beside) < 1.0
