"""Limits by key hold by what the workers themselves write down; jobs of other keys overtake those that wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from supervisor.config.model import NANOS, Backoff, QueueConfig, Rate
from supervisor.core.job import State
from supervisor.core.keys import lane_of
from supervisor.core.lanes import Walk
from supervisor.pool.feeder import Feeder
from supervisor.store.sqlite import open_sqlite
from tests.core.test_lanes import row
from tests.pool.marked import begun, marked_pool, side_file
from tests.pool.rig import Rig, pool_config, rig
from tests.pool.test_limits import quiet, running
from tests.workers import Gate, command, marks

SLOW = Rate(count=1, period=3600 * NANOS)


def limited(**limits: object) -> QueueConfig:
    return QueueConfig(name="q", **{"max_attempts": 1, "backoff": Backoff(base=0.01, cap=0.02), **limits})


def most_at_a_time(folder: Path, *jobs: str) -> int:
    most = now = 0
    for mark in marks(side_file(folder)):
        if mark.id in jobs:
            now += {"begin": 1, "end": -1}[mark.event]
            most = max(most, now)
    return most


@pytest.mark.provokes("concurrency_per_key", program="marker.py")
async def test_no_more_jobs_of_a_key_run_at_a_time_than_it_may_and_other_keys_overtake_them(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, name=name, queues=("q",), size=3) for name in ("one", "two")]
    async with rig(folder=tmp_path, pools=pools, queue=limited(concurrency_per_key=2)) as daemon:
        with Gate(tmp_path) as gate:
            busy = await daemon.submit(*[{"gate": gate.path}] * 10, concurrency_key="busy")
            await daemon.until(lambda: len(begun(tmp_path)) == 2)
            await quiet(daemon)
            assert running(daemon) == 2
            view = (await daemon.service.queues("q"))[0]
            assert (view.running, view.pending, view.limited_by) == (2, 8, "concurrency_per_key")
            other = await daemon.submit(*[None] * 3, concurrency_key="other")
            free = await daemon.submit(*[None] * 3)
            assert {job.state for job in await daemon.ends(*other, *free)} == {State.DONE}
            assert running(daemon) == 2
            gate.open()
            jobs = await daemon.ends(*busy)
        assert {(job.state, job.attempt, job.concurrency_key) for job in jobs} == {(State.DONE, 1, "busy")}
        assert most_at_a_time(tmp_path, *busy) == 2


@contextmanager
def taken_tokens(daemon: Rig) -> Iterator[dict[str | None, list[int]]]:
    keys = daemon.feeder.lines["q"].keys
    assert keys is not None
    taken: dict[str | None, list[int]] = {}
    enter = keys.enter

    def entered(lane: str | None, now: int) -> None:
        taken.setdefault(lane, []).append(now)
        enter(lane, now)

    keys.enter = entered  # type: ignore[method-assign]
    yield taken


@pytest.mark.provokes("rate_per_key", "burst_per_key", program="echo.py")
async def test_jobs_of_each_key_begin_no_faster_than_its_rate_and_as_fast_as_it_allows(tmp_path: Path) -> None:
    rate, burst = Rate(count=50, period=NANOS), 5
    queue = limited(rate_per_key=rate, burst_per_key=burst)
    async with rig(command("echo"), folder=tmp_path, queue=queue, size=4) as daemon:
        began = time.monotonic()
        with taken_tokens(daemon) as taken:
            jobs = [await daemon.submit(*range(40), rate_key=key) for key in ("a", "b", "c")]
            ended = await daemon.ends(*[job for some in jobs for job in some])
        took = time.monotonic() - began
    assert {(job.state, job.attempt) for job in ended} == {(State.DONE, 1)}
    assert [len(times) for times in taken.values()] == [40, 40, 40]
    for times in taken.values():
        for first, since in enumerate(times):
            for last, until in enumerate(times[first:], start=first):
                assert last - first + 1 <= Fraction(rate.count * (until - since), rate.period) + burst
    assert took < 40 / 50 * 2  # not one key after the other


async def test_both_keys_of_a_job_hold_whatever_it_shares_them_with(tmp_path: Path) -> None:
    queue = limited(concurrency_per_key=1, rate_per_key=Rate(count=100, period=NANOS), burst_per_key=1)
    pools = [marked_pool(tmp_path, size=4)]
    async with rig(folder=tmp_path, pools=pools, queue=queue) as daemon:
        jobs = [
            (await daemon.submit({"sleep": 0.002}, rate_key=rate, concurrency_key=place))[0]
            for _ in range(5)
            for rate in ("a", "b")
            for place in ("x", "y")
        ]
        assert {job.state for job in await daemon.ends(*jobs)} == {State.DONE}
        for place in (0, 1):
            assert most_at_a_time(tmp_path, *jobs[place::2]) == 1


async def test_a_higher_priority_goes_first_among_those_that_may_begin(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, size=2)]
    async with rig(folder=tmp_path, pools=pools, queue=limited(concurrency_per_key=1)) as daemon:
        with Gate(tmp_path) as gate, Gate(tmp_path, "second") as second:
            [first] = await daemon.submit({"gate": gate.path}, concurrency_key="busy")
            [other] = await daemon.submit({"gate": second.path}, concurrency_key="other")
            await daemon.until(lambda: len(begun(tmp_path)) == 2)
            [blocked] = await daemon.submit(None, concurrency_key="busy", priority=9)
            low, high = [
                (await daemon.submit(None, concurrency_key=key, priority=priority))[0]
                for key, priority in (("c", 0), ("d", 5))
            ]
            second.open()
            await daemon.ends(other, low, high)
            gate.open()
            await daemon.ends(first, blocked)
        assert begun(tmp_path)[2:] == [high, low, blocked]


async def test_retries_keep_their_keys_and_their_places(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, size=3)]
    async with rig(folder=tmp_path, pools=pools, queue=limited(concurrency_per_key=1, max_attempts=3)) as daemon:
        jobs = await daemon.submit(*[{"fails": 2, "sleep": 0.001}] * 4, concurrency_key="k")
        ended = await daemon.ends(*jobs)
        assert {(job.state, job.attempt) for job in ended} == {(State.DONE, 3)}
        assert most_at_a_time(tmp_path, *jobs) == 1


async def test_pause_cancel_retry_expiry_and_purge_know_of_blocked_jobs(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, size=2)]
    async with rig(folder=tmp_path, pools=pools, queue=limited(concurrency_per_key=1)) as daemon:
        with Gate(tmp_path) as gate:
            [holder] = await daemon.submit({"gate": gate.path}, concurrency_key="k")
            await daemon.until(lambda: running(daemon) == 1)
            [late] = await daemon.submit(None, concurrency_key="k", expires_at=daemon.now() + 1)
            gone, again, *rest = await daemon.submit(*[None] * 5, concurrency_key="k")
            [expired] = await daemon.ends(late)
            assert expired.state is State.EXPIRED
            assert (await daemon.service.cancel(gone)).state is State.CANCELLED
            assert (await daemon.service.cancel(again)).state is State.CANCELLED
            await daemon.service.retry(again)
            await daemon.service.delete(rest.pop())
            assert (await daemon.service.position(rest[-1])).ahead == 3
            await daemon.service.pause("q")
            gate.open()
            await daemon.ends(holder)
            await quiet(daemon)
            assert running(daemon) == 0
            await daemon.service.resume("q")
            assert {job.state for job in await daemon.ends(again, *rest)} == {State.DONE}
        assert set(begun(tmp_path)) == {holder, again, *rest}


async def test_a_future_job_of_a_free_key_begins_when_its_time_has_come(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, size=2)]
    async with rig(folder=tmp_path, pools=pools, queue=limited(concurrency_per_key=1)) as daemon:
        with Gate(tmp_path) as gate:
            busy = await daemon.submit(*[{"gate": gate.path}] * 3, concurrency_key="busy")
            later = await daemon.submit(None, concurrency_key="other", run_at=daemon.now() + 20_000)
            await daemon.ends(*later)
            assert running(daemon) == 1
            gate.open()
            await daemon.ends(*busy)


async def test_another_keys_job_is_found_behind_many_that_were_there_at_the_start(tmp_path: Path) -> None:
    """Those were submitted before the queue limited keys, some of them without any."""
    store = open_sqlite(tmp_path / "stoker.db")
    async with rig(command("echo"), folder=tmp_path, store=store, pools=(), size=1) as daemon:
        await daemon.service.pause("q")
        blocked = await daemon.submit(*range(3000), rate_key="a")
        [other] = await daemon.submit(1, concurrency_key="b")
        [plain] = await daemon.submit(1)
    async with rig(command("echo"), folder=tmp_path, queue=limited(rate_per_key=SLOW)) as daemon:
        daemon.feeder.pause("q", False)
        jobs = await daemon.ends(other, plain)
        assert {job.state for job in jobs} == {State.DONE}
        assert (await daemon.service.get(blocked[0])).attempt == 0
        assert (await daemon.service.queues("q"))[0].limited_by == "rate_per_key"


async def test_rows_that_become_due_all_the_time_do_not_hide_another_keys_job(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path, queue=limited(rate_per_key=SLOW)) as daemon:
        await daemon.submit(*range(3000), rate_key="a")
        [other] = await daemon.submit(1, rate_key=None, priority=-1, run_at=daemon.now() + 10_000)
        async with trio.open_nursery() as nursery:

            async def read_anew() -> None:
                while True:
                    daemon.feeder.reread(["q"])
                    await trio.lowlevel.checkpoint()

            nursery.start_soon(read_anew)
            await daemon.ends(other)
            nursery.cancel_scope.cancel()


async def test_jobs_that_wait_for_their_key_do_not_make_a_pool_grow(tmp_path: Path) -> None:
    env = (("STOKER_TEST_FILE", str(side_file(tmp_path))),)
    queue = limited(concurrency_per_key=1)
    async with rig(command("marker"), folder=tmp_path, env=env, queue=queue, min=1, max=4, grow_after=0.01) as daemon:
        with Gate(tmp_path) as gate:
            jobs = await daemon.submit(*[{"gate": gate.path}] * 5, concurrency_key="k")
            await daemon.until(lambda: len(begun(tmp_path)) == 1)
            await trio.sleep(0.1)  # ten times what makes a pool grow
            assert len(daemon.pools[0].slots) == 1
            gate.open()
            await daemon.ends(*jobs)


async def test_a_queue_whose_keys_are_blocked_keeps_no_worker_from_other_queues(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, queues=("q", "r"), size=2)]
    async with rig(folder=tmp_path, pools=pools, queue=limited(concurrency_per_key=1)) as daemon:
        with Gate(tmp_path) as gate:
            blocked = await daemon.submit(*[{"gate": gate.path}] * 4, concurrency_key="k")
            others = await daemon.submit(*[None] * 20, queue="r", concurrency_key="k")
            assert {job.state for job in await daemon.ends(*others)} == {State.DONE}
            assert running(daemon) == 1
            gate.open()
            await daemon.ends(*blocked)


async def test_work_that_must_not_run_twice_keeps_to_its_keys(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, size=3)]
    queue = limited(concurrency_per_key=1, on_daemon_crash="fail")
    async with rig(folder=tmp_path, pools=pools, queue=queue) as daemon:
        jobs = await daemon.submit(*[{"sleep": 0.001}] * 10, concurrency_key="k")
        assert {job.state for job in await daemon.ends(*jobs)} == {State.DONE}
        assert most_at_a_time(tmp_path, *jobs) == 1


def test_a_token_that_comes_while_a_worker_looks_for_a_job_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The look at the job comes too early, and by the time it asks how long to wait there is nothing to wait for."""
    clock = [0]

    def ticking() -> int:
        clock[0] += 1
        return clock[0]

    monkeypatch.setattr(time, "monotonic_ns", ticking)
    committer: Any = SimpleNamespace(failing=None, claim=lambda claim: None)
    feeder = Feeder(committer, [limited(rate_per_key=Rate(count=1, period=10))], now=lambda: 0, jitter=lambda: 0.5)
    asked: list[int] = []
    monkeypatch.setattr(feeder.alarm, "ask", asked.append)
    pool: Any = SimpleNamespace(sharing=None, begun=0, config=pool_config(["-"], Path("/"), name="p", queues=("q",)))
    line = feeder.lines["q"]
    assert line.lanes is not None
    line.lanes.walked(Walk(None, 9, anew=True), [row(1, lane_of("a", None))], complete=True, skip=())
    clock[0] = 9  # the feeder came up at 1
    run = feeder.checkout(pool)
    assert run is not None
    assert not asked
