"""What is said of jobs, queues, pools and the daemon, in each situation."""

import os
from pathlib import Path

import pytest

from supervisor.core.ends import Ends
from supervisor.core.job import MICROS, State
from supervisor.errors import NotFound, UnknownQueue
from supervisor.pool.rates import Rate
from tests.pool.marked import begun, hold_workers, marked, marked_pool
from tests.pool.rig import Rig, pool_config, rig
from tests.workers import Gate, command

HOUR = 3600 * MICROS


async def place(daemon: Rig, job_id: str) -> tuple[int, int]:
    position = await daemon.service.position(job_id)
    return position.ahead, position.active


async def test_position_counts_what_runs_and_what_is_due_before(tmp_path: Path) -> None:
    async with marked(tmp_path, size=2) as daemon, hold_workers(daemon, tmp_path) as held:
        low, later = await daemon.submit(None, priority=-1), await daemon.submit(None, run_at=daemon.now() + HOUR)
        plain, high = await daemon.submit(1, 2), await daemon.submit(None, priority=5)
        ordered = [*high, *plain, *low, *later]
        assert [await place(daemon, one) for one in ordered] == [(ahead, 7) for ahead in range(2, 7)]
        assert [await place(daemon, one) for one in held.jobs] == [(0, 7)] * 2
        await daemon.service.cancel(high[0])
        assert await place(daemon, high[0]) == (0, 0)
        assert await place(daemon, plain[0]) == (2, 6)
        await held.release()
        await daemon.ends(*plain, *low)
        assert await place(daemon, plain[0]) == (0, 0)
        assert await place(daemon, later[0]) == (0, 1)
        with pytest.raises(NotFound):
            await daemon.service.position("nosuch")


async def test_queues_counts_jobs_by_state(tmp_path: Path) -> None:
    async with rig(command("error"), folder=tmp_path, queues=("q", "r")) as daemon:
        await daemon.run(None)
        await daemon.run({"retry": False})
        await daemon.service.pause("q")
        pending = await daemon.submit(1, 2, 3)
        await daemon.service.cancel(pending[0])
        now = daemon.now()
        await daemon.submit(None, run_at=now + HOUR)
        await daemon.ends(*await daemon.submit(None, run_at=now + HOUR, expires_at=now + 1000))
        of_q, of_r = await daemon.service.queues(None)
        assert (of_q.queue, of_q.paused, of_q.pools) == ("q", True, ["p"])
        assert (of_q.pending, of_q.due, of_q.running) == (3, 2, 0)
        assert (of_q.done, of_q.failed, of_q.cancelled, of_q.expired) == (1, 1, 1, 1)
        assert of_q.oldest_pending_secs is not None
        assert 0 <= of_q.oldest_pending_secs < 60
        assert (of_r.queue, of_r.paused, of_r.pending, of_r.oldest_pending_secs) == ("r", False, 0, None)
        assert await daemon.service.queues("r") == [of_r]
        with pytest.raises(UnknownQueue):
            await daemon.service.queues("nosuch")


async def test_a_job_in_a_workers_hands_is_running_for_everybody(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        [job_id] = held.jobs
        assert (await daemon.service.get(job_id)).state is State.RUNNING
        queue = (await daemon.service.queues("q"))[0]
        assert (queue.pending, queue.due, queue.running) == (0, 0, 1)


async def test_rates_are_jobs_per_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        monkeypatch.setattr(daemon.feeder, "tick", lambda now: None)  # which would take samples by another clock,
        line = daemon.feeder.lines["q"]
        line.submitted, line.ends = Rate(), Ends(0.0)  # and may have done so
        line.submitted.sample(0.0)
        await daemon.ends(*await daemon.submit(*range(20)))
        assert (line.submitted.per_second(10.0), line.ends.per_second(10.0, 60.0).done) == (2.0, 2.0)


async def test_pools_counts_what_its_workers_do(tmp_path: Path) -> None:
    async with marked(tmp_path, size=3) as daemon:
        [pool] = daemon.service.pools(None)
        assert (pool.pool, pool.state, pool.reason, pool.queues) == ("p", "ready", None, ["q"])
        assert (pool.size, pool.idle, pool.busy, pool.spawned, pool.crashes, pool.jobs_done) == (3, 3, 0, 3, 0, 0)
        with Gate(tmp_path) as gate:
            [job_id] = await daemon.submit({"gate": gate.path})
            [pool] = daemon.service.pools("p")
            assert (pool.idle, pool.busy) == (2, 1)
            gate.open()
            await daemon.ends(job_id)
        [pool] = daemon.service.pools("p")
        assert (pool.idle, pool.busy, pool.jobs_done) == (3, 0, 1)
        with pytest.raises(NotFound, match=r"no pool .nosuch.: the configuration has p"):
            daemon.service.pools("nosuch")


async def test_a_pool_whose_program_is_broken_says_why_and_its_slots_wait(tmp_path: Path) -> None:
    pools = [pool_config(command("boots_badly"), tmp_path, name="broken", size=2), marked_pool(tmp_path, name="well")]
    async with rig(folder=tmp_path, pools=pools) as daemon:
        await daemon.until(lambda: {one.state for one in daemon.service.workers("broken")} == {"waiting"})
        [broken] = daemon.service.pools("broken")
        assert broken.state == "degraded"
        assert broken.reason is not None
        assert "No module named 'nosuch'" in broken.reason
        assert {(one.pid, one.job, one.rss, one.age_secs) for one in daemon.service.workers("broken")} == {(None,) * 4}
        assert (await daemon.service.status()).pools[0] == daemon.service.pools("broken")[0]
        assert daemon.service.pools("well")[0].state == "ready"


async def test_workers_shows_each_slot(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with marked(tmp_path, size=2) as daemon:
            [job_id] = await daemon.submit({"gate": gate.path})
            # Before it is the interpreter, a worker is a small shell for a moment.
            await daemon.until(lambda: all((one.rss or 0) > 1_000_000 for one in daemon.service.workers("p")))
            idle, busy = sorted(daemon.service.workers("p"), key=lambda one: one.job or "")
            assert {idle.slot, busy.slot} == {0, 1}
            assert (idle.state, idle.job) == ("idle", None)
            assert (busy.state, busy.job) == ("busy", job_id)
            for one in (idle, busy):
                assert one.pid is not None
                os.kill(one.pid, 0)
                assert one.age_secs is not None
                assert 0 <= one.age_secs < 60
            gate.open()
            await daemon.ends(job_id)
            assert sorted(one.jobs_done for one in daemon.service.workers(None)) == [0, 1]


async def test_a_worker_that_is_being_ended_is_ending(tmp_path: Path) -> None:
    async with rig(command("ignores_term"), folder=tmp_path, timeout=0.05, kill_grace=0.5) as daemon:
        await daemon.run(None)
        [job_id] = await daemon.submit(1)
        await daemon.until(lambda: daemon.service.workers("p")[0].state == "ending")
        assert daemon.service.workers("p")[0].job == job_id
        assert (await daemon.service.get(job_id)).state is State.RUNNING  # until the old tree is gone
        await daemon.ends(job_id)


async def test_status_is_the_daemon_at_a_glance(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        status = await daemon.service.status()
        assert (status.state, status.pid, status.unserved) == ("running", os.getpid(), [])
        assert (status.store.state, status.store.reason, status.store.epoch) == ("ok", None, 1)
        assert [one.pool for one in status.pools] == ["p"]
        assert [one.queue for one in status.queues] == ["q"]


async def test_drain_returns_when_nothing_runs_and_nothing_new_begins(tmp_path: Path) -> None:
    async with marked(tmp_path, size=2) as daemon, hold_workers(daemon, tmp_path) as held:
        [waiting] = await daemon.submit(None)
        daemon.service.stop_feeding()
        assert daemon.service.state == "draining"
        [late] = await daemon.submit(None)  # it is accepted all the same
        await held.release()
        await daemon.service.drain()
        assert daemon.service.state == "drained"
        assert sorted(begun(tmp_path)) == sorted(held.jobs)
        for job_id in (waiting, late):
            assert (await daemon.service.get(job_id)).state is State.PENDING
        await daemon.service.drain()  # again: at once
