"""Planned replacement: always between two jobs, never during one, and never all workers at once."""

import json
from pathlib import Path

import pytest
import structlog

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import Cause, State
from supervisor.core.words import about_size
from supervisor.pool import procfs
from tests.pool.rig import Rig, python, rig
from tests.workers import Gate, command

MIB = 1024 * 1024


async def pids(daemon: Rig, count: int, payload: object = None) -> list[int]:
    """The workers that did `count` jobs, one after the other; each job was done at its first attempt."""
    jobs = [await daemon.run(payload) for _ in range(count)]
    assert {(job.state, job.attempt, job.charged) for job in jobs} == {(State.DONE, 1, 0)}
    return [json.loads(job.result)["pid"] for job in jobs]


def reasons(logs: list[dict[str, str]]) -> list[str]:
    return [entry["reason"] for entry in logs if entry["event"] == "worker_recycled"]


def seen_by_the_watch(monkeypatch: pytest.MonkeyPatch, name: str) -> list[int]:
    """What `procfs` told of the memory of the workers, as it goes on."""
    figures: list[int] = []
    measure = getattr(procfs, name)

    def told(leader: int) -> int | None:
        found: int | None = measure(leader)
        if found is not None:
            figures.append(found)
        return found

    monkeypatch.setattr(procfs, name, told)
    return figures


@pytest.mark.provokes("max_jobs", program="leaks.py")
async def test_a_worker_is_replaced_after_max_jobs(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with rig(command("leaks"), folder=tmp_path, max_jobs=2, recycle_jitter=0.0) as daemon:
            first, second, third, fourth, fifth = await pids(daemon, 5)
            assert first == second != third == fourth != fifth
            pool = daemon.service.pools("p")[0]
            assert (pool.recycled, pool.crashes, pool.state) == (2, 0, "ready")
    assert "2 jobs (max_jobs" in reasons(logs)[0]


async def test_a_worker_for_each_job_is_possible(tmp_path: Path) -> None:
    async with rig(command("leaks"), folder=tmp_path, max_jobs=1, size=2) as daemon:
        jobs = await daemon.ends(*await daemon.submit(*[None] * 20))
        assert {(job.state, job.attempt, job.charged) for job in jobs} == {(State.DONE, 1, 0)}
        assert len({job.result for job in jobs}) == 20


@pytest.mark.provokes("recycle_jitter", program="leaks.py")
async def test_the_workers_of_a_pool_do_not_reach_max_jobs_together(tmp_path: Path) -> None:
    async with rig(command("leaks"), folder=tmp_path, max_jobs=1000, recycle_jitter=0.5, size=8) as daemon:
        await daemon.until(lambda: len(daemon.pools[0].idle) == 8)
        limits = [slot.life.limits.jobs for slot in daemon.pools[0].slots]
        assert all(500 <= limit <= 1000 for limit in limits)
        assert len(set(limits)) > 4


@pytest.mark.provokes("max_age", program="leaks.py")
async def test_an_old_worker_is_replaced_while_it_is_idle(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with rig(command("leaks"), folder=tmp_path, max_age=0.05) as daemon:
            [pid] = await pids(daemon, 1)
            await daemon.until(lambda: daemon.slot.child is not None and daemon.slot.child.pid != pid)
    assert "max_age" in reasons(logs)[0]


async def test_an_old_worker_is_not_replaced_while_it_has_a_job(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    async with rig(command("allocates"), folder=tmp_path, max_age=0.05) as daemon:
        [job_id] = await daemon.submit({"mb": 1, "gate": gate.path})
        await daemon.until(lambda: daemon.slot.life is not None and daemon.slot.life._retires is not None)
        pid = daemon.slot.child.pid
        assert daemon.slot.state == "busy"
        gate.open()
        [job] = await daemon.ends(job_id)
        assert (job.state, json.loads(job.result)) == (State.DONE, pid)
        await daemon.until(lambda: daemon.slot.child is not None and daemon.slot.child.pid != pid)


@pytest.mark.provokes("max_idle", program="leaks.py")
async def test_a_worker_that_idles_is_replaced_after_max_idle(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with rig(command("leaks"), folder=tmp_path, max_idle=0.05) as daemon:
            [pid] = await pids(daemon, 1)
            await daemon.until(lambda: daemon.slot.child is not None and daemon.slot.child.pid != pid)
    assert "max_idle" in reasons(logs)[0]


async def test_a_worker_that_may_only_live_or_idle_for_a_moment_is_what_somebody_wants_and_no_failure(
    tmp_path: Path,
) -> None:
    async with rig(command("leaks"), folder=tmp_path, max_idle=0.05) as daemon:
        await daemon.until(lambda: daemon.pools[0].recycled == 3)
        assert (daemon.pools[0].state, daemon.pools[0].crashes) == ("ready", 0)


async def test_a_worker_that_is_too_old_once_it_has_booted_is_a_failure_that_names_the_limit(tmp_path: Path) -> None:
    slow = python("import time; time.sleep(0.2)", """print('{"status":"ready"}', flush=True)""", "input()")
    async with rig(slow, folder=tmp_path, ready=True, max_age=0.1) as daemon:
        await daemon.until(lambda: daemon.pools[0].health.reason)
        assert "to be replaced before it has done a job" in daemon.pools[0].health.reason
        assert "max_age" in daemon.pools[0].health.reason


@pytest.mark.provokes("max_rss", program="leaks.py")
async def test_a_worker_that_has_grown_is_replaced_between_two_jobs(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with rig(command("leaks"), folder=tmp_path, max_rss=60 * MIB, recycle_jitter=0.0) as daemon:
            [pid] = await pids(daemon, 1, {"mb": 100})
            await daemon.until(lambda: daemon.slot.child is not None and daemon.slot.child.pid != pid)
            assert daemon.pools[0].crashes == 0
    assert "max_rss" in reasons(logs)[0]


@pytest.mark.provokes("out of memory", "memory_limit", program="allocates.py")
async def test_a_worker_over_its_memory_limit_is_killed_and_the_attempt_says_oom_with_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = seen_by_the_watch(monkeypatch, "tree_pss")
    gate = Gate(tmp_path)
    once = QueueConfig(name="q", max_attempts=1, backoff=Backoff(base=0.01))
    async with rig(command("allocates"), folder=tmp_path, memory_limit=64 * MIB, queue=once) as daemon:
        job = await daemon.run({"mb": 200, "gate": gate.path})
        assert (job.state, job.error.cause, job.crashes, job.charged) == (State.FAILED, Cause.OOM, 1, 1)
        assert "memory_limit is 64MiB" in job.error.message
        assert 64 * MIB < figures[-1] < 200_000_000 + 64 * MIB
        assert f"it used {about_size(figures[-1])}," in job.error.message
        assert (await daemon.run(None)).state is State.DONE


@pytest.mark.provokes("out of memory", "poison", program="allocates.py")
async def test_a_job_that_takes_its_worker_over_the_limit_again_and_again_is_poison(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    queue = QueueConfig(name="q", max_attempts=9, max_crashes=2, backoff=Backoff(base=0.01, cap=0.01))
    async with rig(command("allocates"), folder=tmp_path, memory_limit=64 * MIB, queue=queue) as daemon:
        job = await daemon.run({"mb": 200, "gate": gate.path})
        assert (job.error.cause, job.crashes) == (Cause.POISON, 2)
        assert "memory_limit" in job.error.message
        assert job.attempts[0].error.cause is Cause.OOM


@pytest.mark.provokes("out of memory", "memory_limit", program="allocates.py")
async def test_the_memory_of_a_workers_children_counts(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    async with rig(command("allocates"), folder=tmp_path, memory_limit=100 * MIB) as daemon:
        job = await daemon.run({"mb": 200, "gate": gate.path, "in_child": True})
        assert job.error.cause is Cause.OOM


FAMILY = python(
    "import json, os, signal, sys",
    "held = b'x' * 60_000_000",
    "for line in sys.stdin:",
    "    gate = json.loads(line)['payload']",
    "    children = []",
    "    for _ in range(4):",
    "        child = os.fork()",
    "        if child == 0:",
    "            signal.alarm(300); signal.pause()",
    "        children.append(child)",
    "    open(gate)",
    "    for child in children:",
    "        os.kill(child, signal.SIGKILL); os.waitpid(child, 0)",
    "    print(json.dumps({'status': 'ok'}), flush=True)",
)


async def test_children_that_share_their_memory_are_not_counted_once_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 150 * MIB
    figures = seen_by_the_watch(monkeypatch, "tree_rss")
    gate = Gate(tmp_path)
    async with rig(FAMILY, folder=tmp_path, memory_limit=limit) as daemon:
        [job_id] = await daemon.submit(gate.path)
        await daemon.until(lambda: sum(figure > limit for figure in figures) >= 2 or not daemon.feeder.running)
        gate.open()
        [job] = await daemon.ends(job_id)
        assert (job.state, job.error, daemon.pools[0].crashes) == (State.DONE, None, 0)
    assert max(figures) > 4 * 60_000_000


async def test_a_worker_that_asks_for_it_is_counted_as_recycled(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with rig(command("recycle_me"), folder=tmp_path) as daemon:
            await daemon.run(None)
            await daemon.run({"recycle": True})
            await daemon.until(lambda: daemon.pools[0].recycled >= 1)
    assert reasons(logs)[0] == "it asked for it"


async def test_a_worker_may_ask_for_it_in_a_progress_reply_and_ends_its_job_first(tmp_path: Path) -> None:
    asks = python(
        "import json, os, sys",
        "for line in sys.stdin:",
        "    print(json.dumps({'status': 'progress', 'progress': 0.5, 'recycle': True}), flush=True)",
        "    print(json.dumps({'status': 'ok', 'result': {'pid': os.getpid()}}), flush=True)",
    )
    with structlog.testing.capture_logs() as logs:
        async with rig(asks, folder=tmp_path) as daemon:
            assert len({*await pids(daemon, 3)}) == 3
            assert (daemon.pools[0].recycled >= 2, daemon.pools[0].crashes) == (True, 0)
    assert reasons(logs)[0] == "it asked for it"
