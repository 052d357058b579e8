"""What a watchdog may take for a standstill, and what it must not: real pools, real workers, a real store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from structlog.testing import capture_logs

from supervisor.config.model import NANOS, QueueConfig, Rate
from supervisor.core.job import State
from supervisor.core.progress import Advice
from supervisor.daemon.vigil import Vigil
from supervisor.pool.pool import Pool
from supervisor.pool.run import Run
from tests.pool.rig import Rig, pool_config, rig
from tests.workers import Gate, command

EVERY, PATIENCE = 5.0, 30.0


class Watched:
    """A rig and its vigil, whose looks follow one another as if EVERY seconds lay between them."""

    def __init__(self, daemon: Rig) -> None:
        self.daemon = daemon
        self.vigil = Vigil(
            lambda: daemon.pools,
            daemon.feeder,
            daemon.committer,
            daemon.service.counts,
            every=EVERY,
            patience=PATIENCE,
        )
        self.advice: list[Advice] = []
        progress, turn = self.vigil._progress, iter(range(10_000))
        look = progress.look

        def at_its_time(standings: Any, now: float) -> Any:
            finding = look(standings, next(turn) * EVERY)
            self.advice.append(finding.advice)
            return finding

        progress.look = at_its_time  # type: ignore[method-assign]

    async def looks(self, count: int = 10) -> None:
        for _ in range(count):
            await self.vigil.look()
            self.daemon.feeder.tick(trio.current_time())

    async def sees_nothing(self) -> None:
        """Though jobs wait."""
        await self.looks()
        assert self.vigil.pending
        assert set(self.advice) == {Advice.FINE}
        assert self.vigil.stuck is None

    @property
    def pool(self) -> tuple[int, int]:
        """Idle workers, and jobs that run."""
        return len(self.daemon.pools[0].idle), len(self.daemon.feeder.running)


@asynccontextmanager
async def watched(folder: Path, worker: str = "echo", **options: Any) -> AsyncIterator[Watched]:
    env = (("STOKER_TEST_FILE", str(folder / "marks")),)
    async with rig(command(worker), folder=folder, env=env, **options) as daemon:
        yield Watched(daemon)


async def test_a_paused_queue_is_no_standstill(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.daemon.service.pause("q")
        await w.daemon.submit(1, 2, 3)
        await w.sees_nothing()
        assert w.pool == (1, 0)


@pytest.mark.parametrize(
    "queue",
    [
        QueueConfig(name="q", rate=Rate(count=1, period=3600 * NANOS), burst=1),
        QueueConfig(name="q", concurrency=1),
        QueueConfig(name="q", concurrency_per_key=1),
        QueueConfig(name="q", rate_per_key=Rate(count=1, period=3600 * NANOS), burst_per_key=1),
    ],
)
async def test_jobs_that_wait_for_a_limit_are_no_standstill(tmp_path: Path, queue: QueueConfig) -> None:
    with Gate(tmp_path) as gate:
        async with watched(tmp_path, "marker", size=2, queue=queue) as w:
            await w.daemon.submit(*[{"gate": gate.path}] * 3, rate_key="k", concurrency_key="k")
            await w.sees_nothing()
            assert w.pool == ((2, 0) if queue.rate or queue.rate_per_key else (1, 1))
            gate.open()


async def test_a_throttled_queue_is_no_standstill(tmp_path: Path) -> None:
    async with watched(tmp_path, queue=QueueConfig(name="q", on_throttle="queue")) as w:
        line = w.daemon.feeder.lines["q"]
        w.daemon.feeder._throttle(line, 2**62)
        await w.daemon.submit(1, 2)
        await w.sees_nothing()


async def test_a_drained_daemon_is_no_standstill(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        w.daemon.service.stop_feeding()
        await w.daemon.submit(1, 2)
        await w.sees_nothing()


async def test_a_store_that_fails_is_no_standstill(tmp_path: Path) -> None:
    """A full disk would be as full after a restart."""
    async with watched(tmp_path) as w:
        await w.daemon.service.pause("q")
        await w.daemon.submit(1)
        w.daemon.committer.failing = "disk full"
        w.daemon.feeder.lines["q"].pause(False)
        await w.sees_nothing()
        w.daemon.committer.failing = None


async def test_a_pool_without_workers_is_no_standstill(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.daemon.service.pause("q")
        await w.daemon.submit(1)
    async with rig(["/nonexistent/program"], folder=tmp_path) as daemon:
        w = Watched(daemon)
        await daemon.service.resume("q")
        await w.sees_nothing()
        assert daemon.pools[0].state == "degraded"


async def test_busy_workers_and_a_queue_that_grows_are_no_standstill(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with watched(tmp_path, "marker") as w:
            await w.daemon.submit(*[{"gate": gate.path}] * 5)
            await w.sees_nothing()
            assert w.pool == (0, 1)
            gate.open()


async def test_workers_kept_for_another_queue_are_no_standstill(tmp_path: Path) -> None:
    env = (("STOKER_TEST_FILE", str(tmp_path / "marks")),)
    config = pool_config(command("marker"), tmp_path, size=2, queues=("a", "b"), reserve=(("b", 1),), env=env)
    with Gate(tmp_path) as gate:
        async with rig(folder=tmp_path, pools=[config]) as daemon:
            w = Watched(daemon)
            await daemon.submit(*[{"gate": gate.path}] * 3, queue="a")
            await w.sees_nothing()
            assert w.pool == (1, 1)
            gate.open()


async def test_jobs_that_expire_and_a_wall_clock_that_was_set_are_no_standstill(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.daemon.service.pause("q")
        jobs = await w.daemon.submit(*[None] * 20, expires_at=w.daemon.now() + 3_600_000_000)
        w.daemon.skew = 7_200_000_000
        await w.daemon.service.resume("q")
        await w.looks(5)
        w.daemon.skew = -7_200_000_000
        await w.looks()
        assert set(w.advice) == {Advice.FINE}
        assert {job.state for job in await w.daemon.ends(*jobs)} <= {State.DONE, State.EXPIRED}


async def test_jobs_that_somebody_is_about_to_cancel_are_no_standstill(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        await w.daemon.service.pause("q")
        jobs = await w.daemon.submit(1, 2)
        w.daemon.feeder.hold(*jobs)
        await w.daemon.service.resume("q")
        await w.sees_nothing()
        w.daemon.feeder.unhold(*jobs, reread=True)
        assert {job.state for job in await w.daemon.ends(*jobs)} == {State.DONE}


async def test_rows_that_were_never_read_are_found_and_read_anew_without_a_restart(tmp_path: Path) -> None:
    """As a bug in the look-ahead would have it: it believes that it knows all there is."""
    async with watched(tmp_path) as w:
        ahead = w.daemon.feeder.lines["q"].ahead
        ahead.offer = lambda row: True  # type: ignore[method-assign,union-attr]
        jobs = await w.daemon.submit(1, 2)
        with capture_logs() as logs:
            await w.looks(5)
        assert {job.state for job in await w.daemon.ends(*jobs)} == {State.DONE}
        renewed = [line for line in logs if line["event"] == "dispatch_renewed"]
        assert [(line["pool"], line["idle"], line["waiting"]) for line in renewed] == [("p", 1, 2)]
        assert Advice.STUCK not in w.advice


async def test_a_read_whose_answer_is_lost_is_found_and_asked_again_without_a_restart(tmp_path: Path) -> None:
    async with watched(tmp_path) as w:
        line = w.daemon.feeder.lines["q"]
        line.forget()
        line.reading = True
        jobs = await w.daemon.submit(1, 2)
        await w.looks(5)
        assert {job.state for job in await w.daemon.ends(*jobs)} == {State.DONE}
        assert Advice.STUCK not in w.advice


async def test_jobs_that_nobody_gives_out_are_a_standstill_with_the_facts_in_the_log(tmp_path: Path) -> None:
    async with watched(tmp_path, size=2) as w:
        real = w.daemon.feeder.checkout

        def broken(pool: Pool) -> Run | None:
            return None

        w.daemon.feeder.checkout = broken  # type: ignore[method-assign]
        jobs = await w.daemon.submit(1, 2, 3)
        with capture_logs() as logs:
            await w.looks(9)
        assert w.vigil.stuck is not None
        [said] = [line for line in logs if line["event"] == "dispatch_stuck"]
        assert (said["pool"], said["idle"], said["waiting"], said["secs"]) == ("p", 2, 3, 30)
        assert said["store"].startswith("asleep, in ")
        w.daemon.feeder.checkout = real  # type: ignore[method-assign]
        await w.looks(2)
        assert w.vigil.stuck is None
        assert {job.state for job in await w.daemon.ends(*jobs)} == {State.DONE}
