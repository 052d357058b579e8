"""What a throttled reply holds back: its job, or its queue."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from supervisor.config.model import QueueConfig
from supervisor.core.job import MICROS, State
from supervisor.pool.line import Line
from tests.pool.rig import Rig, rig
from tests.workers import command

HOUR = 3600
WHOLE_QUEUE = QueueConfig(name="q", on_throttle="queue")


async def throttled(daemon: Rig, secs: float) -> str:
    """A job that was answered with `throttled` for so long, and that will be done in its second attempt."""
    [job_id] = await daemon.submit({"retry_after_secs": secs, "until": 2})
    await daemon.until(lambda: not daemon.feeder.running)
    return job_id


async def serves(daemon: Rig, queue: str) -> bool:
    """Whether a job of it is begun, with a pool that has nothing else to do."""
    [job_id] = await daemon.submit(None, queue=queue)
    begun = job_id in daemon.feeder.running  # an idle worker has it when its submit is answered
    if begun:
        await daemon.ends(job_id)
    return begun


async def test_a_throttled_reply_holds_back_its_job_alone_unless_its_queue_says_otherwise(tmp_path: Path) -> None:
    async with rig(command("throttled"), folder=tmp_path) as daemon:
        waiting = await throttled(daemon, HOUR)
        assert await serves(daemon, "q")
        assert (await daemon.service.get(waiting)).state is State.PENDING
        assert (await daemon.service.queues("q"))[0].throttled_until is None


@pytest.mark.provokes("on_throttle", program="throttled.py")
async def test_with_on_throttle_queue_nothing_of_the_queue_is_given_out_until_then(tmp_path: Path) -> None:
    async with rig(command("throttled"), folder=tmp_path, queue=WHOLE_QUEUE, queues=("q", "r"), size=2) as daemon:
        await throttled(daemon, HOUR)
        assert not await serves(daemon, "q")
        [of_q, of_r] = await daemon.service.queues(None)
        assert of_q.throttled_until is not None
        left = datetime.fromisoformat(of_q.throttled_until) - datetime.now(UTC)
        assert HOUR - 60 < left.total_seconds() <= HOUR
        assert (of_q.paused, of_q.pending, of_r.throttled_until) == (False, 2, None)
        assert len(daemon.pools[0].idle) == 2


async def test_a_throttled_queue_goes_on_by_itself(tmp_path: Path) -> None:
    async with rig(command("throttled"), folder=tmp_path, queue=WHOLE_QUEUE) as daemon:
        first = await throttled(daemon, 0.2)
        others = await daemon.submit(1, 2, 3)
        assert not daemon.feeder.running
        again, *jobs = await daemon.ends(first, *others)
        assert (again.state, again.attempt, again.charged) == (State.DONE, 2, 0)
        for job in jobs:
            assert job.started_at is not None
            assert job.started_at - job.created_at > 0.1 * MICROS
        assert (await daemon.service.queues("q"))[0].throttled_until is None


async def test_a_queue_that_is_throttled_twice_waits_for_the_later_end() -> None:
    line = Line(WHOLE_QUEUE)
    line.throttle(20)
    line.throttle(30)
    line.throttle(10)
    line.open_again(29)
    assert (line.throttled_until, line.shut) == (30, True)
    line.open_again(30)
    assert (line.throttled_until, line.shut) == (None, False)


async def test_a_pause_outlives_the_throttling_and_a_resume_ends_it() -> None:
    line = Line(WHOLE_QUEUE)
    line.throttle(20)
    line.pause(True)
    line.open_again(20)
    assert line.shut
    line.throttle(40)
    line.pause(False)
    assert (line.throttled_until, line.shut) == (None, False)


async def test_a_throttled_queue_waits_by_the_time_that_passes_whatever_the_wall_clock_says(tmp_path: Path) -> None:
    async with rig(command("throttled"), folder=tmp_path, queue=WHOLE_QUEUE, queues=("q", "r")) as daemon:
        waiting = await throttled(daemon, HOUR)
        daemon.skew = 2 * HOUR * MICROS
        await daemon.until(lambda: any(row.id == waiting for row in daemon.feeder.lines["q"].ahead))
        assert await serves(daemon, "r")
        assert not await serves(daemon, "q")
        await daemon.service.resume("q")
        assert (await daemon.ends(waiting))[0].attempt == 2


async def test_a_daemon_that_starts_anew_has_forgotten_it(tmp_path: Path) -> None:
    async with rig(command("throttled"), folder=tmp_path, queue=WHOLE_QUEUE) as daemon:
        await throttled(daemon, HOUR)
        [waiting] = await daemon.submit(None)
        assert waiting not in daemon.feeder.running
    async with rig(command("throttled"), folder=tmp_path, queue=WHOLE_QUEUE) as daemon:
        assert (await daemon.ends(waiting))[0].state is State.DONE
