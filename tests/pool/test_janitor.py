"""Jobs are deleted when they have been kept long enough, and nobody loses one that he has in hand."""

from collections.abc import Sequence
from math import inf
from pathlib import Path

import msgspec
import pytest
import trio

from supervisor.config.model import QueueConfig, Retention
from supervisor.core.job import MICROS
from supervisor.errors import NotFound
from supervisor.pool import janitor
from supervisor.pool.janitor import Janitor
from tests.pool.rig import Rig, rig
from tests.workers import command

DAY = 86400 * MICROS
DEFAULT = Retention()
NONE_OF_THEM = Retention(done=1.0)


def sweeping(daemon: Rig, retention: Retention = DEFAULT, others: Retention = DEFAULT) -> Janitor:
    queues = tuple(msgspec.structs.replace(queue, retention=retention) for queue in daemon.config.queues)
    config = msgspec.structs.replace(daemon.config, queues=queues, retention=others)
    return Janitor(daemon.committer, daemon.feeder, config, now=daemon.now)


async def is_there(daemon: Rig, *ids: str) -> list[bool]:
    return [state is not None for state in await daemon.committer.read(lambda store: store.states(ids))]


async def test_a_job_is_there_for_as_long_as_it_is_kept_and_then_gone(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        job = await daemon.run(1)
        sweep = sweeping(daemon).sweep
        for days, deleted in ((0, 0), (6, 0), (8, 1), (9, 0)):
            daemon.skew = days * DAY
            assert await sweep() == deleted
        with pytest.raises(NotFound):
            await daemon.service.get(job.id)
        with pytest.raises(NotFound):
            await daemon.service.wait([job.id], None)
        assert (await daemon.run(2)).state == "done"


async def test_more_than_one_step_is_swept_until_the_number_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "STEPS", (7, 7))
    async with rig(command("echo"), folder=tmp_path) as daemon:
        ids = await daemon.submit(*range(50))
        await daemon.ends(*ids)
        assert await sweeping(daemon, Retention(done=inf, max_done=10)).sweep() == 40
        assert await is_there(daemon, *ids) == [False] * 40 + [True] * 10


async def test_what_ends_while_a_sweep_goes_on_is_not_taken_for_older_than_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(janitor, "STEPS", (7, 7))
    async with rig(command("echo"), folder=tmp_path) as daemon:
        ids = await daemon.submit(*range(50))
        await daemon.ends(*ids)
        sweeper = sweeping(daemon, Retention(done=inf, max_done=10))
        step, late = sweeper._step, []

        async def and_another_job(names: Sequence[str], size: int) -> tuple[int, float]:
            done = await step(names, size)
            late.append((await daemon.run("late")).id)
            return done

        monkeypatch.setattr(sweeper, "_step", and_another_job)
        assert await sweeper.sweep() == 40 + len(late) - 1
        assert all(await is_there(daemon, *late))
        assert not any(await is_there(daemon, *ids[:40]))


async def test_the_jobs_of_a_queue_that_is_configured_no_more_are_kept_like_any_others(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        await daemon.run(1)
        daemon.skew = 2 * MICROS
        janitor = sweeping(daemon, Retention(), NONE_OF_THEM)
        assert await janitor.sweep() == 0
        del janitor._of["q"]
        assert await janitor.sweep() == 1


async def test_a_job_that_somebody_waits_for_or_holds_is_there_until_he_is_answered(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        waited, held, other = [(await daemon.run(number)).id for number in range(3)]
        daemon.skew = 2 * MICROS
        sweep = sweeping(daemon, NONE_OF_THEM).sweep
        daemon.feeder.waiters.add(waited, told := lambda job_id, job: None)
        daemon.feeder.hold(held)
        assert await sweep() == 1
        assert await is_there(daemon, waited, held, other) == [True, True, False]
        daemon.feeder.waiters.remove(waited, told)
        daemon.feeder.unhold(held, reread=False)
        assert await sweep() == 2


async def test_who_comes_to_wait_while_his_job_is_being_swept_hears_that_it_is_gone(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        job = await daemon.run(1)
        daemon.skew = 2 * MICROS
        heard: list[str] = []

        async def wait() -> None:
            with pytest.raises(NotFound):
                await daemon.service.wait([job.id], None)
            heard.append(job.id)

        async with trio.open_nursery() as nursery:
            deleted = daemon.committer.write

            async def as_it_is_deleted(fn: object, done: object) -> Sequence[str]:
                nursery.start_soon(wait)
                return await deleted(fn, done)

            daemon.committer.write = as_it_is_deleted
            assert await sweeping(daemon, NONE_OF_THEM).sweep() == 1
        assert heard == [job.id]


def test_a_queue_keeps_by_default_what_the_protocol_promises() -> None:
    assert QueueConfig(name="q").retention == Retention(done=7 * 86400, failed=30 * 86400)
