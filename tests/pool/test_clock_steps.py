"""The wall clock is set forward or back by a day, at any moment: no job is lost for it, none runs twice, and what is
measured in time that passes does not notice."""

import random
import time
from fractions import Fraction
from pathlib import Path
from typing import cast

import pytest
import trio

from supervisor.config.model import NANOS, Backoff, QueueConfig, Rate, Retention
from supervisor.control.views import attempt_view
from supervisor.core.gate import Gate as QueueGate
from supervisor.core.job import MICROS, State
from supervisor.pool.rates import Rate as Measured
from supervisor.store.port import Store
from supervisor.store.sqlite import open_sqlite
from tests.pool.marked import begun, hold_workers, marked, marked_pool
from tests.pool.rig import Rig, rig
from tests.pool.test_janitor import is_there, sweeping
from tests.store.tripping import Tripping
from tests.workers import Gate, command

HOUR = 3600 * MICROS
DAY = 24 * HOUR
STEPS = pytest.mark.parametrize("step", [-DAY, DAY], ids=["back", "forward"])
ONCE_AN_HOUR = Rate(count=1, period=3600 * NANOS)


def limited(**limits: object) -> QueueConfig:
    return QueueConfig(name="q", max_attempts=1, **limits)


# -- what a job says of time -----------------------------------------------------------------------------------------


async def test_a_job_that_was_overdue_for_a_moment_only_is_given_out(tmp_path: Path) -> None:
    """The clock was wrong when a worker became idle, and right again before the store was asked to end the job."""
    async with marked(tmp_path) as daemon:
        daemon.feeder._now = lambda: daemon.now() + DAY
        [job_id] = await daemon.submit(None, expires_at=daemon.now() + HOUR)
        assert not daemon.feeder.running
        daemon.feeder._now = daemon.now
        [job] = await daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.DONE, 1)


async def test_a_job_that_the_store_is_just_ending_is_not_given_out_after_a_step_back(
    tmp_path: Path,
) -> None:
    store = Tripping(open_sqlite(tmp_path / "stoker.db"))
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)], store=cast("Store", store)) as daemon:
        async with hold_workers(daemon, tmp_path) as held:
            [job_id] = await daemon.submit(None, expires_at=daemon.now() + HOUR)
            store.hold()
            daemon.skew = DAY
            await daemon.until(lambda: daemon.feeder.expiring)
            daemon.skew = 0
            held.open()
            await daemon.until(lambda: daemon.pools[0].idle)
            assert job_id not in daemon.feeder.running
            store.let_go()
            [job] = await daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.EXPIRED, 0)
        assert job_id not in begun(tmp_path)
        assert not daemon.feeder.expiring


async def test_a_clock_that_could_not_be_acted_on_ends_nothing_when_it_is_right_again(tmp_path: Path) -> None:
    store = Tripping(open_sqlite(tmp_path / "stoker.db"))
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)], store=cast("Store", store)) as daemon:
        await daemon.service.pause("q")
        [job_id] = await daemon.submit(None, expires_at=daemon.now() + HOUR)
        store.full = "disk full"
        daemon.skew = DAY
        await daemon.until(lambda: daemon.committer.failing)
        daemon.skew, store.full = 0, None
        await daemon.until(lambda: not daemon.committer.failing)
        await daemon.service.resume("q")
        assert (await daemon.ends(job_id))[0].state is State.DONE
        assert not daemon.feeder.expiring


async def test_a_job_without_a_delay_is_due_though_the_clock_was_set_back_while_it_was_submitted(
    tmp_path: Path,
) -> None:
    async with marked(tmp_path) as daemon:
        moment = daemon.now()
        daemon.skew = -DAY
        [job_id] = await daemon.submit(None, run_at=moment, created_at=moment)
        assert (await daemon.ends(job_id))[0].state is State.DONE


async def test_a_delay_counts_though_its_submit_shares_a_commit_with_one_from_before_the_step(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, trio.open_nursery() as nursery:
        daemon.skew = DAY
        nursery.start_soon(daemon.submit, 1)
        await trio.lowlevel.checkpoint()
        daemon.skew = 0
        [later] = await daemon.submit(2, run_at=daemon.now() + HOUR)
        assert (await daemon.service.queues("q"))[0].due <= 1
        assert later not in daemon.feeder.running
        assert later not in [row.id for row in daemon.feeder.lines["q"].ahead]


@STEPS
async def test_a_job_expires_when_the_clock_says_so_and_not_before(tmp_path: Path, step: int) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        [job_id] = await daemon.submit(None, expires_at=daemon.now() + HOUR)
        daemon.skew = step
        if step > 0:
            assert (await daemon.ends(job_id))[0].state is State.EXPIRED
        await held.release()
        [job] = await daemon.ends(job_id)
        assert job.state is (State.EXPIRED if step > 0 else State.DONE)
        assert (job_id in begun(tmp_path)) == (step < 0)


@pytest.mark.parametrize(
    ("queue", "why"),
    [
        (limited(rate=ONCE_AN_HOUR), "rate"),
        (limited(concurrency=1), "concurrency"),
        (limited(), "no idle worker"),
        (limited(), "paused"),
        (limited(), "throttled"),
        (limited(), "draining"),
    ],
)
async def test_a_job_that_was_not_checked_out_expires_by_timer_whatever_keeps_it(
    tmp_path: Path, queue: QueueConfig, why: str
) -> None:
    with Gate(tmp_path) as gate:
        async with rig(folder=tmp_path, pools=[marked_pool(tmp_path, size=1)], queue=queue) as daemon:
            line = daemon.feeder.lines["q"]
            match why:
                case "paused":
                    await daemon.service.pause("q")
                case "throttled":
                    line.throttle(time.monotonic_ns() + 3600 * NANOS)
                case "draining":
                    daemon.service.stop_feeding()
                case "concurrency" | "no idle worker":
                    await daemon.submit({"gate": gate.path})
            due, future = [
                (await daemon.submit(None, expires_at=daemon.now() + 50_000, run_at=daemon.now() + delay))[0]
                for delay in (0, HOUR)
            ]
            jobs = await daemon.ends(due, future)
            assert [(job.state, job.attempt) for job in jobs] == [(State.EXPIRED, 0)] * 2
            assert {due, future}.isdisjoint(begun(tmp_path))
            assert line.ahead.complete
            assert not line.ahead
            gate.open()


async def test_a_job_that_waits_for_its_next_attempt_expires_too(tmp_path: Path) -> None:
    queue = QueueConfig(name="q", max_attempts=2, backoff=Backoff(base=3600.0, cap=3600.0, jitter=0.0))
    async with rig(command("error"), folder=tmp_path, queue=queue) as daemon:
        [job_id] = await daemon.submit({"message": "again"}, expires_at=daemon.now() + HOUR // 2)
        await daemon.until(lambda: not daemon.feeder.running)
        daemon.skew = 2 * HOUR // 3
        [job] = await daemon.ends(job_id)
        assert (job.state, job.attempt, len(job.attempts)) == (State.EXPIRED, 1, 1)


async def test_a_jobs_own_timeout_goes_before_its_pools(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        await daemon.run(None)
    async with rig(command("never_answers"), folder=tmp_path, boot_timeout=0.05) as daemon:
        [job] = await daemon.ends(*await daemon.submit(1, timeout=0.05))
        assert job.state is State.FAILED
        assert job.error is not None
        assert job.error.cause == "timeout"


@STEPS
async def test_a_retry_that_waits_begins_once_when_its_time_has_come(tmp_path: Path, step: int) -> None:
    """Its time is an instant: where the clock is set back it waits the longer, and is there when it comes."""
    queue = QueueConfig(name="q", max_attempts=2, backoff=Backoff(base=3600.0, cap=3600.0, jitter=0.0))
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path, queues=("q", "r"))], queue=queue) as daemon:
        [job_id] = await daemon.submit({"fails": 1})
        await daemon.until(lambda: not daemon.feeder.running)
        daemon.skew = step
        if step < 0:
            await daemon.ends(*await daemon.submit(None, run_at=daemon.now() + 1000, queue="r"))
            assert begun(tmp_path).count(job_id) == 1
            daemon.skew = 2 * HOUR
        [job] = await daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.DONE, 2)
        daemon.skew = -step
        await daemon.run(None)
        assert begun(tmp_path).count(job_id) == 2


@STEPS
async def test_no_attempt_lasts_less_than_nothing(tmp_path: Path, step: int) -> None:
    with Gate(tmp_path) as gate:
        async with marked(tmp_path) as daemon:
            [job_id] = await daemon.submit({"gate": gate.path, "fails": 1})
            daemon.skew = step
            gate.open()
            [job] = await daemon.ends(job_id)
            assert (job.state, job.attempt) == (State.FAILED, 1)
    assert attempt_view(job.attempts[0]).duration_secs >= 0


# -- what passes by itself -------------------------------------------------------------------------------------------


@STEPS
async def test_a_rate_counts_the_time_that_passes(tmp_path: Path, step: int) -> None:
    rate, burst = Rate(count=100, period=NANOS), 3
    queue = limited(rate=rate, burst=burst)
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path, size=2)], queue=queue) as daemon:
        taken: list[int] = []
        gate = daemon.feeder.lines["q"].gate
        enter = gate.enter

        def entered(now: int) -> None:
            taken.append(now)
            daemon.skew = step - daemon.skew
            enter(now)

        gate.enter = entered  # type: ignore[method-assign]
        jobs = await daemon.ends(*await daemon.submit(*[None] * 40))
    assert {(job.state, job.attempt) for job in jobs} == {(State.DONE, 1)}
    for first, since in enumerate(taken):
        for last, until in enumerate(taken[first:], start=first):
            assert last - first + 1 <= Fraction(rate.count * (until - since), rate.period) + burst


@STEPS
async def test_a_queue_that_waits_for_its_rate_says_nothing_else_after_a_step(tmp_path: Path, step: int) -> None:
    async with marked(tmp_path) as daemon:
        daemon.feeder.lines["q"].gate = QueueGate(limited(rate=ONCE_AN_HOUR), time.monotonic_ns())
        [waits] = await daemon.submit(None)
        daemon.skew = step
        daemon.feeder.tick(time.monotonic())
        assert (await daemon.service.queues("q"))[0].limited_by == "rate"
        assert waits not in daemon.feeder.running


@STEPS
async def test_a_throttled_queue_opens_when_the_time_has_passed(tmp_path: Path, step: int) -> None:
    queue = QueueConfig(name="q", on_throttle="queue")
    async with rig(command("throttled"), folder=tmp_path, queue=queue) as daemon:
        line = daemon.feeder.lines["q"]
        [first] = await daemon.submit({"retry_after_secs": 0.2, "until": 2})
        await daemon.until(lambda: line.throttled_until is not None)
        daemon.skew = step
        began = time.monotonic()
        [other] = await daemon.submit(None)
        assert other not in daemon.feeder.running
        assert (await daemon.ends(other))[0].state is State.DONE
        assert time.monotonic() - began < 10
        daemon.skew = 0  # the first one waits for an instant
        assert (await daemon.ends(first))[0].attempt == 2


@STEPS
async def test_retention_goes_by_the_clock_and_takes_nothing_that_has_not_ended(tmp_path: Path, step: int) -> None:
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)]) as daemon:
        ended = (await daemon.run(None)).id
        await daemon.service.pause("q")
        due, later = [(await daemon.submit(None, run_at=daemon.now() + delay))[0] for delay in (0, HOUR)]
        sweep = sweeping(daemon, Retention(done=12 * 3600.0, max_done=5)).sweep
        daemon.skew = step
        assert await sweep() == (1 if step > 0 else 0)
        assert await is_there(daemon, ended, due, later) == [step < 0, True, True]
        daemon.skew = 0
        assert await sweep() == 0
        await daemon.service.resume("q")
        assert (await daemon.ends(due))[0].state is State.DONE


async def test_after_a_step_back_retention_takes_what_ended_before_it_and_not_what_just_ended(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        daemon.skew = DAY
        before = [(await daemon.run(number)).id for number in range(4)]
        daemon.skew = 0
        after = [(await daemon.run(number)).id for number in range(2)]
        assert await sweeping(daemon, Retention(max_done=3)).sweep() == 3
        assert await is_there(daemon, *before, *after) == [False, False, False, True, True, True]


@STEPS
async def test_rates_of_the_last_minute_and_ages_stay_sensible(tmp_path: Path, step: int) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path):
        await daemon.submit(None)
        daemon.skew = step
        [queue] = await daemon.service.queues("q")
        assert queue.oldest_pending_secs is not None
        assert queue.oldest_pending_secs >= 0
        assert 0 <= queue.submit_rate <= 2
        assert (await daemon.service.status()).uptime_secs < 60
    assert Measured().per_second(0.0) == 0.0


# -- all of it at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_clock_does_every_job_ends_once_and_runs_as_often_as_it_says(
    tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    queue = QueueConfig(name="q", max_attempts=3, backoff=Backoff(base=0.01, cap=3600.0, factor=60.0))
    pools = [marked_pool(tmp_path, size=2)]
    ids: list[str] = []

    async with rig(folder=tmp_path, pools=pools, queue=queue) as daemon:

        async def turn_the_clock() -> None:
            while True:
                daemon.skew = chance.choice([-DAY, -DAY, 0, 0, 0, DAY])
                await trio.sleep(chance.random() * 0.01)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(turn_the_clock)
            for _ in range(150):
                options: dict[str, object] = {}
                if chance.random() < 0.4:
                    options["run_at"] = daemon.now() + chance.choice([-DAY, 2000, 30_000, HOUR, DAY // 2])
                if chance.random() < 0.3:
                    options["expires_at"] = daemon.now() + chance.choice([20_000, HOUR, 2 * DAY])
                ids += await daemon.submit({"fails": chance.choice([0, 0, 1, 2])}, **options)
            nursery.cancel_scope.cancel()
        await _the_end_of_all(daemon, ids)
        jobs = await daemon.ends(*ids)
    received = begun(tmp_path)
    for job in jobs:
        assert job.state in (State.DONE, State.EXPIRED)
        assert received.count(job.id) == job.attempt
    assert {State.DONE, State.EXPIRED} == {job.state for job in jobs}


async def _the_end_of_all(daemon: Rig, ids: list[str]) -> None:
    """Whatever still waits for an instant: it comes."""
    daemon.skew = 0
    with trio.move_on_after(0.2):
        await daemon.ends(*ids)
    daemon.skew = 10 * DAY
