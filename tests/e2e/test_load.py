"""200 clients at once, 100,000 jobs, megabyte payloads among them, and workers killed at random meanwhile."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.pool import procfs
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import command

CLIENTS = 200
ROUNDS = 10  # of each client
JOBS = 50  # of each round
MEGABYTE = 1_000_000
WORKERS = 4
KILL_EVERY = 0.2  # seconds
# A leak of one payload for each client would be six times as much, one of 300 bytes for each job as much. What grows
# rightly is less: SQLite's caches to their full size (10 MB), the look-ahead (4 MB), and the gaps between them.
MAY_GROW = 32 * MEGABYTE
AGAIN = 5  # rounds of the second load: half of the first
# By then every cache has its full size, so that only the gaps differ, by 1 to 3 MB. A leak of 160 bytes for each job,
# of 40 kB for each client, or of 8 of the 200 large payloads would be as much as this.
MAY_GROW_AGAIN = 8 * MEGABYTE

# No kill may end a job: whatever a worker did not finish is done again.
PATIENT = {"max_attempts": 10_000, "max_crashes": 10_000, "backoff": {"base": "10ms", "cap": "50ms"}}


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """`work(0)`, `work(1)` … at once; the first that failed fails this."""
    failed: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def be_a_client(daemon: Daemon, number: int, rounds: int) -> None:
    """Submit, wait, compare. In one of its rounds a client has a payload of a megabyte."""
    with daemon.client(timeout=None) as client:
        for turn in range(rounds):
            payloads: list[Any] = [[number, turn, place] for place in range(JOBS)]
            if turn == number % rounds:
                payloads[0] = chr(97 + number % 26) * MEGABYTE
            jobs = client.submit_many([{"queue": "q", "payload": payload} for payload in payloads])
            ended = client.wait_all([job["id"] for job in jobs])
            assert [job["state"] for job in ended] == ["done"] * JOBS
            assert [job["result"] for job in ended] == payloads


class Killer:
    """Kills a random worker again and again, from outside, until `stop`."""

    def __init__(self, daemon: Daemon) -> None:
        self.killed = 0
        self._daemon = daemon
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        chance = random.Random(0)
        while not self._over.wait(KILL_EVERY):
            children = self._daemon.children()
            if children:
                self.killed += self._kill(chance.choice(children))

    def _kill(self, child: procfs.Stat) -> bool:
        """By a descriptor, checked after it was opened: the number may belong to somebody else by now."""
        try:
            pidfd = os.pidfd_open(child.pid)
        except ProcessLookupError:
            return False
        try:
            if procfs.stat(child.pid) != child:
                return False
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(pidfd)


def settle(daemon: Daemon) -> None:
    """Return when all clients have gone, and every place is filled with a live worker."""
    with daemon.client() as client:
        until(lambda: client.status()["connections"] == 1, "the other clients' end")
        until(lambda: client.pools("q")[0]["idle"] == WORKERS, "idle workers")
    until(lambda: [child.state for child in daemon.children()].count("Z") == 0, "reaped children")


def load(daemon: Daemon, rounds: int) -> int:
    """All clients at once while workers are killed; how many were."""
    killer = Killer(daemon)
    try:
        in_threads(CLIENTS, lambda number: be_a_client(daemon, number, rounds))
    finally:
        killer.stop()
    settle(daemon)
    return killer.killed


def of_this_daemon(daemon: Daemon) -> set[int]:
    """Every living process that one of its workers was, or was started by, whoever is its parent now."""
    environment = Path(f"/proc/{daemon.children()[0].pid}/environ").read_bytes().split(b"\0")
    [mark] = [entry for entry in environment if entry.startswith(b"STOKER_INSTANCE=")]
    everybody = procfs.all_processes()
    return {one.pid for one in everybody if one.state not in "ZX" and procfs.has_environ(one.pid, mark)}


@pytest.mark.long
def test_all_jobs_end_and_nothing_is_left_of_200_clients(start: Start) -> None:
    daemon = start({"q": {"command": command("echo"), "size": WORKERS}}, {"q": PATIENT})
    in_threads(20, lambda number: be_a_client(daemon, number, 2))
    settle(daemon)
    memory, descriptors = [daemon.memory()], daemon.descriptors()

    began = time.monotonic()
    killed = load(daemon, ROUNDS)
    took = time.monotonic() - began
    memory.append(daemon.memory())
    killed_again = load(daemon, AGAIN)
    memory.append(daemon.memory())

    with daemon.client() as client:
        [queue] = client.queues("q")
        [pool] = client.pools("q")
    assert queue["done"] == 20 * 2 * JOBS + CLIENTS * (ROUNDS + AGAIN) * JOBS
    assert [queue[state] for state in ("pending", "running", "failed", "cancelled", "expired")] == [0] * 5
    assert killed > 20
    assert pool["crashes"] > 20
    until(lambda: daemon.descriptors() <= descriptors, "the descriptors it had before")
    workers = {child.pid for child in daemon.children()}
    assert len(workers) == WORKERS
    assert of_this_daemon(daemon) == workers
    grown, grown_again = memory[1] - memory[0], memory[2] - memory[1]
    print(
        f"{took:.1f} s, {killed} and {killed_again} workers killed, "
        f"{memory[0] / 1e6:.1f} MB before, {grown / 1e6:+.1f} MB after, {grown_again / 1e6:+.1f} MB after half as much"
    )
    assert grown < MAY_GROW
    assert grown_again < MAY_GROW_AGAIN
