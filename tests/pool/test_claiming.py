"""Work that must not run twice: what can happen between the moment a child is chosen and the moment its job begins."""

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, cast

import msgspec
import pytest
import trio

from supervisor.config.model import NANOS, Backoff, QueueConfig
from supervisor.core.job import MICROS, Cause, Job, State
from supervisor.store import writer
from supervisor.store.port import Store
from supervisor.store.sqlite import open_sqlite
from tests.pool.marked import begun, marked_pool
from tests.pool.rig import Rig, rig
from tests.store.tripping import Tripping
from tests.workers import Gate, command

ONCE = QueueConfig(name="q", max_attempts=2, on_daemon_crash="fail", backoff=Backoff(base=0.01, cap=0.02))
HOUR = 3600 * MICROS
FULL = "cannot write to stoker.db: the disk is full"


class House(NamedTuple):
    daemon: Rig
    store: Tripping
    folder: Path

    async def claiming(self, payload: object = None, **options: object) -> str:
        """A job whose claim's commit has begun, and lasts until `store.let_go`."""
        self.daemon.feeder.pause("q", True)
        [job_id] = await self.daemon.submit(payload, **options)
        self.store.hold()
        self.daemon.feeder.pause("q", False)
        await self.store.held()
        assert job_id in self.daemon.feeder.running
        return job_id

    async def comes_to_nothing(self, job_id: str) -> Job:
        """The commit ends, and the job is nobody's again."""
        self.store.let_go()
        await self.daemon.until(lambda: job_id not in self.daemon.feeder.running)
        assert begun(self.folder) == []
        return await self.daemon.service.get(job_id)


@asynccontextmanager
async def house(folder: Path, queue: QueueConfig = ONCE, **changes: object) -> AsyncIterator[House]:
    store = Tripping(open_sqlite(folder / "stoker.db"))
    async with rig(
        folder=folder, pools=[marked_pool(folder, **changes)], queue=queue, store=cast("Store", store)
    ) as daemon:
        try:
            yield House(daemon, store, folder)
        finally:
            store.let_go()


async def test_while_its_claim_is_committed_a_job_has_a_worker_and_has_not_begun(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        [worker] = made.daemon.service.workers("p")
        assert (worker.state, worker.job) == ("busy", job_id)
        [pool] = made.daemon.service.pools("p")
        assert (pool.idle, pool.busy) == (0, 1)
        assert begun(tmp_path) == []
        made.store.let_go()
        [job] = await made.daemon.ends(job_id)
        assert (job.state, job.attempt, job.charged) == (State.DONE, 1, 0)
        assert begun(tmp_path) == [job_id]


async def test_when_a_job_begins_the_disk_says_that_it_runs(tmp_path: Path) -> None:
    async with house(tmp_path, size=2) as (daemon, store, _):
        with Gate(tmp_path) as gate:
            ids = await daemon.submit(*[{"gate": gate.path}] * 2)
            await daemon.until(lambda: len(begun(tmp_path)) == 2)
            reader = store.reader()
            assert [reader.get(job_id).state for job_id in ids] == [State.RUNNING] * 2
            reader.close()
            gate.open()
            await daemon.ends(*ids)


async def test_a_burst_shares_its_claims_commits_and_every_job_begins_once(tmp_path: Path) -> None:
    async with house(tmp_path, size=4) as (daemon, store, _):
        ids = await daemon.submit(*range(60))
        jobs = await daemon.ends(*ids)
        assert {(job.state, job.attempt) for job in jobs} == {(State.DONE, 1)}
        assert sorted(begun(tmp_path)) == sorted(ids)
        assert store.commits < 2 * len(ids)


async def test_a_cancel_that_comes_meanwhile_ends_it_before_it_begins(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        cancelled: list[Job] = []

        async def cancel() -> None:
            cancelled.append(await made.daemon.service.cancel(job_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            await made.daemon.until(lambda: made.daemon.feeder.running[job_id].cancel)
            await made.comes_to_nothing(job_id)
        assert [(job.state, job.attempt, job.charged) for job in cancelled] == [(State.CANCELLED, 1, 0)]
        assert (await made.daemon.run(None)).state is State.DONE


async def test_a_pause_that_comes_meanwhile_keeps_it_back(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        made.daemon.feeder.pause("q", True)
        job = await made.comes_to_nothing(job_id)
        assert (job.state, job.attempt, job.charged, job.interruptions) == (State.PENDING, 1, 0, 0)
        made.daemon.feeder.pause("q", False)
        [job] = await made.daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.DONE, 2)
        assert begun(tmp_path) == [job_id]


async def test_a_throttling_of_the_queue_that_comes_meanwhile_keeps_it_back(tmp_path: Path) -> None:
    """As another worker's reply does it."""
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        made.daemon.feeder.lines["q"].throttle(time.monotonic_ns() + 3600 * NANOS)
        job = await made.comes_to_nothing(job_id)
        assert (job.state, job.attempt, job.charged, job.interruptions) == (State.PENDING, 1, 0, 0)
        made.daemon.feeder.pause("q", False)
        [job] = await made.daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.DONE, 2)
        assert begun(tmp_path) == [job_id]


async def test_a_drain_that_comes_meanwhile_waits_for_nothing_but_the_commit(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        made.daemon.service.stop_feeding()
        assert made.daemon.service.state == "draining"
        job = await made.comes_to_nothing(job_id)
        assert job.state is State.PENDING
        await made.daemon.service.drain()


async def test_a_stop_that_comes_meanwhile_leaves_it_pending(tmp_path: Path) -> None:
    jobs: list[str] = []

    async with trio.open_nursery() as nursery, house(tmp_path) as made:
        jobs.append(await made.claiming())

        async def let_go() -> None:
            await made.daemon.pools[0].stopping.wait()
            made.store.let_go()

        nursery.start_soon(let_go)
        made.daemon.service.stop_feeding()
        made.daemon.pools[0].stop()
    assert begun(tmp_path) == []
    store = open_sqlite(tmp_path / "stoker.db")
    [job] = store.get(jobs)
    assert job is not None
    assert (job.state, job.interruptions) == (State.PENDING, 0)
    store.close()


async def test_one_that_expires_meanwhile_ends_expired(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        job_id = await made.claiming(expires_at=made.daemon.now() + HOUR)
        made.daemon.skew = 2 * HOUR
        made.store.let_go()
        [job] = await made.daemon.ends(job_id)
        assert job.state is State.EXPIRED
        assert begun(tmp_path) == []


async def test_a_claim_that_cannot_be_written_starts_nothing_and_the_job_waits_for_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_EVERY", 0.01)
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        made.store.full = FULL
        job = await made.comes_to_nothing(job_id)
        assert (job.state, job.attempt) == (State.PENDING, 0)
        assert made.daemon.committer.failing == FULL
        assert made.daemon.slot.state == "idle"
        made.store.full = None
        [job] = await made.daemon.ends(job_id)
        assert (job.state, job.attempt, job.charged) == (State.DONE, 1, 0)
        assert begun(tmp_path) == [job_id]


async def test_a_cancel_of_a_job_whose_claim_cannot_be_written_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RETRY_EVERY", 0.01)
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        made.store.full, made.store.trips = FULL, 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.daemon.service.cancel, job_id)
            await made.daemon.until(lambda: made.daemon.feeder.running[job_id].cancel)
            job = await made.comes_to_nothing(job_id)
        [job] = await made.daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.CANCELLED, 0)


async def test_what_never_began_gives_its_place_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_EVERY", 0.01)
    one = msgspec.structs.replace(ONCE, concurrency=1)
    async with house(tmp_path, one, size=2) as made:
        daemon = made.daemon
        unwritten = await made.claiming(1)
        made.store.full, made.store.trips = FULL, 2
        await made.comes_to_nothing(unwritten)
        await daemon.ends(unwritten)
        cancelled = await made.claiming(2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.service.cancel, cancelled)
            await daemon.until(lambda: daemon.feeder.running[cancelled].cancel)
            made.store.let_go()
        daemon.feeder.pause("q", True)
        refused, *others = await daemon.submit(*range(5))
        await daemon.committer.write(lambda store: store.cancel([refused], daemon.now()))
        daemon.feeder.pause("q", False)
        assert {job.state for job in await daemon.ends(*others)} == {State.DONE}
        assert sorted(begun(tmp_path)) == sorted([unwritten, *others])


async def test_a_commit_that_fails_once_delays_a_claim_and_no_more(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        made.store.full, made.store.trips = FULL, 1
        made.store.let_go()
        [job] = await made.daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.DONE, 1)
        assert made.daemon.committer.failing is None


async def test_a_worker_that_dies_meanwhile_costs_the_job_nothing_and_another_has_it(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        dying = made.daemon.slot.child
        dying.signal(signal.SIGKILL)
        await made.daemon.until(lambda: made.daemon.slot.child not in (dying, None))
        made.store.let_go()
        [job] = await made.daemon.ends(job_id)
        assert (job.state, job.attempt, job.charged, job.crashes, job.attempts) == (State.DONE, 2, 0, 0, ())
        assert begun(tmp_path) == [job_id]


async def test_a_worker_that_is_to_be_replaced_meanwhile_does_its_job_first(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        job_id = await made.claiming()
        before = made.daemon.slot.child
        made.daemon.slot.replace("a test wants it")
        assert made.daemon.slot.state == "busy"
        made.store.let_go()
        [job] = await made.daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.DONE, 1)
        assert job.result == b'{"attempt": 1, "pid": %d}' % before.pid
        await made.daemon.until(lambda: made.daemon.slot.child not in (before, None))


async def test_a_job_that_ended_where_the_look_ahead_could_not_see_it_does_not_begin(tmp_path: Path) -> None:
    async with house(tmp_path) as made:
        daemon = made.daemon
        daemon.feeder.pause("q", True)
        gone, other = await daemon.submit(1, 2)
        await daemon.committer.write(lambda store: store.cancel([gone], daemon.now()))
        daemon.feeder.pause("q", False)
        [job] = await daemon.ends(other)
        assert job.state is State.DONE
        assert begun(tmp_path) == [other]
        assert not daemon.feeder.running


@pytest.mark.provokes("daemon stops", "on_daemon_crash", program="marker.py")
async def test_what_a_stop_cuts_short_is_not_begun_again(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with house(tmp_path) as made:
            [job_id] = await made.daemon.submit({"gate": gate.path})
            await made.daemon.until(lambda: begun(tmp_path))
            made.daemon.service.stop_feeding()
            made.daemon.pools[0].stop()
            [job] = await made.daemon.ends(job_id)
    assert (job.state, job.charged, job.interruptions) == (State.FAILED, 0, 1)
    assert job.error is not None
    assert (job.error.cause, job.error.retry) == (Cause.INTERRUPTED, False)
    assert job.error.message.startswith("the daemon was stopped while this job ran")
    [attempt] = job.attempts
    assert attempt.pid is not None


async def test_what_a_stop_finds_unread_in_the_pipe_has_not_begun(tmp_path: Path) -> None:
    async with rig(command("never_reads"), folder=tmp_path, queue=ONCE) as daemon:
        [job_id] = await daemon.submit({})
        await daemon.until(lambda: daemon.slot.life.run is not None)
        daemon.service.stop_feeding()
        daemon.pools[0].stop()
        await daemon.until(lambda: not daemon.feeder.running)
        job = await daemon.service.get(job_id)
    assert (job.state, job.charged, job.interruptions) == (State.PENDING, 0, 0)
