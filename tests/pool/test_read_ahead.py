"""Pause, cancel, delete and expiry reach the jobs that were read ahead, and those behind them.

Each test fills the look-ahead and more, with the workers held by a gate, and then looks at what workers received.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from supervisor.core.job import MICROS, Job, State
from supervisor.core.lookahead import MAX_ROWS
from supervisor.errors import NotFound
from tests.pool.marked import AHEAD, Held, begun, hold_workers, marked, prove_idle_pools_take_nothing
from tests.pool.rig import Rig
from tests.workers import Gate

HOUR = 3600 * MICROS


@asynccontextmanager
async def full(folder: Path, expires_in: int | None = None) -> AsyncIterator[tuple[Rig, Held, list[str]]]:
    """Two busy workers, and more jobs behind them than are read ahead. `expires_in`: microseconds."""
    async with marked(folder, size=2, queues=("q", "r")) as daemon, hold_workers(daemon, folder) as held:
        expires_at = None if expires_in is None else daemon.now() + expires_in
        jobs = await daemon.submit(*range(AHEAD), expires_at=expires_at)
        assert len(daemon.feeder.lines["q"].ahead) == MAX_ROWS
        yield daemon, held, jobs


def states(jobs: list[Job]) -> set[State]:
    return {job.state for job in jobs}


async def test_a_paused_queue_gives_nothing_out_until_it_is_resumed(tmp_path: Path) -> None:
    async with full(tmp_path) as (daemon, held, jobs):
        assert (await daemon.service.pause("q")).paused
        await held.release()
        await prove_idle_pools_take_nothing(daemon, "r")
        assert set(begun(tmp_path)).isdisjoint(jobs)
        late = await daemon.submit(1, 2, priority=9)
        await prove_idle_pools_take_nothing(daemon, "r")
        assert set(begun(tmp_path)).isdisjoint(jobs + late)
        assert not (await daemon.service.resume("q")).paused
        assert states(await daemon.ends(*jobs, *late)) == {State.DONE}
        order = begun(tmp_path)
        assert sorted(order) == sorted({*order})


async def test_no_child_receives_a_job_once_pause_is_answered_however_fast_they_flow(tmp_path: Path) -> None:
    async with marked(tmp_path, size=2, queues=("q", "r")) as daemon:
        jobs = await daemon.submit(*range(3 * AHEAD))
        for received in range(100, AHEAD, 150):
            await daemon.until(lambda received=received: len(begun(tmp_path)) > received)
            await daemon.service.pause("q")
            # What a child has by now it may go on with; its mark may follow a moment after.
            given = {*begun(tmp_path), *daemon.feeder.running}
            await daemon.until(lambda: not daemon.feeder.running)
            await prove_idle_pools_take_nothing(daemon, "r")
            assert {*begun(tmp_path)}.intersection(jobs) <= given
            await daemon.service.resume("q")
        assert states(await daemon.ends(*jobs)) == {State.DONE}
        assert sorted(one for one in begun(tmp_path) if one in {*jobs}) == sorted(jobs)


async def test_a_pause_of_one_queue_is_none_of_another(tmp_path: Path) -> None:
    async with full(tmp_path) as (daemon, held, jobs):
        others = await daemon.submit(*range(AHEAD), queue="r")
        await daemon.service.pause("q")
        await held.release()
        assert states(await daemon.ends(*others)) == {State.DONE}
        assert set(begun(tmp_path)).isdisjoint(jobs)


async def test_a_cancelled_job_never_begins_wherever_it_stood(tmp_path: Path) -> None:
    async with full(tmp_path) as (daemon, held, jobs):
        chosen = {*random.Random(1).sample(jobs, 80), jobs[0], jobs[MAX_ROWS], jobs[-1]}
        async with trio.open_nursery() as nursery:
            for job_id in chosen:
                nursery.start_soon(daemon.service.cancel, job_id)
        await held.release()
        ended = await daemon.ends(*jobs)
        assert {job.id for job in ended if job.state is State.CANCELLED} == chosen
        assert states([job for job in ended if job.id not in chosen]) == {State.DONE}
        assert set(begun(tmp_path)).isdisjoint(chosen)


async def test_a_job_whose_cancel_is_answered_never_begins_however_fast_they_flow(tmp_path: Path) -> None:
    async with marked(tmp_path, size=2) as daemon:
        jobs = await daemon.submit(*range(2 * AHEAD))
        answers: dict[str, Job] = {}
        begun_by_then: dict[str, bool] = {}

        async def cancel(job_id: str) -> None:
            answers[job_id] = await daemon.service.cancel(job_id)
            begun_by_then[job_id] = job_id in begun(tmp_path)

        async with trio.open_nursery() as nursery:
            for job_id in random.Random(2).sample(jobs, 150):
                nursery.start_soon(cancel, job_id)
                await trio.lowlevel.checkpoint()
        final = {job.id: job for job in await daemon.ends(*jobs)}
        received = begun(tmp_path)
        for job_id, answer in answers.items():
            assert answer.state is final[job_id].state
            if answer.state is State.CANCELLED and not begun_by_then[job_id]:
                assert job_id not in received
        assert states(list(answers.values())) <= {State.DONE, State.CANCELLED}
        assert len(received) == len({*received})


async def test_a_deleted_job_never_begins_wherever_it_stood(tmp_path: Path) -> None:
    async with full(tmp_path) as (daemon, held, jobs):
        chosen = [jobs[0], *jobs[100:110], jobs[MAX_ROWS + 1], jobs[-1]]
        for job_id in chosen:
            await daemon.service.delete(job_id)
        await held.release()
        rest = [job_id for job_id in jobs if job_id not in chosen]
        assert states(await daemon.ends(*rest)) == {State.DONE}
        assert set(begun(tmp_path)).isdisjoint(chosen)
        for job_id in chosen:
            with pytest.raises(NotFound):
                await daemon.service.get(job_id)


async def test_an_expired_job_never_begins_and_ends_expired(tmp_path: Path) -> None:
    async with full(tmp_path, expires_in=HOUR) as (daemon, held, jobs):
        lasting = await daemon.submit(1, 2, 3)
        daemon.skew = 2 * HOUR
        await held.release()  # at once: the store's clock has not seen it yet
        assert states(await daemon.ends(*jobs)) == {State.EXPIRED}
        assert states(await daemon.ends(*lasting)) == {State.DONE}
        assert set(begun(tmp_path)) == {*held.jobs, *lasting}


@pytest.mark.parametrize("paused", [True, False])
async def test_jobs_expire_by_the_clock_alone(tmp_path: Path, paused: bool) -> None:
    async with full(tmp_path, expires_in=HOUR) as (daemon, held, jobs):
        if paused:
            await daemon.service.pause("q")
        daemon.skew = 2 * HOUR
        ended = await daemon.ends(*jobs)  # while every worker is busy
        assert states(ended) == {State.EXPIRED}
        assert {job.attempt for job in ended} == {0}
        daemon.skew = 0  # set back, the clock does not bring them back to life
        await held.release()
        await prove_idle_pools_take_nothing(daemon, "r")
        assert set(begun(tmp_path)).isdisjoint(jobs)


async def test_a_job_that_runs_when_it_expires_is_not_disturbed(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with marked(tmp_path) as daemon:
            running, waiting = await daemon.submit({"gate": gate.path}, None, expires_at=daemon.now() + HOUR)
            daemon.skew = 2 * HOUR
            assert states(await daemon.ends(waiting)) == {State.EXPIRED}
            gate.open()
            [job] = await daemon.ends(running)
            assert (job.state, job.attempt) == (State.DONE, 1)
