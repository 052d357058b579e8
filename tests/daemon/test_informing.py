"""What systemd is told in which order, by a daemon with real workers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from supervisor.control.space import Space
from supervisor.core.progress import Advice, Finding, Standing
from supervisor.daemon.informing import Informing, Leaving, pace
from supervisor.daemon.notify import Notifier
from supervisor.daemon.vigil import Vigil
from tests.pool.rig import Rig, rig
from tests.workers import Gate, command


class Heard(Notifier):
    def __init__(self, interval: float | None = 0.002) -> None:
        super().__init__("/nowhere", interval)
        self.messages: list[str] = []

    def _send(self, message: str) -> bool:
        self.messages.append(message)
        return True

    def take(self) -> list[str]:
        taken, self.messages = self.messages, []
        return taken


class Told:
    def __init__(self, daemon: Rig, folder: Path) -> None:
        self.daemon = daemon
        self.heard = Heard()
        counts = daemon.service.counts
        self.vigil = Vigil(lambda: daemon.pools, daemon.feeder, daemon.committer, counts, every=0.002, patience=30.0)
        space = Space(folder, reserve=0)
        self.informing = Informing(self.heard, lambda: daemon.pools, daemon.feeder, daemon.committer, space, self.vigil)

    async def until_heard(self, message: str) -> None:
        await self.daemon.until(lambda: message in self.heard.messages)


@asynccontextmanager
async def told(folder: Path, worker: str = "echo", *, waits: bool = True) -> AsyncIterator[Told]:
    env = (("STOKER_TEST_FILE", str(folder / "marks")),)
    async with rig(command(worker), folder=folder, waits=waits, env=env) as daemon, trio.open_nursery() as nursery:
        made = Told(daemon, folder)
        nursery.start_soon(made.informing.run)
        yield made
        nursery.cancel_scope.cancel()


async def test_ready_is_said_once_each_pool_has_a_worker_and_time_is_asked_for_until_then(tmp_path: Path) -> None:
    async with told(tmp_path, waits=False) as it, trio.open_nursery() as nursery:
        await it.daemon.until(lambda: bool(it.daemon.pools[0].idle))  # its worker is up, and sets no other
        it.daemon.pools[0].settled = trio.Event()  # as before that
        nursery.start_soon(it.informing.announce)
        await it.until_heard("EXTEND_TIMEOUT_USEC=6000")
        assert not any(message.startswith("READY") for message in it.heard.messages)
        it.daemon.pools[0].settled.set()
        await it.daemon.until(
            lambda: any(message.startswith("READY=1\nSTATUS=1 pool") for message in it.heard.messages)
        )
        it.heard.take()
        await it.until_heard("WATCHDOG=1")
        await it.daemon.submit(1)
        it.heard.take()
        await it.until_heard("WATCHDOG=1")
        assert not any(message.startswith("EXTEND") for message in it.heard.messages)


async def test_the_watchdog_is_not_fed_while_jobs_are_not_given_out_and_is_again_afterwards(tmp_path: Path) -> None:
    async with told(tmp_path) as it:
        await it.until_heard("WATCHDOG=1")
        it.vigil.stuck = Finding(Advice.STUCK, Standing("p", 1, 2, 3), 31.0)
        it.heard.take()
        await it.daemon.until(lambda: any("p is given no jobs for 31 s" in said for said in it.heard.messages))
        assert "WATCHDOG=1" not in it.heard.messages
        it.vigil.stuck = None
        await it.until_heard("WATCHDOG=1")


async def test_a_stop_says_how_far_it_is_and_asks_for_the_time_that_is_left(tmp_path: Path) -> None:
    async with told(tmp_path, "marker") as it:
        with Gate(tmp_path) as gate:
            await it.daemon.submit({"gate": gate.path})
            await it.daemon.until(lambda: it.daemon.feeder.running)
            it.informing.leave(Leaving(lambda: 20.0, trio.current_time() + 40.0))
            await it.until_heard("STATUS=stopping: 1 running, 20 s left")
            gate.open()
        assert "STOPPING=1" in it.heard.messages
        asked = [int(said.partition("=")[2]) for said in it.heard.messages if said.startswith("EXTEND")]
        assert 39_000_000 < asked[-1] <= 40_000_000


async def test_a_drained_daemon_says_so(tmp_path: Path) -> None:
    async with told(tmp_path) as it:
        it.informing._ready = True
        await it.daemon.service.drain()
        await it.until_heard("STATUS=drained: 1 pool, 1/1 workers, 0 running")


async def test_a_failing_store_is_in_the_status_line(tmp_path: Path) -> None:
    async with told(tmp_path) as it:
        it.informing._ready = True
        it.daemon.committer.failing = "disk full"
        await it.until_heard("STATUS=1 pool, 1/1 workers, 0 running; store failing: disk full")
        it.daemon.committer.failing = None


def test_looks_are_as_frequent_as_the_watchdog_is_fed_and_never_rare() -> None:
    assert pace(Heard(None)) == (5.0, 30.0)
    assert pace(Heard(15.0)) == (5.0, 30.0)
    assert pace(Heard(0.5)) == (0.5, 5.0)
    assert pace(Heard(60.0)) == (5.0, 120.0)
