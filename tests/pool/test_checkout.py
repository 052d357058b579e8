"""Who is given which job, and when."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from supervisor.core.job import State
from supervisor.pool.run import Run
from tests.pool.marked import AHEAD, begun, hold_workers, in_claim_order, marked, marked_pool, watched
from tests.pool.rig import pool_config, python, rig
from tests.workers import Gate, command


async def test_an_idle_worker_has_the_job_when_its_submit_is_answered(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with marked(tmp_path, size=3) as daemon:
            for idle in (2, 1, 0):
                [job_id] = await daemon.submit({"gate": gate.path})
                assert job_id in daemon.feeder.running
                assert len(daemon.pools[0].idle) == idle
            [waiting] = await daemon.submit(None)
            assert waiting not in daemon.feeder.running


async def test_the_next_job_is_checked_out_before_the_last_ones_outcome_is_on_disk(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        [following] = await daemon.submit(None)
        recorded = daemon.committer.recorded
        in_hand: list[set[str]] = []

        def look(runs: Sequence[Run], oks: Sequence[bool]) -> None:
            in_hand.append(set(daemon.feeder.running))
            recorded(runs, oks)

        daemon.committer.recorded = look
        await held.release()
        await daemon.ends(following)
        assert in_hand[0] == {*held.jobs, following}


async def test_no_job_waits_behind_a_busy_worker_while_another_idles(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with marked(tmp_path, size=2) as daemon:
            [stuck] = await daemon.submit({"gate": gate.path})
            behind = await daemon.submit(*range(20))
            assert {job.state for job in await daemon.ends(*behind)} == {State.DONE}
            assert stuck in daemon.feeder.running
            gate.open()
            assert (await daemon.ends(stuck))[0].attempt == 1


@pytest.mark.parametrize("size", [1, 2, 4])
async def test_whatever_comes_no_due_job_waits_beside_an_idle_worker(tmp_path: Path, size: int) -> None:
    chance = random.Random(size)
    async with marked(tmp_path, size=size) as daemon, watched(daemon) as watch:
        gates = [Gate(tmp_path, f"gate{number}") for number in range(size + 2)]
        submitted: list[str] = []
        for _ in range(60):
            gate = chance.choice(gates)
            match chance.choice(["quick", "held", "burst", "open", "open", "turn"]):
                case "quick":
                    submitted += await daemon.submit(*[None] * chance.randint(1, 2 * size))
                case "held":
                    gate.close()
                    submitted += await daemon.submit({"gate": gate.path})
                case "burst":
                    submitted += await daemon.submit(*[None] * chance.randint(100, AHEAD))
                case "open":
                    gate.open()
                case "turn":
                    await trio.lowlevel.checkpoint()
        for gate in gates:
            gate.open()
        ended = await daemon.ends(*submitted)
        for gate in gates:
            gate.close()
    assert watch.looks > 10
    assert watch.broken == []
    assert {job.state for job in ended} == {State.DONE}
    assert sorted(begun(tmp_path)) == sorted(submitted)


async def test_waiting_for_a_worker_is_outside_the_timeout(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        await daemon.run(None)  # the child's first job has boot_timeout besides
        [first, second] = await daemon.submit({"sleep": 0.6}, None, timeout=None)
        [impatient] = await daemon.submit(None, timeout=0.5)
        jobs = await daemon.ends(first, second, impatient)
        assert [(job.state, job.attempt) for job in jobs] == [(State.DONE, 1)] * 3
        assert jobs[2].started_at is not None
        assert jobs[2].started_at - jobs[2].created_at > 500_000


async def test_a_job_that_waits_for_a_worker_is_cancelled_at_once(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        first, second, third = await daemon.submit(1, 2, 3)
        cancelled = await daemon.service.cancel(second)
        assert (cancelled.state, cancelled.attempt) == (State.CANCELLED, 0)
        assert held.jobs[0] in daemon.feeder.running
        await held.release()
        await daemon.ends(first, third)
        assert begun(tmp_path) == [*held.jobs, first, third]


async def test_jobs_of_one_priority_begin_in_the_order_of_their_submission(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        submitted: list[str] = []
        for count in (1, 2, 300, 1, 400):
            submitted += await daemon.submit(*range(count))
        await held.release()
        await daemon.ends(*submitted)
        assert begun(tmp_path) == [*held.jobs, *submitted]


async def test_higher_priorities_begin_first_wherever_the_look_ahead_ends(tmp_path: Path) -> None:
    chance = random.Random(4)
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        submitted = await daemon.submit(*range(AHEAD))
        priorities = [0] * AHEAD
        for _ in range(150):
            priority = chance.choice([-7, -1, 0, 1, 5])
            submitted += await daemon.submit(None, priority=priority)
            priorities.append(priority)
        await held.release()
        await daemon.ends(*submitted)
        assert begun(tmp_path)[1:] == in_claim_order(submitted, priorities)


async def test_a_higher_priority_goes_next_while_lower_ones_are_being_worked_off(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        low = await daemon.submit(*range(AHEAD))
        await daemon.until(lambda: len(begun(tmp_path)) > 20)
        [urgent] = await daemon.submit(None, priority=1)
        given_before = {*begun(tmp_path), *daemon.feeder.running}
        await daemon.ends(urgent, *low)
        order = begun(tmp_path)
        assert set(order[: order.index(urgent)]) <= given_before


async def test_two_pools_share_a_queue(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, name=name) for name in ("left", "right")]
    async with marked(tmp_path, *pools) as daemon, hold_workers(daemon, tmp_path) as held:
        assert all(pool.slots[0].run is not None for pool in daemon.pools)
        jobs = await daemon.submit(*range(50))
        await held.release()
        await daemon.ends(*jobs)
        assert sorted(begun(tmp_path)) == sorted([*held.jobs, *jobs])


async def test_a_queue_goes_on_while_one_of_its_pools_hangs(tmp_path: Path) -> None:
    pools = [pool_config(command("never_answers"), tmp_path, name="hung"), marked_pool(tmp_path, name="well")]
    async with rig(folder=tmp_path, pools=pools) as daemon, watched(daemon) as watch:
        stuck = (await daemon.submit({"hang": True}))[0]
        assert daemon.pools[0].slots[0].run is not None
        jobs = await daemon.ends(*await daemon.submit(*range(50)))
        assert {job.state for job in jobs} == {State.DONE}
        assert stuck in daemon.feeder.running
        await daemon.service.cancel(stuck)
    assert watch.broken == []


async def test_a_pool_is_not_stalled_by_the_hung_workers_of_another(tmp_path: Path) -> None:
    pools = [
        pool_config(command("never_reads"), tmp_path, name="hung", queues=("r",), size=2),
        pool_config(command("echo"), tmp_path, name="well"),
    ]
    async with rig(folder=tmp_path, pools=pools) as daemon:
        stuck = await daemon.submit(*["x" * 200_000] * 4, queue="r")  # more than a pipe takes
        jobs = await daemon.ends(*await daemon.submit(*range(200)))
        assert {job.state for job in jobs} == {State.DONE}
        assert set(stuck[:2]) <= set(daemon.feeder.running)


async def test_a_worker_that_answers_before_it_has_read_all_gets_its_next_request_whole(tmp_path: Path) -> None:
    hasty = python(
        "import os, sys",
        "while line := sys.stdin.buffer.readline(200):",  # the id, and a little of the payload
        '    os.write(1, b\'{"id":"\' + line[7:43] + b\'","status":"ok"}\\n\')',
        "    while not line.endswith(b'\\n'):",
        "        line = sys.stdin.buffer.readline(65536)",
    )
    async with rig(hasty, folder=tmp_path) as daemon:
        jobs = await daemon.ends(*await daemon.submit("x" * 500_000, "y", "z" * 300_000))
        assert [(job.state, job.attempt) for job in jobs] == [(State.DONE, 1)] * 3


async def test_a_worker_that_answers_and_never_reads_the_rest_is_replaced(tmp_path: Path) -> None:
    careless = python(
        "import os, time",
        "line = os.read(0, 200)",
        'os.write(1, b\'{"id":"\' + line[7:43] + b\'","status":"ok"}\\n\')',
        "time.sleep(60)",
    )
    async with rig(careless, folder=tmp_path, timeout=0.2, boot_timeout=0.2) as daemon:
        jobs = await daemon.ends(*await daemon.submit("x" * 500_000, "z" * 500_000))
        assert [(job.state, job.attempt) for job in jobs] == [(State.DONE, 1)] * 2
