"""Jobs become due by the wall clock, which may be set at any time: none is lost for it, none begins twice."""

from pathlib import Path

import pytest

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import MICROS, State
from supervisor.pool.clock import STEP
from tests.pool.marked import AHEAD, begun, hold_workers, in_claim_order, marked
from tests.pool.rig import Rig, python, rig
from tests.workers import Gate, command

HOUR = 3600 * MICROS
ONCE_AN_HOUR = QueueConfig(name="q", max_attempts=2, backoff=Backoff(base=3600.0, cap=3600.0, jitter=0.0))


async def clock_has_looked(daemon: Rig) -> None:
    """A job that became due now is done: what was due before it is at least on its way."""
    await daemon.ends(*await daemon.submit(None, run_at=daemon.now() + 1000, queue="witness"))


async def test_a_job_runs_when_its_time_has_come_and_not_before(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        run_at = daemon.now() + 150_000
        [later] = await daemon.submit(None, run_at=run_at)
        assert (await daemon.run(None)).state is State.DONE
        assert later not in begun(tmp_path)
        [job] = await daemon.ends(later)
        assert job.started_at is not None
        assert run_at <= job.started_at
        assert job.run_at == run_at


async def test_jobs_of_many_times_begin_in_the_order_of_their_times(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        first = daemon.now() + HOUR
        submitted = [(await daemon.submit(None, run_at=first + step * 20_000))[0] for step in (3, 0, 4, 1, 2)]
        daemon.skew = first - 20_000 - daemon.now()
        await daemon.ends(*submitted)
        assert begun(tmp_path) == [submitted[place] for place in (1, 3, 4, 0, 2)]


async def test_more_jobs_than_one_step_takes_become_due_at_once(tmp_path: Path) -> None:
    async with marked(tmp_path, size=2) as daemon:
        jobs = await daemon.submit(*range(2 * STEP + 7), run_at=daemon.now() + HOUR)
        daemon.skew = 2 * HOUR
        ended = await daemon.ends(*jobs)
        assert {job.state for job in ended} == {State.DONE}
        assert sorted(begun(tmp_path)) == sorted(jobs)


async def test_jobs_that_become_due_take_their_place_by_priority(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        due = await daemon.submit(*range(AHEAD))
        run_at = daemon.now() + HOUR
        later = [(await daemon.submit(None, run_at=run_at, priority=priority))[0] for priority in (-1, 7, 0)]
        daemon.skew = 2 * HOUR
        await daemon.until(lambda: any(row.id == later[1] for row in daemon.feeder.lines["q"].ahead))
        await held.release()
        await daemon.ends(*due, *later)
        assert begun(tmp_path)[1:] == in_claim_order([*due, *later], [0] * AHEAD + [-1, 7, 0])


async def test_a_clock_set_forward_makes_jobs_due_at_once(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        jobs = await daemon.submit(*range(20), run_at=daemon.now() + 24 * HOUR)
        daemon.skew = 25 * HOUR
        assert {job.attempt for job in await daemon.ends(*jobs)} == {1}
        daemon.skew = 0
        assert {job.state for job in await daemon.ends(*await daemon.submit(1, 2))} == {State.DONE}
        assert len(begun(tmp_path)) == 22


async def test_a_clock_set_back_makes_jobs_wait_and_loses_none(tmp_path: Path) -> None:
    async with marked(tmp_path, queues=("q", "witness")) as daemon:
        soon = await daemon.submit(*range(20), run_at=daemon.now() + 100_000)
        daemon.skew = -HOUR
        await clock_has_looked(daemon)
        assert set(begun(tmp_path)).isdisjoint(soon)
        daemon.skew = 0
        assert {job.attempt for job in await daemon.ends(*soon)} == {1}
        assert sorted(one for one in begun(tmp_path) if one in soon) == sorted(soon)


async def test_jobs_that_are_due_stay_so_when_the_clock_is_set_back(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        jobs = await daemon.submit(*range(2 * AHEAD))
        daemon.skew = -24 * HOUR
        await held.release()
        assert {job.state for job in await daemon.ends(*jobs)} == {State.DONE}
        assert begun(tmp_path)[1:] == jobs


@pytest.mark.parametrize("skew", [-24 * HOUR, 24 * HOUR])
async def test_a_running_jobs_timeout_does_not_care_about_the_wall_clock(tmp_path: Path, skew: int) -> None:
    async with rig(command("never_answers"), folder=tmp_path, timeout=0.2, boot_timeout=0.2) as daemon:
        [job_id] = await daemon.submit(1)
        daemon.skew = skew
        [job] = await daemon.ends(job_id)
        assert (job.state, job.charged) == (State.FAILED, 1)


@pytest.mark.provokes("backoff", program="error.py")
async def test_a_retry_waits_for_its_backoff_by_the_wall_clock(tmp_path: Path) -> None:
    async with rig(command("error"), folder=tmp_path, queue=ONCE_AN_HOUR) as daemon:
        [job_id] = await daemon.submit({"message": "again"})
        await daemon.until(lambda: not daemon.feeder.running)
        waiting = await daemon.service.get(job_id)
        assert waiting.finished_at is None
        assert waiting.state is State.PENDING
        assert 0.9 * HOUR < waiting.run_at - waiting.created_at < 1.1 * HOUR
        daemon.skew = 2 * HOUR
        [job] = await daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.FAILED, 2)


@pytest.mark.parametrize(
    ("program", "payload", "attempts"),
    [("throttled", {"retry_after_secs": 0, "until": 4}, 4), ("error", {"message": "again"}, 3)],
)
async def test_a_job_that_is_sent_back_without_a_wait_begins_again_at_once(
    tmp_path: Path, program: str, payload: object, attempts: int
) -> None:
    queue = QueueConfig(name="q", max_attempts=3, backoff=Backoff(base=0.0, cap=0.0))
    async with rig(command(program), folder=tmp_path, queue=queue) as daemon:
        assert (await daemon.run(payload)).attempt == attempts


@pytest.mark.parametrize("retry_after", [0, 3600])
async def test_a_job_that_comes_back_after_its_expiry_ends_expired(tmp_path: Path, retry_after: int) -> None:
    throttles = python(
        "import json, sys",
        "for line in sys.stdin:",
        "    request = json.loads(line)",
        "    open(request['payload']).close()",
        f"    reply = {{'id': request['id'], 'status': 'throttled', 'retry_after_secs': {retry_after}}}",
        "    print(json.dumps(reply), flush=True)",
    )
    with Gate(tmp_path) as gate:
        async with rig(throttles, folder=tmp_path) as daemon:
            [job_id] = await daemon.submit(gate.path, expires_at=daemon.now() + HOUR)
            await daemon.service.pause("q")
            daemon.skew = HOUR + MICROS
            [witness] = await daemon.submit(None, expires_at=daemon.now())
            await daemon.ends(witness)  # the clock has looked, while the job ran
            gate.open()
            [job] = await daemon.ends(job_id)
            assert (job.state, job.attempt) == (State.EXPIRED, 1)
