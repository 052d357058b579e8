"""What is measured of jobs as they go by: how long they wait and run, how attempts end, and what runs now."""

from pathlib import Path

import pytest
import trio

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import MICROS, State
from supervisor.core.spread import middle
from supervisor.errors import UnknownQueue
from supervisor.pool.feeder import Line
from supervisor.store.memory import Disk, MemoryStore
from supervisor.store.port import Filter
from tests.pool.marked import hold_workers, marked, marked_pool
from tests.pool.rig import Rig, rig
from tests.workers import Gate, command

HOUR = 3600 * MICROS


def secs(counts: dict[int, int]) -> list[float]:
    """The samples, as exact as they were kept."""
    return [middle(number) / MICROS for number, count in sorted(counts.items()) for _ in range(count)]


def ends(line: Line) -> dict[str, int]:
    names = ("done", "failed", "cancelled", "retried", "released")
    return {name: count for name in names if (count := getattr(line.ends, name))}


async def test_waits_are_from_when_a_job_was_due_to_its_checkout_and_runs_from_there(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        line = daemon.feeder.lines["q"]
        late = daemon.now() - 8 * MICROS
        daemon.skew = -8 * MICROS
        waiting = await daemon.submit(1)
        daemon.skew = -4 * MICROS
        waiting += await daemon.submit(2, run_at=late)  # it could not begin before it was there,
        daemon.skew = 0
        waiting += await daemon.submit(3, run_at=late + 6 * MICROS)  # and has hardly waited since
        await held.release()
        await daemon.ends(*waiting)
        *_, third, second, first = secs(line.waits.counts())
        assert 0 <= third < 2
        assert 4 * 31 / 32 <= second < 6
        assert 8 * 31 / 32 <= first < 10
        runs = secs(line.runs.counts())
        assert len(runs) == 4
        assert 0 < max(runs) < 20
        [queue] = await daemon.service.queues("q")
        assert queue.wait_secs is not None
        assert queue.run_secs is not None
        assert (queue.wait_secs.count, queue.run_secs.count) == (4, 4)
        assert queue.wait_secs.p50 <= queue.wait_secs.p95 == queue.wait_secs.p99
        assert queue.wait_secs.p99 == pytest.approx(first)


async def test_rows_that_were_read_from_the_store_have_waited_just_as_long(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        line = daemon.feeder.lines["q"]
        await daemon.service.pause("q")
        daemon.skew = -8 * MICROS
        jobs = await daemon.submit(1, run_at=daemon.now() - HOUR)
        daemon.skew = 0
        daemon.feeder.hold(*jobs)
        daemon.feeder.unhold(*jobs, reread=True)
        await daemon.service.resume("q")
        await daemon.ends(*jobs)
        [wait] = secs(line.waits.counts())
        assert 8 * 31 / 32 <= wait < 10


async def test_a_retry_has_waited_since_it_was_due_again(tmp_path: Path) -> None:
    policy = QueueConfig(name="q", max_attempts=2, backoff=Backoff(delays=(0.2,), jitter=0))
    async with rig(command("error"), folder=tmp_path, queue=policy) as daemon:
        line = daemon.feeder.lines["q"]
        job = await daemon.run({"message": "no"})
        assert (job.state, job.charged) == (State.FAILED, 2)
        waits = secs(line.waits.counts())
        assert len(waits) == 2
        assert job.started_at is not None
        assert max(waits) <= (job.started_at - job.run_at) / MICROS * 33 / 32 + 0.2
        assert ends(line) == {"retried": 1, "failed": 1}


async def test_a_clock_that_is_set_back_makes_no_wait_negative_and_no_run_longer(tmp_path: Path) -> None:
    async with marked(tmp_path, size=2) as daemon, hold_workers(daemon, tmp_path) as held:
        jobs = await daemon.submit(1, 2)
        daemon.skew -= HOUR
        await held.release()
        await daemon.ends(*jobs)
        line = daemon.feeder.lines["q"]
        assert secs(line.waits.counts())[:2] == [0.0, 0.0]
        assert all(0 < run < 20 for run in secs(line.runs.counts()))


async def test_a_clock_that_is_set_forward_makes_no_run_longer(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        daemon.skew += HOUR
        await held.release()
        assert all(0 < run < 20 for run in secs(daemon.feeder.lines["q"].runs.counts()))


async def test_each_end_of_an_attempt_is_counted_as_what_it_was(tmp_path: Path) -> None:
    async with rig(command("throttled"), folder=tmp_path) as daemon:
        line = daemon.feeder.lines["q"]
        await daemon.run(None)
        [job] = await daemon.submit({"retry_after_secs": 3600})
        await daemon.until(lambda: line.ends.released)
        await daemon.service.cancel(job)  # it waits by now: no attempt of it ends
        assert ends(line) == {"done": 1, "released": 1}
        assert len(secs(line.waits.counts())) == 2
        assert len(secs(line.runs.counts())) == 1  # who was throttled has not worked


async def test_an_attempt_that_is_cancelled_is_counted_as_such(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        await daemon.service.cancel(held.jobs[0])
        assert ends(daemon.feeder.lines["q"]) == {"cancelled": 1}


async def running(daemon: Rig, queue: str | None = None, limit: int = 50) -> tuple[list[str], int]:
    jobs, total = await daemon.service.running(queue, limit)
    assert all(job.state is State.RUNNING and job.payload is None for job in jobs)
    return [job.id for job in jobs], total


async def test_running_shows_the_longest_first_of_a_queue_or_of_all(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, name=name, queues=(name,), size=2) for name in "qr"]
    async with rig(folder=tmp_path, pools=pools) as daemon:
        assert await running(daemon) == ([], 0)
        async with hold_workers(daemon, tmp_path, "q") as first, hold_workers(daemon, tmp_path, "r") as second:
            await daemon.submit(1, queue="q")  # it waits
            assert await running(daemon) == ([*first.jobs, *second.jobs], 4)
            assert await running(daemon, limit=3) == ([*first.jobs, second.jobs[0]], 4)
            assert await running(daemon, "r") == (second.jobs, 2)
            with pytest.raises(UnknownQueue):
                await running(daemon, "nosuch")


async def test_running_tells_the_latest_progress_and_the_name(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with rig(command("progress"), folder=tmp_path) as daemon:
            [job_id] = await daemon.submit({"steps": 4, "gate": gate.path}, name="a film", tags=("t",))
            await daemon.until(lambda: daemon.feeder.running[job_id].progress)
            [job], _ = await daemon.service.running(None, 50)
            assert (job.name, job.tags, job.attempt) == ("a film", ("t",), 1)
            assert job.started_at is not None
            assert job.progress is not None
            assert b'"total":4' in job.progress
            gate.open()
            await daemon.ends(job_id)
            assert await running(daemon) == ([], 0)


async def test_what_runs_is_told_while_the_store_cannot_write_it_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = MemoryStore(Disk())
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)], store=store) as daemon:
        monkeypatch.setattr(daemon.committer, "claim", lambda claim: None)  # it never gets there
        with Gate(tmp_path) as gate:
            [job_id] = await daemon.submit({"gate": gate.path})
            await daemon.until(lambda: job_id in daemon.feeder.running)
            assert store.reader().list(Filter(), limit=1, before=None, full=False).jobs[0].state is State.PENDING
            assert await running(daemon) == ([job_id], 1)
            gate.open()
            await trio.lowlevel.checkpoint()
            daemon.feeder.running[job_id].stop()
            await daemon.until(lambda: not daemon.feeder.running)
