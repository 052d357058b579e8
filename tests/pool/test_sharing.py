"""How the queues of one pool share its workers: measured by the marks that the workers themselves leave."""

from pathlib import Path

import pytest

from supervisor.config.model import PoolConfig
from supervisor.errors import Invalid
from tests.pool.marked import begun, marked, marked_pool, prove_idle_pools_take_nothing
from tests.pool.rig import Rig
from tests.workers import Gate, marks

WORKERS = 2
SLOW, QUICK = {"sleep": 0.05}, {"sleep": 0.005}


async def start(daemon: Rig, jobs: dict[str, list[object]]) -> dict[str, list[str]]:
    """All of them are there before the first one begins."""
    daemon.feeder.stopped = True
    ids = {queue: await daemon.submit(*payloads, queue=queue) for queue, payloads in jobs.items()}
    daemon.feeder.stopped = False
    for queue in jobs:
        daemon.feeder.wake(daemon.feeder.lines[queue])
    return ids


async def stop(daemon: Rig) -> None:
    """What runs ends, and nothing begins."""
    daemon.service.stop_feeding()
    await daemon.until(lambda: not daemon.feeder.running)


def running_times(folder: Path) -> dict[str, float]:
    """By job, in seconds, as the workers saw it."""
    at = {(mark.event, mark.id): mark.at for mark in marks(folder / "marks")}
    return {job: (at["end", job] - began) / 1e9 for (event, job), began in at.items() if event == "begin"}


@pytest.mark.provokes("weight", program="marker.py")
@pytest.mark.parametrize(("weight", "enough"), [(1, 24), (3, 36)])
async def test_slow_jobs_and_quick_ones_get_the_running_time_that_their_weights_say(
    tmp_path: Path, weight: int, enough: int
) -> None:
    """However long the jobs turn out on this machine: the bounds are of the longest, and neither queue runs empty."""
    pool = marked_pool(tmp_path, size=WORKERS, queues=("slow", "quick"), weight=(("slow", weight),))
    async with marked(tmp_path, pool) as daemon:
        ids = await start(daemon, {"slow": [SLOW] * 100, "quick": [QUICK] * 800})
        slow = set(ids["slow"])
        await daemon.until(lambda: len(slow.intersection(begun(tmp_path))) >= enough)
        await stop(daemon)
        charged = {share.queue: share.used_secs for share in daemon.service.pools("p")[0].shares}
        seen = running_times(tmp_path)
        jobs = [await daemon.service.get(job) for job in seen]
    assert all(slow.difference(seen) if queue == "slow" else set(ids[queue]) - seen.keys() for queue in ids)
    longest = {
        queue: max(job.finished_at - job.started_at for job in jobs if job.queue == queue) / 1e6 for queue in charged
    }
    measured = {queue: sum(seen[job] for job in ids[queue] if job in seen) for queue in charged}
    by_weight = {"slow": weight, "quick": 1}
    bound = 2 * WORKERS * sum(longest[queue] / by_weight[queue] for queue in charged)
    assert abs(charged["slow"] / weight - charged["quick"]) <= bound
    # Between a worker's marks and the daemon's measure lies the way through the pipe, there and back.
    on_the_way = {queue: charged[queue] - measured[queue] for queue in charged}
    assert all(0 < way < charged[queue] for queue, way in on_the_way.items())
    apart = abs(measured["slow"] / weight - measured["quick"])
    assert apart <= bound + on_the_way["slow"] / weight + on_the_way["quick"]


async def test_a_queue_that_had_nothing_to_do_does_not_take_the_pool_when_it_comes_back(tmp_path: Path) -> None:
    pool = marked_pool(tmp_path, queues=("steady", "guest"))
    async with marked(tmp_path, pool) as daemon:
        steady = await daemon.submit(*[SLOW] * 40, queue="steady")
        await daemon.until(lambda: len(begun(tmp_path)) >= 10)
        guests = await daemon.submit(*[SLOW] * 40, queue="guest")
        before = len(begun(tmp_path))
        await daemon.until(lambda: len(begun(tmp_path)) >= before + 16)
        await stop(daemon)
    seen = running_times(tmp_path)
    of_guests = [seen[job] for job in guests if job in seen]
    meanwhile = [seen[job] for job in steady if job in seen][before - 1 :]
    # One job by the rule, and those that were on their way when the guests came and when all was stopped.
    assert abs(sum(of_guests) - sum(meanwhile)) <= 4 * max(seen.values())


@pytest.mark.provokes("order", program="marker.py")
async def test_in_strict_order_a_later_queue_is_served_when_the_earlier_ones_are_empty(tmp_path: Path) -> None:
    pool = marked_pool(tmp_path, queues=("first", "second"), order="strict")
    async with marked(tmp_path, pool) as daemon:
        with Gate(tmp_path) as gate:
            [held] = await daemon.submit({"gate": gate.path}, queue="second")
            second = await daemon.submit(*[None] * 30, queue="second")
            first = await daemon.submit(*[None] * 30, queue="first")
            gate.open()
            await daemon.ends(held, *first, *second)
    assert begun(tmp_path) == [held, *first, *second]


@pytest.mark.provokes("reserve", program="marker.py")
async def test_a_reserved_worker_waits_for_its_queue(tmp_path: Path) -> None:
    pool = marked_pool(tmp_path, size=3, queues=("q", "urgent"), reserve=(("urgent", 1),))
    with Gate(tmp_path) as gate:
        async with marked(tmp_path, pool) as daemon:
            many = await daemon.submit(*[{"gate": gate.path}] * 5)
            await prove_idle_pools_take_nothing(daemon, "urgent")
            assert set(many[:2]) <= set(daemon.feeder.running)
            assert not set(many[2:]) & {*daemon.feeder.running, *begun(tmp_path)}
            [urgent, second] = await daemon.submit(*[{"gate": gate.path}] * 2, queue="urgent")
            assert urgent in daemon.feeder.running  # at once
            assert second not in daemon.feeder.running
            gate.open()
            await daemon.ends(*many, urgent, second)


async def test_an_elastic_pool_grows_when_its_idle_workers_are_reserved(tmp_path: Path) -> None:
    pool = marked_pool(tmp_path, min=1, max=3, grow_after=0.02, queues=("q", "urgent"), reserve=(("urgent", 1),))
    async with marked(tmp_path, pool) as daemon:
        await daemon.ends(*await daemon.submit(1, 2, 3))
        assert daemon.pools[0].spawned > 1


async def test_a_pool_is_not_made_too_small_for_what_is_reserved(tmp_path: Path) -> None:
    pool = marked_pool(tmp_path, size=3, queues=("q", "urgent"), reserve=(("urgent", 1),))
    async with marked(tmp_path, pool) as daemon:
        with pytest.raises(Invalid, match="at least 2, or 0"):
            daemon.service.resize("p", 1, 1)
        assert daemon.service.resize("p", 2, 2).max == 2
        assert daemon.service.resize("p", 0, 0).max == 0


async def test_a_restart_brings_other_weights(tmp_path: Path) -> None:
    def pool(**changes: object) -> PoolConfig:
        return marked_pool(tmp_path, queues=("a", "b"), **changes)

    async with marked(tmp_path, pool()) as daemon:
        await daemon.ends(*await daemon.submit(1, 2, queue="a"))
        used = daemon.service.pools("p")[0].shares[0].used_secs
        await daemon.pools[0].restart(pool(weight=(("b", 2),), reserve=(("a", 0),), order="weight"))
        a, b = daemon.service.pools("p")[0].shares
        assert (a.weight, b.weight, a.used_secs) == (1, 2, used)
        await daemon.ends(*await daemon.submit(1, queue="b"), *await daemon.submit(1, queue="a"))


async def test_pools_tells_what_each_queue_has_of_it(tmp_path: Path) -> None:
    both = marked_pool(tmp_path, queues=("a", "b"), size=2, weight=(("a", 3),), reserve=(("b", 1),))
    with Gate(tmp_path) as gate:
        async with marked(tmp_path, both, marked_pool(tmp_path, name="alone", queues=("c",))) as daemon:
            [job] = await daemon.submit({"gate": gate.path}, queue="a")
            view, alone = daemon.service.pools(None)
            a, b = view.shares
            assert (view.order, alone.shares) == ("weight", [])
            assert (a.queue, a.weight, a.reserve, a.running) == ("a", 3, 0, 1)
            assert (b.queue, b.weight, b.reserve, b.running) == ("b", 1, 1, 0)
            await daemon.until(lambda: daemon.service.pools("p")[0].shares[0].workers > 0)
            gate.open()
            await daemon.ends(job)
            a, b = daemon.service.pools("p")[0].shares
            assert (a.running, a.used_secs > 0, b.used_secs) == (0, True, 0)
