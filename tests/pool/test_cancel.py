"""Cancel means now, and a job has one end, whoever comes first."""

import json
import os
import random
import select
import signal
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import MICROS, Cause, Job, State
from supervisor.errors import NotFound
from supervisor.store.port import Store
from supervisor.store.sqlite import open_sqlite
from tests.pool.marked import begun, hold_workers, marked, marked_pool
from tests.pool.rig import PATIENCE, Rig, pool_config, python, rig
from tests.pool.test_table import alive
from tests.store.tripping import Tripping
from tests.workers import Gate, command

HOUR = 3600 * MICROS
LATER = QueueConfig(name="q", max_attempts=5, backoff=Backoff(base=3600.0, cap=3600.0))
SOON = QueueConfig(name="q", max_attempts=5, backoff=Backoff(base=0.01, cap=0.02))


async def submit_and_let_it_answer(daemon: Rig, payload: object) -> str:
    """Blocks the loop while the child works: its reply is in the pipe, and nobody has read it. Until then the child is
    stopped, for a quick one may have answered before the submit is."""
    child = daemon.slot.child
    assert child is not None
    os.kill(child.pid, signal.SIGSTOP)
    [job_id] = await daemon.submit(payload)
    os.kill(child.pid, signal.SIGCONT)
    poll = select.poll()
    poll.register(child.replies, select.POLLIN)
    assert poll.poll(PATIENCE * 1000)
    return job_id


@pytest.mark.parametrize("deaf", [False, True])
@pytest.mark.provokes("cancelled", "grandchildren", program="forks_grandchild.py")
async def test_a_running_jobs_whole_tree_is_gone_when_its_cancel_is_answered(tmp_path: Path, deaf: bool) -> None:
    pid_file = tmp_path / "grandchild"
    async with rig(command("forks_grandchild"), folder=tmp_path) as daemon:
        child = daemon.slot.child.pid
        [job_id] = await daemon.submit({"pid_file": str(pid_file), "then": "hang", "deaf": deaf})
        await daemon.until(pid_file.exists)
        job = await daemon.service.cancel(job_id)
        assert not alive(child)
        assert not alive(int(pid_file.read_text()))
        assert (job.state, job.charged, job.attempt, job.error, job.attempts) == (State.CANCELLED, 0, 1, None, ())
        assert (await daemon.run(None)).state is State.DONE  # the slot is filled again


async def test_a_cancel_disturbs_no_other_job(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with marked(tmp_path, size=3) as daemon:
            ids = await daemon.submit(*[{"gate": gate.path}] * 5)
            await daemon.until(lambda: len(begun(tmp_path)) == 3)
            await daemon.service.cancel(ids[1])
            gate.open()
            jobs = await daemon.ends(*ids)
            ends = [(job.state, job.attempt) for job in jobs]
            assert ends == [(State.DONE, 1), (State.CANCELLED, 1), *[(State.DONE, 1)] * 3]
            assert sorted(begun(tmp_path)) == sorted(ids)


@pytest.mark.provokes("cancelled", program="never_answers.py")
async def test_a_cancel_says_nothing_against_the_program(tmp_path: Path) -> None:
    async with rig(command("never_answers"), folder=tmp_path) as daemon:
        for _ in range(3):
            [job_id] = await daemon.submit(1)
            assert (await daemon.service.cancel(job_id)).state is State.CANCELLED
        pool = daemon.service.pools("p")[0]
        assert (pool.state, pool.crashes) == ("ready", 0)


async def test_the_cancel_of_a_final_job_changes_nothing(tmp_path: Path) -> None:
    async with rig(command("error"), folder=tmp_path) as daemon:
        done, failed = await daemon.run(None), await daemon.run({"retry": False})
        assert await daemon.service.cancel(done.id) == done
        again = await daemon.service.cancel(failed.id)
        assert (again.state, again.finished_at) == (State.FAILED, failed.finished_at)


async def test_the_cancel_of_a_job_that_never_was_is_refused(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        with pytest.raises(NotFound, match='no job "0199'):
            await daemon.service.cancel("0199f3c2-5b7e-7c31-9a04-6e0d5c8b1f20")


async def test_a_result_that_is_in_the_pipe_already_stands(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        child = daemon.slot.child
        job_id = await submit_and_let_it_answer(daemon, "a result")
        job = await daemon.service.cancel(job_id)
        assert (job.state, json.loads(job.result)) == (State.DONE, "a result")
        assert daemon.slot.child is child


@pytest.mark.parametrize(
    ("program", "payload"),
    [
        ("error", {"message": "try again"}),
        ("throttled", {"retry_after_secs": 3600}),
        ("throttled", {"retry_after_secs": 0}),
    ],
)
async def test_a_reply_in_the_pipe_that_would_send_the_job_back_ends_it_cancelled(
    tmp_path: Path, program: str, payload: object
) -> None:
    async with rig(command(program), folder=tmp_path, queue=LATER) as daemon:
        child = daemon.slot.child
        job_id = await submit_and_let_it_answer(daemon, payload)
        job = await daemon.service.cancel(job_id)
        assert (job.state, job.attempt) == (State.CANCELLED, 1)
        assert daemon.slot.child is child  # it has kept to the rules: no reason to end it


async def test_a_failure_in_the_pipe_that_is_final_anyway_stands(tmp_path: Path) -> None:
    async with rig(command("error"), folder=tmp_path, queue=LATER) as daemon:
        job_id = await submit_and_let_it_answer(daemon, {"message": "never", "retry": False})
        job = await daemon.service.cancel(job_id)
        assert (job.state, job.error.cause) == (State.FAILED, Cause.ERROR)


async def test_a_job_that_times_out_while_it_is_cancelled_is_not_tried_again(tmp_path: Path) -> None:
    async with rig(command("ignores_term"), folder=tmp_path, queue=SOON, timeout=0.1, kill_grace=0.3) as daemon:
        await daemon.run(None)
        [job_id] = await daemon.submit(1)
        await daemon.until(lambda: daemon.slot.state == "ending")
        job = await daemon.service.cancel(job_id)
        assert (job.state, job.attempt) == (State.CANCELLED, 1)


async def test_a_cancel_that_races_with_the_reply_has_one_answer_for_everybody(tmp_path: Path) -> None:
    """However many turns of the loop lie between the two."""
    chance = random.Random(3)
    ends: list[State] = []
    async with rig(command("echo"), folder=tmp_path, size=2) as daemon:
        for _ in range(100):
            [job_id] = await daemon.submit(None)
            told: list[Job] = []

            async def wait(job_id: str = job_id, told: list[Job] = told) -> None:
                told += await daemon.ends(job_id)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                for _ in range(chance.randrange(12)):
                    await trio.lowlevel.checkpoint()
                answer = await daemon.service.cancel(job_id)
            kept = await daemon.service.get(job_id)
            assert answer == told[0] == kept
            assert (kept.state is State.DONE) == (kept.result is not None)
            ends.append(kept.state)
        counts = (await daemon.service.queues("q"))[0]
        assert (counts.done, counts.cancelled) == (ends.count(State.DONE), ends.count(State.CANCELLED))
        assert counts.done + counts.cancelled == 100


async def test_a_job_in_retry_backoff_is_cancelled_for_good(tmp_path: Path) -> None:
    async with rig(command("error"), folder=tmp_path, queue=LATER) as daemon:
        [job_id] = await daemon.submit({"message": "try again"})
        await daemon.until(lambda: not daemon.feeder.running)
        assert (await daemon.service.get(job_id)).state is State.PENDING
        job = await daemon.service.cancel(job_id)
        assert (job.state, job.attempt, len(job.attempts)) == (State.CANCELLED, 1, 1)
        daemon.skew = 2 * HOUR
        [witness] = await daemon.submit(None, run_at=daemon.now() + 1)
        await daemon.ends(witness)  # the clock has looked
        assert (await daemon.service.get(job_id)).attempt == 1


async def test_two_cancels_at_once_have_the_same_answer(tmp_path: Path) -> None:
    async with rig(command("never_answers"), folder=tmp_path, size=2) as daemon:
        running, other = await daemon.submit(1, 2)
        [waiting] = await daemon.submit(3)
        for job_id in (running, waiting):
            answers: list[Job] = []

            async def cancel(job_id: str = job_id, answers: list[Job] = answers) -> None:
                answers.append(await daemon.service.cancel(job_id))

            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(cancel)
            assert [job.state for job in answers] == [State.CANCELLED] * 3
            assert answers[0] == answers[1] == answers[2]
        assert other in daemon.feeder.running


def handed_over(daemon: Rig, monkeypatch: pytest.MonkeyPatch) -> trio.Event:
    """Set as soon as the next verb is on its way to the store."""
    event, really_write = trio.Event(), daemon.committer.write

    async def write(*args: Any) -> Any:
        event.set()
        return await really_write(*args)

    monkeypatch.setattr(daemon.committer, "write", write)
    return event


@pytest.mark.parametrize("which", ["running", "waiting"])
@pytest.mark.parametrize("then", ["retry", "delete"])
async def test_a_cancel_tells_of_the_end_it_made_whoever_comes_right_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, then: str
) -> None:
    async with rig(command("never_answers"), folder=tmp_path) as daemon:
        running, waiting = await daemon.submit(1, 2)
        job_id = running if which == "running" else waiting
        on_its_way = handed_over(daemon, monkeypatch)
        answers: list[Job] = []

        async def cancel() -> None:
            answers.append(await daemon.service.cancel(job_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            await on_its_way.wait()
            await getattr(daemon.service, then)(job_id)
        assert [job.state for job in answers] == [State.CANCELLED]


async def test_a_retry_tells_of_the_job_that_it_made_due_whoever_comes_right_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with rig(command("never_answers"), folder=tmp_path) as daemon:
        _, job_id = await daemon.submit(1, 2)
        await daemon.service.cancel(job_id)
        on_its_way = handed_over(daemon, monkeypatch)
        answers: list[Job] = []

        async def retry() -> None:
            answers.append(await daemon.service.retry(job_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(retry)
            await on_its_way.wait()
            await daemon.service.delete(job_id)
        assert [job.state for job in answers] == [State.PENDING]


@pytest.mark.parametrize("which", ["running", "waiting"])
async def test_a_cancel_is_carried_out_and_told_although_who_asked_has_gone(tmp_path: Path, which: str) -> None:
    async with marked(tmp_path, kill_grace=5.0) as daemon, hold_workers(daemon, tmp_path) as held:
        [waiting] = await daemon.submit(None)
        job_id = held.jobs[0] if which == "running" else waiting
        async with trio.open_nursery() as nursery:
            told: list[Job] = []

            async def wait() -> None:
                told.extend(await daemon.ends(job_id))

            nursery.start_soon(wait)
            await daemon.until(lambda: job_id in daemon.feeder.waiters)
            with trio.CancelScope() as gone:
                gone.cancel()
                await daemon.service.cancel(job_id)
        assert told[0].state is State.CANCELLED


async def test_a_cancel_while_the_daemon_drains_is_carried_out(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with marked(tmp_path) as daemon:
            running, waiting = await daemon.submit({"gate": gate.path}, None)
            daemon.service.stop_feeding()
            for job_id in (running, waiting):
                assert (await daemon.service.cancel(job_id)).state is State.CANCELLED
            await daemon.service.drain()


async def test_a_job_of_a_queue_that_no_worker_can_serve_is_cancelled_at_once(tmp_path: Path) -> None:
    pools = [pool_config(["/no/such/program"], tmp_path, name="broken"), marked_pool(tmp_path, name="x", queues=("r",))]
    async with rig(folder=tmp_path, pools=pools) as daemon:
        [job_id] = await daemon.submit(None)
        assert (await daemon.service.cancel(job_id)).state is State.CANCELLED


async def test_a_retry_in_the_same_breath_as_a_cancel_loses_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancel changes nothing, and must not keep the job from being read back for the retry."""
    worker = python("import sys", 'for line in sys.stdin: print(\'{"status":"error","retry":false}\', flush=True)')
    async with rig(worker, folder=tmp_path) as daemon:
        [job_id] = await daemon.submit(None)
        really_hold = daemon.feeder.hold
        for attempts in range(1, 60):
            [job] = await daemon.ends(job_id)
            assert (job.state, job.attempt) == (State.FAILED, attempts)
            async with trio.open_nursery() as nursery:
                cancelling = trio.Event()

                def hold(held_id: str, told: trio.Event = cancelling) -> None:
                    told.set()
                    really_hold(held_id)

                monkeypatch.setattr(daemon.feeder, "hold", hold)
                nursery.start_soon(daemon.service.cancel, job_id)
                await cancelling.wait()
                nursery.start_soon(daemon.service.retry, job_id)
            await daemon.until(lambda before=attempts: daemon.pools[0].jobs_done > before)


async def test_a_wait_that_comes_while_the_outcome_is_held_hears_of_it(tmp_path: Path) -> None:
    store = Tripping(open_sqlite(tmp_path / "stoker.db"))
    with Gate(tmp_path) as gate:
        async with rig(command("slow_boot", gate.path), folder=tmp_path, store=cast(Store, store)) as daemon:
            [job_id] = await daemon.submit(None)
            await daemon.committer.settle()
            store.full = "the disk is full"
            gate.open()
            await daemon.until(lambda: daemon.committer.failing)
            ended: list[Job] = []

            async def wait() -> None:
                ended.extend(await daemon.ends(job_id))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait)
                await daemon.until(lambda: job_id in daemon.feeder.waiters)
                await daemon.committer.settle()
                store.full = None
            assert [job.state for job in ended] == [State.DONE]
