"""What can be done with jobs beside running them: waiting for them, retrying and deleting them, holding their queue."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from supervisor.core.job import MICROS, State
from supervisor.errors import Conflict, NotFound, TimedOut, UnknownQueue
from tests.pool.marked import begun, hold_workers, marked, prove_idle_pools_take_nothing
from tests.pool.rig import PATIENCE, Rig, python, rig
from tests.workers import Gate, command

NEVER_WAS = "0199f3c2-5b7e-7c31-9a04-6e0d5c8b1f20"


# -- waiting -----------------------------------------------------------------------------------------------------------


async def test_a_wait_answers_in_the_order_of_its_ids_whatever_the_order_of_the_ends(tmp_path: Path) -> None:
    async with marked(tmp_path, size=2) as daemon, hold_workers(daemon, tmp_path) as held:
        quick = await daemon.submit(1, 2)
        await daemon.service.cancel(quick[1])
        await held.release()
        ids = [quick[1], held.jobs[1], quick[0], held.jobs[0], quick[1]]
        jobs = await daemon.ends(*ids)
        assert [job.id for job in jobs] == ids
        assert [job.state for job in jobs] == [State.CANCELLED, *[State.DONE] * 3, State.CANCELLED]


async def test_a_wait_that_is_over_says_which_have_ended(tmp_path: Path) -> None:
    async with marked(tmp_path, size=2) as daemon:
        done = await daemon.run(None)
        async with hold_workers(daemon, tmp_path) as held:
            for timeout in (0.0, 0.05):
                with pytest.raises(TimedOut, match=f"1 of 2 jobs .* {held.jobs[0]}") as over:
                    await daemon.service.wait([held.jobs[0], done.id], timeout)
                assert over.value.data["jobs"] == [done]
            await held.release()
            assert [job.state for job in await daemon.ends(held.jobs[0], done.id)] == [State.DONE] * 2
        assert held.jobs[0] not in daemon.feeder.waiters


async def test_a_wait_for_what_never_was_is_refused_at_once(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        with pytest.raises(NotFound, match=NEVER_WAS):
            await daemon.service.wait([held.jobs[0], NEVER_WAS], PATIENCE)


async def test_everybody_who_waits_for_a_job_is_told(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        told: list[State] = []

        async def wait() -> None:
            told.extend(job.state for job in await daemon.ends(*held.jobs))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(wait)
            await daemon.until(lambda: held.jobs[0] in daemon.feeder.waiters)
            await held.release()
        assert told == [State.DONE] * 10


async def test_the_first_valid_final_line_decides(tmp_path: Path) -> None:
    replies = python(
        "import json, sys",
        "for line in sys.stdin:",
        "    request = json.loads(line)",
        "    rows = [json.dumps({'id': request['id'], **reply}) for reply in request['payload']]",
        "    print(*rows, sep='\\n', flush=True)",
    )
    ok, error = {"status": "ok", "result": 1}, {"status": "error", "message": "no", "retry": False}
    half_way = {"status": "progress", "progress": 0.5}
    async with rig(replies, folder=tmp_path) as daemon:
        for lines, state in [
            ([ok, error], State.DONE),
            ([error, ok], State.FAILED),
            ([half_way, half_way, ok, half_way], State.DONE),
            ([half_way, error, ok, ok], State.FAILED),
        ]:
            job = await daemon.run(lines)
            assert (job.state, job.attempt) == (state, 1)


# -- retrying ----------------------------------------------------------------------------------------------------------


async def failed(daemon: Rig, folder: Path) -> str:
    return (await daemon.run({"retry": False, "message": "no"})).id


async def cancelled(daemon: Rig, folder: Path) -> str:
    [job_id] = await daemon.submit(None, run_at=daemon.now() + 3600 * MICROS)
    return (await daemon.service.cancel(job_id)).id


async def expired(daemon: Rig, folder: Path) -> str:
    now = daemon.now()
    [job_id] = await daemon.submit(None, run_at=now + 3600 * MICROS, expires_at=now + 1000)
    return (await daemon.ends(job_id))[0].id


@pytest.mark.parametrize("make", [failed, cancelled, expired])
async def test_a_job_that_ended_badly_can_be_retried(
    tmp_path: Path, make: Callable[[Rig, Path], Awaitable[str]]
) -> None:
    async with rig(command("error"), folder=tmp_path) as daemon:
        job_id = await make(daemon, tmp_path)
        before = await daemon.service.get(job_id)
        again = await daemon.service.retry(job_id)
        assert again.state in (State.PENDING, State.RUNNING)
        assert (again.charged, again.crashes, again.interruptions, again.expires_at) == (0, 0, 0, None)
        [job] = await daemon.ends(job_id)
        assert (job.attempt, job.attempts[: len(before.attempts)]) == (before.attempt + 1, before.attempts)
        assert job.state is (State.FAILED if make is failed else State.DONE)


async def test_only_what_ended_badly_can_be_retried(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        done = await daemon.run(None)
        async with hold_workers(daemon, tmp_path) as held:
            [pending] = await daemon.submit(None)
            for job_id, state in ((done.id, "done"), (held.jobs[0], "running"), (pending, "pending")):
                with pytest.raises(Conflict, match=f"{job_id} is {state}"):
                    await daemon.service.retry(job_id)
        with pytest.raises(NotFound):
            await daemon.service.retry(NEVER_WAS)


async def test_a_retry_is_refused_while_another_job_holds_its_unique_value(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path):
        [first] = await daemon.submit(None, unique="u")
        await daemon.service.cancel(first)
        [second] = await daemon.submit(None, unique="u")
        with pytest.raises(Conflict, match=second) as refused:
            await daemon.service.retry(first)
        assert refused.value.data["holder"] == second


async def test_a_retried_job_is_run_although_who_asked_has_gone(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        job_id = await cancelled(daemon, tmp_path)
        with trio.CancelScope() as gone:
            gone.cancel()
            await daemon.service.retry(job_id)
        await daemon.until(lambda: job_id in begun(tmp_path))
        assert (await daemon.ends(job_id))[0].state is State.DONE


# -- deleting ----------------------------------------------------------------------------------------------------------


async def test_a_deleted_job_is_gone_for_those_who_wait_for_it(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        [job_id] = await daemon.submit(None)
        refused: list[NotFound] = []

        async def wait() -> None:
            with pytest.raises(NotFound) as caught:
                await daemon.service.wait([held.jobs[0], job_id], PATIENCE)
            refused.append(caught.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await daemon.until(lambda: job_id in daemon.feeder.waiters)
            await daemon.service.delete(job_id)
        assert job_id in refused[0].message
        for verb in (daemon.service.get, daemon.service.cancel, daemon.service.delete, daemon.service.position):
            with pytest.raises(NotFound, match=job_id):
                await verb(job_id)


async def test_a_running_job_is_not_deleted(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with marked(tmp_path) as daemon:
            [job_id] = await daemon.submit({"gate": gate.path})
            with pytest.raises(Conflict, match="cancel it first"):
                await daemon.service.delete(job_id)
            gate.open()
            [job] = await daemon.ends(job_id)
            assert job.state is State.DONE
            await daemon.service.delete(job_id)
            with pytest.raises(NotFound):
                await daemon.service.get(job_id)


async def test_a_delete_and_a_cancel_at_once_leave_no_half_job(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        ids = await daemon.submit(*range(30))

        async def cancel(job_id: str) -> None:
            try:
                assert (await daemon.service.cancel(job_id)).state is State.CANCELLED
            except NotFound:
                return

        async with trio.open_nursery() as nursery:
            for job_id in ids:
                nursery.start_soon(cancel, job_id)
                nursery.start_soon(daemon.service.delete, job_id)
        assert not daemon.feeder.held
        await held.release()
        assert begun(tmp_path) == held.jobs
        assert (await daemon.service.queues("q"))[0].pending == 0


# -- pausing -----------------------------------------------------------------------------------------------------------


async def test_pause_and_resume_may_be_asked_for_again_and_again(tmp_path: Path) -> None:
    async with marked(tmp_path, queues=("q", "r")) as daemon:
        for _ in range(2):
            assert (await daemon.service.pause("q")).paused
        [job_id] = await daemon.submit(None)
        await prove_idle_pools_take_nothing(daemon, "r")
        assert job_id not in begun(tmp_path)
        for _ in range(2):
            assert not (await daemon.service.resume("q")).paused
        assert (await daemon.ends(job_id))[0].state is State.DONE


async def test_a_queue_that_is_not_there_cannot_be_paused(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        for verb in (daemon.service.pause, daemon.service.resume):
            with pytest.raises(UnknownQueue, match='no queue "nosuch": the configuration has q'):
                await verb("nosuch")


@pytest.mark.parametrize("paused", [True, False])
async def test_a_pause_is_what_the_store_says_it_is_although_who_asked_has_gone(tmp_path: Path, paused: bool) -> None:
    async with marked(tmp_path) as daemon:
        if not paused:
            await daemon.service.pause("q")
        with trio.CancelScope() as gone:
            gone.cancel()
            await (daemon.service.pause if paused else daemon.service.resume)("q")
        await daemon.committer.settle()
        assert (
            daemon.feeder.lines["q"].paused
            is paused
            is ("q" in await daemon.committer.read(lambda store: store.paused()))
        )


async def test_the_last_of_many_pauses_and_resumes_holds(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        for _ in range(30):
            async with trio.open_nursery() as nursery:
                for verb in (daemon.service.resume, daemon.service.pause, daemon.service.resume, daemon.service.pause):
                    nursery.start_soon(verb, "q")
            stored = await daemon.committer.read(lambda store: store.paused())
            assert daemon.feeder.lines["q"].paused is ("q" in stored)
