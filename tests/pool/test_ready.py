"""The handshake: a worker says that it is ready, and is given nothing before."""

import json
import os
from pathlib import Path

import pytest
import structlog

from supervisor.core.job import Cause, State
from tests.pool.rig import python, rig
from tests.workers import Gate, command

LOOP = ("for line in sys.stdin:", "    print(json.dumps({'status': 'ok', 'result': os.getpid()}), flush=True)")
READY = "print(json.dumps({'status': 'ready'}), flush=True)"


def worker(*before: str) -> list[str]:
    return python("import json, os, sys", *before, *LOOP)


@pytest.mark.provokes("ready")
async def test_a_worker_is_given_no_job_before_it_is_ready(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    slow = worker(f"open({gate.path!r})", READY)
    async with rig(slow, folder=tmp_path, ready=True, size=1, waits=False) as daemon:
        [job_id] = await daemon.submit(1)
        await daemon.until(lambda: daemon.pools[0].slots and daemon.slot.child is not None)
        assert daemon.slot.state == "starting"
        assert daemon.service.pools("p")[0].state == "starting"
        assert (await daemon.service.get(job_id)).state is State.PENDING
        gate.open()
        [job] = await daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.DONE, 1)
        assert daemon.service.pools("p")[0].state == "ready"


async def test_a_slow_boot_never_eats_the_timeout_of_the_first_job(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    slow = worker(f"open({gate.path!r})", READY)
    async with rig(slow, folder=tmp_path, ready=True, timeout=5.0, boot_timeout=20.0, waits=False) as daemon:
        [job_id] = await daemon.submit(1)
        gate.open()
        await daemon.until(lambda: daemon.slot.run is not None or (daemon.slot.life and daemon.slot.life.jobs_done))
        life = daemon.slot.life
        assert life.deadline == float("inf") or life.deadline - life.ready_at < 6.0  # no boot_timeout in it
        assert (await daemon.ends(job_id))[0].state is State.DONE


@pytest.mark.provokes("never ready", "ready", "boot_timeout", program="never_ready.py")
async def test_a_worker_that_is_never_ready_degrades_its_pool_and_costs_no_job(tmp_path: Path) -> None:
    async with rig(command("never_ready"), folder=tmp_path, ready=True, boot_timeout=0.3) as daemon:
        [job_id] = await daemon.submit(1)
        pool = daemon.service.pools("p")[0]
        assert pool.state == "degraded"
        assert "not ready within boot_timeout = 300ms" in pool.reason
        job = await daemon.service.get(job_id)
        assert (job.state, job.charged, job.attempt) == (State.PENDING, 0, 0)


async def test_what_a_worker_said_that_is_never_ready_is_in_its_pools_reason(tmp_path: Path) -> None:
    silent = python("import sys, time", "print('loading', file=sys.stderr, flush=True)", "time.sleep(60)")
    async with rig(silent, folder=tmp_path, ready=True, boot_timeout=0.3) as daemon:
        assert "loading" in daemon.service.pools("p")[0].reason


async def test_a_worker_that_dies_before_it_is_ready_degrades_its_pool_with_exit_and_stderr(tmp_path: Path) -> None:
    dying = python("import sys", "print('no GPU here', file=sys.stderr)", "sys.exit(3)")
    async with rig(dying, folder=tmp_path, ready=True) as daemon:
        reason = daemon.service.pools("p")[0].reason
        assert "exited with code 3 before it was ready" in reason
        assert "no GPU here" in reason


@pytest.mark.parametrize("line", ["worker 1.0", '{"status":"ok"}'])
async def test_anything_else_before_ready_degrades_the_pool_and_is_quoted(tmp_path: Path, line: str) -> None:
    banner = worker(f"print({line!r}, flush=True)", READY)
    async with rig(banner, folder=tmp_path, ready=True) as daemon:
        reason = daemon.service.pools("p")[0].reason
        assert '{"status":"ready"} first' in reason
        assert line in reason


async def test_the_first_good_boot_clears_what_degraded_the_pool(tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    program = worker(f"os.path.exists({str(mended)!r}) or sys.exit(1)", READY)
    async with rig(program, folder=tmp_path, ready=True) as daemon:
        assert daemon.service.pools("p")[0].state == "degraded"
        mended.touch()
        assert (await daemon.run(1)).state is State.DONE
        assert daemon.service.pools("p")[0].state == "ready"


async def test_a_worker_may_say_ready_though_nobody_asks_for_it(tmp_path: Path) -> None:
    async with rig(worker(READY), folder=tmp_path) as daemon:
        first = await daemon.run(1)
        second = await daemon.run(2)
        assert (first.state, first.charged, first.attempt) == (State.DONE, 0, 1)
        assert first.result == second.result  # the same process


async def test_the_first_job_of_a_worker_that_said_ready_unasked_has_no_time_to_boot(tmp_path: Path) -> None:
    said = tmp_path / "said"
    mute = python(
        "import json, sys, time",
        READY,
        f"open({str(said)!r}, 'w').close()",
        "time.sleep(300)",
    )
    async with rig(mute, folder=tmp_path, timeout=0.2, boot_timeout=3600.0) as daemon:
        await daemon.until(lambda: said.exists() and daemon.slot.child is not None and daemon.slot.child.silent())
        job = await daemon.run(1)
        assert (job.state, job.error.cause) == (State.FAILED, Cause.TIMEOUT)


async def test_ready_said_after_the_first_job_has_come_is_still_the_first_line(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    slow = worker(f"open({gate.path!r})", READY)
    async with rig(slow, folder=tmp_path) as daemon:
        [job_id] = await daemon.submit(1)
        gate.open()
        [job] = await daemon.ends(job_id)
        assert (job.state, job.attempt) == (State.DONE, 1)


async def test_ready_said_in_two_halves_to_an_idle_pool_is_heard(tmp_path: Path) -> None:
    half = Gate(tmp_path)
    program = worker(
        "sys.stdout.write('{\"status\":'); sys.stdout.flush()",
        f"open({half.path!r})",
        "print('\"ready\"}', flush=True)",
    )
    async with rig(program, folder=tmp_path) as daemon:
        await daemon.until(lambda: daemon.slot.life and daemon.slot.life._conversation.unfinished() is not None)
        half.open()
        await daemon.until(lambda: daemon.slot.life and daemon.slot.life._conversation.unfinished() is None)
        assert (await daemon.run(1)).attempt == 1
        assert daemon.pools[0].crashes == 0


async def test_a_worker_stuck_in_the_middle_of_its_first_line_is_given_no_job(tmp_path: Path) -> None:
    once = tmp_path / "once"
    program = worker(
        f"import pathlib; flag = pathlib.Path({str(once)!r})",
        "if not flag.exists():",
        "    flag.touch(); sys.stdout.write('half a ban'); sys.stdout.flush()",
    )
    async with rig(program, folder=tmp_path) as daemon:
        await daemon.until(lambda: daemon.slot.life and daemon.slot.life._conversation.unfinished() is not None)
        job = await daemon.run(1)
        assert (job.state, job.charged, job.attempt) == (State.DONE, 0, 1)


@pytest.mark.provokes("ready twice")
async def test_ready_said_twice_is_garbage(tmp_path: Path) -> None:
    program = python(
        "import json, sys",
        READY,
        "for line in sys.stdin:",
        "    " + READY,
    )
    async with rig(program, folder=tmp_path, ready=True) as daemon:
        job = await daemon.run(1)
        assert job.error.cause is Cause.GARBAGE
        assert "not as its first line" in job.error.message


@pytest.mark.provokes("require_id", program="no_id.py")
async def test_a_reply_without_an_id_is_garbage_where_the_pool_requires_it(tmp_path: Path) -> None:
    async with rig(command("no_id"), folder=tmp_path, require_id=True) as daemon:
        job = await daemon.run(1)
        assert (job.state, job.error.cause) == (State.FAILED, Cause.GARBAGE)
        assert "require_id = true" in job.error.message


async def test_a_worker_that_says_ready_and_dies_again_and_again_is_tried_with_a_growing_pause(tmp_path: Path) -> None:
    program = python("import json, sys", READY, "sys.exit(7)")
    with structlog.testing.capture_logs() as logs:
        async with rig(program, folder=tmp_path, ready=True) as daemon:
            await daemon.until(lambda: daemon.pools[0].health.failures(0) >= 3)
            assert "exited with code 7" in daemon.service.pools("p")[0].reason
    assert [entry["event"] for entry in logs].count("pool_degraded") == 1  # not again with every try


@pytest.mark.provokes("ready twice", "extra line", program="ready_twice.py")
async def test_ready_said_twice_to_an_idle_pool_degrades_it_and_costs_no_job(tmp_path: Path) -> None:
    async with rig(command("ready_twice"), folder=tmp_path, ready=True) as daemon:
        await daemon.until(lambda: daemon.pools[0].state == "degraded")
        assert '{"status": "ready"}' in daemon.service.pools("p")[0].reason
        [job_id] = await daemon.submit(1)
        job = await daemon.service.get(job_id)
        assert (job.state, job.charged, job.crashes) == (State.PENDING, 0, 0)


async def test_what_a_worker_says_after_ready_while_idle_ends_it(tmp_path: Path) -> None:
    program = worker(READY, f"if not os.path.exists({str(tmp_path / 'x')!r}):", "    print('more', flush=True)")
    async with rig(program, folder=tmp_path, ready=True) as daemon:
        await daemon.until(lambda: daemon.pools[0].crashes >= 1)
        os.close(os.open(tmp_path / "x", os.O_CREAT))
        job = await daemon.run(1)
        assert (job.state, job.charged) == (State.DONE, 0)
        assert json.loads(job.result) == daemon.slot.child.pid
