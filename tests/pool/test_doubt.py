"""Programs that come to nothing, and what is risked on them: each place waits for itself, no job is given too soon."""

import json
import time
from pathlib import Path

import structlog
import trio

from supervisor.core.job import Cause, State
from supervisor.pool.rolling import Restarted
from tests.pool.rig import python, rig
from tests.workers import Gate

MIB = 1024 * 1024
LOOP = ("for line in sys.stdin:", "    print(json.dumps({'status': 'ok', 'result': os.getpid()}), flush=True)")
READY = "print(json.dumps({'status': 'ready'}), flush=True)"


def events(logs: list[dict[str, object]], name: str) -> int:
    return sum(entry["event"] == name for entry in logs)


async def test_a_slow_death_at_boot_is_forgiven_once_and_then_tried_with_growing_pauses(tmp_path: Path) -> None:
    """An import that takes over a second, and then fails."""
    slow = python("import sys, time", "time.sleep(1.1)", "sys.exit('no such module')")
    async with rig(slow, folder=tmp_path) as daemon:
        await daemon.until(lambda: daemon.pools[0].health.failures(0) >= 3)
        assert "no such module" in daemon.pools[0].health.reason
        assert daemon.pools[0].health.delay(0, 0.0) >= 1.0


async def test_a_place_that_fails_beside_a_busy_one_has_its_own_pauses_and_one_line_in_the_log(tmp_path: Path) -> None:
    picky = python("import json, os, sys", "os.environ['STOKER_SLOT'] == '1' and sys.exit('port 1 is taken')", *LOOP)
    with structlog.testing.capture_logs() as logs:
        async with rig(picky, folder=tmp_path, size=2) as daemon:
            while daemon.pools[0].health.failures(1) < 4:
                assert (await daemon.run(1)).state is State.DONE
            assert daemon.pools[0].state == "degraded"
            assert "port 1 is taken" in daemon.service.pools("p")[0].reason
    told = [entry["reason"] for entry in logs if entry["event"] == "pool_degraded"]
    assert len(told) == 1
    assert events(logs, "pool_recovered") == 0


async def test_when_one_place_works_again_the_others_do_not_wait_out_their_pauses(tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    program = python("import json, os, sys", f"os.path.exists({str(mended)!r}) or sys.exit(1)", *LOOP)
    async with rig(program, folder=tmp_path, size=6) as daemon:
        pool = daemon.pools[0]
        await daemon.until(lambda: all(pool.health.failures(place) >= 4 for place in range(6)))
        mended.touch()
        with trio.fail_after(8):  # the pauses go up to 30 s
            await daemon.until(lambda: len(pool.idle) == 6)
            await daemon.until(lambda: pool.state == "ready")


async def test_no_job_is_risked_on_a_program_that_prints_a_banner(tmp_path: Path) -> None:
    banner = python("import json, os, sys", "print('Loading v1', flush=True)", *LOOP)
    async with rig(banner, folder=tmp_path) as daemon:
        await daemon.until(lambda: daemon.pools[0].state == "degraded")
        [job_id] = await daemon.submit(1)
        await daemon.until(lambda: daemon.pools[0].health.failures(0) >= 4)
        job = await daemon.service.get(job_id)
        assert (job.state, job.charged) == (State.PENDING, 0)
        assert "Loading v1" in daemon.pools[0].health.reason


async def test_a_worker_that_starts_beyond_max_rss_degrades_its_pool_but_jobs_run(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with rig(python("import json, os, sys", *LOOP), folder=tmp_path, max_rss=2 * MIB) as daemon:
            await daemon.until(lambda: daemon.pools[0].health.failures(0) >= 2)
            assert "max_rss" in daemon.pools[0].health.reason
            assert (await daemon.run(1)).state is State.DONE
    assert events(logs, "pool_degraded") >= 1


async def test_a_worker_is_not_recycled_while_it_boots(tmp_path: Path) -> None:
    """The job is there before the worker is ready: one that has nothing to do may be recycled as soon as it is."""
    gate = Gate(tmp_path)
    slow = python("import json, os, sys", f"open({gate.path!r})", READY, *LOOP)
    with structlog.testing.capture_logs() as logs, gate:
        async with rig(slow, folder=tmp_path, waits=False, ready=True, max_age=0.5, max_rss=MIB) as daemon:
            [job_id] = await daemon.submit(1)
            await daemon.until(lambda: daemon.slot.life is not None)
            booted_for_long = daemon.slot.life.child.started + 1.5  # past max_age, and looked at
            await daemon.until(lambda: time.monotonic() > booted_for_long)
            gate.open()
            [job] = await daemon.ends(job_id)
    started = [entry["pid"] for entry in logs if entry["event"] == "worker_started"]
    assert (job.state, job.result) == (State.DONE, str(started[0]).encode())


async def test_what_was_said_before_a_job_was_given_out_is_never_charged_to_it(tmp_path: Path) -> None:
    program = python("import sys", 'sys.stdout.write(\'{"status":"ready"}\\nhello\\n\'); sys.stdout.flush()', *LOOP)
    async with rig(program, folder=tmp_path, ready=True) as daemon:
        [job_id] = await daemon.submit(1)
        await daemon.until(lambda: daemon.pools[0].health.failures(0) >= 3)
        assert (await daemon.service.get(job_id)).charged == 0


async def test_an_answer_that_came_before_the_memory_was_noticed_stands(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    program = python(
        "import json, os, sys", *LOOP[:1], '    print(\'{"status":"ok"}\', flush=True)', f"    open({gate.path!r})"
    )
    async with rig(program, folder=tmp_path) as daemon:
        daemon.pools[0].ears.ignore(daemon.slot.child.replies)  # so that nobody hears the answer before
        [job_id] = await daemon.submit(1)
        await daemon.until(lambda: daemon.slot.run is not None and not daemon.slot.child.silent())
        daemon.slot.life.over_memory("too much")
        [job] = await daemon.ends(job_id)
        assert (job.state, job.charged) == (State.DONE, 0)


async def test_the_timeout_says_how_long_was_waited_and_that_nothing_was_ever_said(tmp_path: Path) -> None:
    mute = python("import sys", "for line in sys.stdin: pass")
    async with rig(mute, folder=tmp_path, timeout=0.2, boot_timeout=0.1) as daemon:
        job = await daemon.run(1)
        assert job.error.cause is Cause.TIMEOUT
        assert "within 0.3 s (timeout 0.2 s and boot_timeout 0.1 s)" in job.error.message
        assert "flush" in job.error.message


async def test_a_restart_that_fails_later_keeps_its_spare_in_place_of_the_missing_one(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    program = python(
        "import json, os, sys",
        f"os.environ['STOKER_SLOT'] == '0' and os.path.exists({str(taken)!r}) and len(sys.argv) > 1 and sys.exit(8)",
        READY,
        *LOOP,
    )
    import msgspec

    from supervisor.errors import RestartFailed

    async with rig(program, folder=tmp_path, ready=True) as daemon:
        pool = daemon.pools[0]
        changed = msgspec.structs.replace(pool.config, command=(*program, "new"))
        try:
            await pool.restart(changed)
        except RestartFailed as failed:
            assert "slot 0 does not come up" in failed.message  # noqa: PT017
        else:
            raise AssertionError("the restart cannot have succeeded")
        assert (await daemon.run(1)).state is State.DONE  # by the spare
        taken.unlink()
        await daemon.until(lambda: [slot.number for slot in pool.slots] == [0])
        assert pool.state == "ready"


async def test_restarts_one_after_the_other_never_pile_up_spares(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    program = python(
        "import json, os, sys",
        READY,
        "for line in sys.stdin:",
        "    want = json.loads(line)['payload']",
        "    want and open(want)",
        "    print(json.dumps({'status': 'ok', 'result': os.environ['STOKER_SLOT']}), flush=True)",
    )
    async with rig(program, folder=tmp_path, ready=True) as daemon:
        pool = daemon.pools[0]
        old = await daemon.submit(gate.path)
        await daemon.until(lambda: pool.idle == [] and daemon.slot.run is not None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.restart)
            await daemon.until(lambda: pool.generation == 2)
            busy = await daemon.submit(gate.path)  # for the spare
            await daemon.until(lambda: sum(slot.run is not None for slot in pool.slots) == 2)
            await daemon.service.cancel(old[0])
        assert len(pool.slots) == 2
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.restart)
            await daemon.until(lambda: pool.rolling is not None)
            for _ in range(50):
                await trio.lowlevel.checkpoint()
            assert len(pool.slots) == 2  # it waits for the former spare
            gate.open()
        await daemon.ends(*busy)
        await daemon.until(lambda: [slot.number for slot in pool.slots] == [0])
        assert pool.generation == 3


async def test_a_restart_ends_when_a_busy_worker_is_cancelled_and_its_program_has_gone(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    script = tmp_path / "worker.sh"
    script.write_text(f'#!/bin/sh\nwhile read -r line; do : <{gate.path}; echo \'{{"status":"ok"}}\'; done\n')
    script.chmod(0o755)
    async with rig([str(script)], folder=tmp_path) as daemon:
        [job_id] = await daemon.submit(1)
        await daemon.until(lambda: daemon.slot.run is not None)
        outcome: list[object] = []

        async def restart() -> None:
            try:
                outcome.append(await daemon.pools[0].restart())
            except Exception as failed:
                outcome.append(failed)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(restart)
            await daemon.until(lambda: daemon.pools[0].generation == 2)
            script.unlink()
            await daemon.service.cancel(job_id)
        assert "slot 0 does not come up" in str(outcome[0])
        assert not isinstance(outcome[0], Restarted)


async def test_numbers_stay_below_the_size_whatever_the_order_of_resizes(tmp_path: Path) -> None:
    program = python("import json, os, sys", *LOOP)
    async with rig(program, folder=tmp_path, size=4) as daemon:
        pool = daemon.pools[0]
        pool.resize(2, 2)
        pool.resize(3, 3)
        await daemon.until(lambda: sorted(slot.number for slot in pool.slots) == [0, 1, 2])
        pool.resize(0, 0)
        await daemon.until(lambda: pool.slots == [])
        pool.resize(2, 2)
        await daemon.until(lambda: sorted(slot.number for slot in pool.slots) == [0, 1])


async def test_many_places_are_not_filled_in_one_turn_of_the_loop(tmp_path: Path) -> None:
    program = python("import json, os, sys", *LOOP)
    async with rig(program, folder=tmp_path) as daemon:
        pool = daemon.pools[0]
        pool.resize(20, 20)
        most, before = 0, pool.spawned
        while pool.spawned < 20:
            await trio.lowlevel.checkpoint()
            most, before = max(most, pool.spawned - before), pool.spawned
        assert most <= 2


async def test_what_a_place_may_log_outlives_its_workers(tmp_path: Path) -> None:
    program = python(
        "import json, sys",
        "for line in sys.stdin:",
        "    sys.stderr.write('x\\n' * 900); sys.stderr.flush()",
        "    print(json.dumps({'status': 'ok', 'recycle': True}), flush=True)",
    )
    with structlog.testing.capture_logs() as logs:
        async with rig(program, folder=tmp_path) as daemon:
            for _ in range(6):
                await daemon.run(1)
    assert events(logs, "worker_stderr") < 4000
    assert json.dumps(sum(entry["lines"] for entry in logs if entry["event"] == "worker_stderr_dropped")) != "0"
