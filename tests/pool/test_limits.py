"""A queue's rate and concurrency hold by what the workers themselves write down, and jobs wait for them unclaimed."""

import time
from fractions import Fraction
from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.config.model import NANOS, QueueConfig, Rate
from supervisor.core.gate import Gate as QueueGate
from supervisor.core.job import State
from tests.pool.marked import begun, marked, marked_pool, side_file
from tests.pool.rig import Rig, rig
from tests.workers import Gate, command, marks


def limited(**limits: object) -> QueueConfig:
    return QueueConfig(name="q", max_attempts=1, **limits)


def running(daemon: Rig) -> int:
    return len(daemon.feeder.running)


async def quiet(daemon: Rig) -> None:
    """Whatever can be checked out now has been."""
    await trio.testing.wait_all_tasks_blocked()
    await daemon.committer.settle()
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.provokes("concurrency", program="marker.py")
async def test_no_more_jobs_run_at_a_time_than_the_queue_allows_in_all_pools_together(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, name=name, queues=("q",), size=3) for name in ("one", "two")]
    async with rig(folder=tmp_path, pools=pools, queue=limited(concurrency=4)) as daemon:
        with Gate(tmp_path) as gate:
            jobs = await daemon.submit(*[{"gate": gate.path}] * 10)
            await daemon.until(lambda: len(begun(tmp_path)) == 4)
            await quiet(daemon)
            assert (running(daemon), len(begun(tmp_path))) == (4, 4)
            counts = (await daemon.service.queues("q"))[0]
            assert (counts.running, counts.pending, counts.due, counts.limited_by) == (4, 6, 6, "concurrency")
            gate.open()
            assert {job.state for job in await daemon.ends(*jobs)} == {State.DONE}
        most = now = 0
        for mark in marks(side_file(tmp_path)):
            now += {"begin": 1, "end": -1}[mark.event]
            most = max(most, now)
        assert most == 4


async def test_a_place_is_free_again_however_the_job_has_ended(tmp_path: Path) -> None:
    async with rig(command("crashes"), folder=tmp_path, queue=limited(concurrency=1), size=2) as daemon:
        jobs = await daemon.submit(*[{"signal": "SIGKILL"}] * 5)
        assert {job.state for job in await daemon.ends(*jobs)} == {State.FAILED}


async def test_a_cancelled_job_keeps_its_place_until_its_whole_tree_is_gone(tmp_path: Path) -> None:
    async with rig(command("ignores_term"), folder=tmp_path, queue=limited(concurrency=1), size=2) as daemon:
        first, second = await daemon.submit({"hang": True}, {"hang": True})
        await daemon.until(lambda: running(daemon) == 1)
        child = daemon.feeder.running[first].life.child
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.service.cancel, first)
            await daemon.until(lambda: second in daemon.feeder.running)
            assert child.dead.is_set()
            await daemon.service.cancel(second)


@pytest.mark.provokes("rate", "burst", program="echo.py")
async def test_jobs_begin_no_faster_than_the_rate_and_as_fast_as_it_allows(tmp_path: Path) -> None:
    rate, burst = Rate(count=50, period=NANOS), 5
    async with rig(command("echo"), folder=tmp_path, queue=limited(rate=rate, burst=burst), size=4) as daemon:
        taken: list[int] = []
        gate = daemon.feeder.lines["q"].gate
        enter = gate.enter

        def entered(now: int) -> None:
            taken.append(now)
            enter(now)

        gate.enter = entered  # type: ignore[method-assign]
        jobs = await daemon.ends(*await daemon.submit(*range(60)))
    assert {(job.state, job.attempt) for job in jobs} == {(State.DONE, 1)}
    for first, since in enumerate(taken):
        for last, until in enumerate(taken[first:], start=first):
            assert last - first + 1 <= Fraction(rate.count * (until - since), rate.period) + burst


async def test_waiting_for_a_rate_needs_no_other_event(tmp_path: Path) -> None:
    """Nothing is submitted, ends or ticks meanwhile: the queue is woken by its own alarm."""
    rate = Rate(count=20, period=NANOS)
    async with rig(command("echo"), folder=tmp_path, queue=limited(rate=rate)) as daemon:
        daemon.feeder.tick = lambda now: None  # type: ignore[method-assign]
        for _ in range(3):
            await daemon.run(None)


async def test_a_queue_that_waits_for_its_rate_keeps_no_worker_from_other_queues(tmp_path: Path) -> None:
    slow = QueueConfig(name="slow", rate=Rate(count=1, period=3600 * NANOS))
    async with marked(tmp_path, marked_pool(tmp_path, queues=("q", "slow"))) as daemon:
        daemon.feeder.lines["slow"].gate = QueueGate(slow, time.monotonic_ns())
        [waits] = await daemon.submit(None, queue="slow")
        [job] = await daemon.ends(*await daemon.submit(None))
        assert job.state is State.DONE
        assert (await daemon.service.get(waits)).state is State.PENDING
        assert (await daemon.service.get(waits)).attempt == 0
        assert (await daemon.service.queues("slow"))[0].limited_by == "rate"
        assert (await daemon.service.queues("q"))[0].limited_by is None


async def test_jobs_that_wait_for_a_limit_do_not_make_a_pool_grow(tmp_path: Path) -> None:
    async with rig(
        command("marker"),
        folder=tmp_path,
        env=(("STOKER_TEST_FILE", str(side_file(tmp_path))),),
        queue=limited(concurrency=1),
        min=1,
        max=4,
        grow_after=0.01,
    ) as daemon:
        with Gate(tmp_path) as gate:
            jobs = await daemon.submit(*[{"gate": gate.path}] * 5)
            await daemon.until(lambda: len(begun(tmp_path)) == 1)
            await trio.sleep(0.1)  # ten times what makes a pool grow
            assert len(daemon.pools[0].slots) == 1
            gate.open()
            await daemon.ends(*jobs)


@pytest.mark.parametrize("limits", [{"concurrency": 1}, {"rate": Rate(count=1000, period=NANOS)}])
async def test_pause_and_expiry_hold_for_limited_queues_too(tmp_path: Path, limits: dict[str, object]) -> None:
    async with rig(command("echo"), folder=tmp_path, queue=limited(**limits)) as daemon:
        await daemon.service.pause("q")
        moment = daemon.now()
        [late] = await daemon.submit(1, expires_at=moment + 1)
        [early] = await daemon.submit(2)
        [job] = await daemon.ends(late)
        assert job.state is State.EXPIRED
        await daemon.service.resume("q")
        [job] = await daemon.ends(early)
        assert job.state is State.DONE
