"""A rolling restart: a new generation takes over between jobs, or nothing changes and the answer says why."""

import json
from pathlib import Path

import msgspec
import pytest
import structlog
import trio

from supervisor.core.job import State
from supervisor.errors import Conflict, RestartFailed
from supervisor.pool.rolling import Restarted
from tests.pool.rig import Rig, python, rig
from tests.workers import Gate

READY = "print(json.dumps({'status': 'ready'}), flush=True)"
LOOP = (
    "for line in sys.stdin:",
    "    want = json.loads(line)['payload']",
    "    want and open(want)",
    "    result = [os.getpid(), os.environ['STOKER_SLOT'], sys.argv[1:]]",
    "    print(json.dumps({'status': 'ok', 'result': result}), flush=True)",
)
GOOD = python("import json, os, sys", READY, *LOOP)


def pids(daemon: Rig) -> list[int]:
    return [slot.child.pid for slot in daemon.pools[0].slots if slot.child is not None]


def workers(daemon: Rig) -> list[tuple[int, int, str]]:
    return [(one.slot, one.generation, one.state) for one in daemon.service.workers("p")]


def changed(daemon: Rig, command: list[str]) -> object:
    return msgspec.structs.replace(daemon.pools[0].config, command=tuple(command))


async def test_every_worker_is_replaced_and_keeps_its_number(tmp_path: Path) -> None:
    async with rig(GOOD, folder=tmp_path, size=3, ready=True) as daemon:
        await daemon.until(lambda: len(daemon.pools[0].idle) == 3)
        before = pids(daemon)
        assert await daemon.pools[0].restart() == Restarted(generation=2, replaced=3)
        await daemon.until(lambda: workers(daemon) == [(n, 2, "idle") for n in range(3)])
        assert not set(before) & set(pids(daemon))
        view = daemon.service.pools("p")[0]
        assert (view.generation, view.restarting, view.crashes, view.state) == (2, False, 0, "ready")


async def test_no_job_is_lost_refused_or_interrupted_by_restarts_under_load(tmp_path: Path) -> None:
    async with rig(GOOD, folder=tmp_path, size=3, ready=True) as daemon:
        ids: list[str] = []
        over = trio.Event()

        async def load() -> None:
            while not over.is_set():
                ids.extend(fresh := await daemon.submit(*[None] * 50))
                await daemon.ends(*fresh)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(load)
            for generation in (2, 3, 4):
                assert (await daemon.pools[0].restart()).generation == generation
            over.set()
        jobs = [await daemon.service.get(job_id) for job_id in ids]
        assert {(job.state, job.attempt, job.charged) for job in jobs} == {(State.DONE, 1, 0)}


async def test_there_are_never_fewer_workers_than_before_nor_more_than_one_spare(tmp_path: Path) -> None:
    async with rig(GOOD, folder=tmp_path, size=3, ready=True) as daemon:
        await daemon.until(lambda: len(daemon.pools[0].idle) == 3)
        able, there = [], []

        def count() -> None:
            slots = daemon.pools[0].slots
            there.append(len(slots))
            able.append(sum(slot.life is not None and slot.life.ready.is_set() for slot in slots))

        instrument = _EachTurn(count)
        trio.lowlevel.add_instrument(instrument)
        await daemon.pools[0].restart()
        trio.lowlevel.remove_instrument(instrument)
        assert (min(able), max(there)) == (3, 4)


class _EachTurn(trio.abc.Instrument):
    def __init__(self, look: object) -> None:
        self._look = look

    def before_io_wait(self, timeout: float) -> None:
        self._look()


async def test_a_busy_worker_finishes_its_job_before_it_goes(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    async with rig(GOOD, folder=tmp_path, size=2, ready=True) as daemon:
        ids = await daemon.submit(gate.path, gate.path)
        await daemon.until(lambda: daemon.service.pools("p")[0].busy == 2)
        old = pids(daemon)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.pools[0].restart)
            await daemon.until(lambda: daemon.pools[0].generation == 2)
            assert json.loads((await daemon.run(None)).result)[1] == "2"  # the spare serves meanwhile
            gate.open()
        jobs = await daemon.ends(*ids)
        assert {(job.state, job.attempt, job.charged) for job in jobs} == {(State.DONE, 1, 0)}
        assert {json.loads(job.result)[0] for job in jobs} <= set(old)
        await daemon.until(lambda: workers(daemon) == [(n, 2, "idle") for n in range(2)])


async def test_when_the_first_new_worker_does_not_come_up_the_old_ones_serve_on(tmp_path: Path) -> None:
    broken = python("import sys", "print('no such model', file=sys.stderr)", "sys.exit(4)")
    async with rig(GOOD, folder=tmp_path, size=2, ready=True) as daemon:
        await daemon.until(lambda: len(daemon.pools[0].idle) == 2)
        before = pids(daemon)
        with pytest.raises(RestartFailed, match="the old workers serve on") as caught:
            await daemon.pools[0].restart(changed(daemon, broken))
        assert "exited with code 4 before it was ready" in caught.value.message
        assert "no such model" in caught.value.message
        await daemon.until(lambda: workers(daemon) == [(n, 1, "idle") for n in range(2)])
        assert pids(daemon) == before
        view = daemon.service.pools("p")[0]
        assert (view.state, view.reason, view.generation, view.restarting) == ("ready", None, 1, False)
        assert daemon.pools[0].config.command == tuple(GOOD)
        assert (await daemon.run(None)).state is State.DONE


async def test_a_changed_command_is_what_runs_afterwards_also_after_a_crash(tmp_path: Path) -> None:
    async with rig(GOOD, folder=tmp_path, size=2, ready=True) as daemon:
        await daemon.pools[0].restart(changed(daemon, [*GOOD, "new"]))
        jobs = await daemon.ends(*await daemon.submit(*[None] * 6))
        assert {tuple(json.loads(job.result)[2]) for job in jobs} == {("new",)}


async def test_a_missing_program_is_a_failed_restart(tmp_path: Path) -> None:
    async with rig(GOOD, folder=tmp_path, ready=True) as daemon:
        with pytest.raises(RestartFailed, match="/no/such/program"):
            await daemon.pools[0].restart(changed(daemon, ["/no/such/program"]))
        assert (await daemon.run(None)).state is State.DONE


async def test_when_a_later_worker_does_not_come_up_the_rest_of_the_old_serve_on(tmp_path: Path) -> None:
    picky = python(
        "import json, os, sys",
        "os.environ['STOKER_SLOT'] == '0' and sys.exit('slot 0 is taken')",
        READY,
        *LOOP,
    )
    async with rig(GOOD, folder=tmp_path, size=3, ready=True) as daemon:
        await daemon.until(lambda: len(daemon.pools[0].idle) == 3)
        with pytest.raises(RestartFailed, match="slot 0 does not come up") as caught:
            await daemon.pools[0].restart(changed(daemon, picky))
        assert caught.value.data == {"generation": 2, "replaced": 0}
        assert "slot 0 is taken" in caught.value.message
        assert [one for one in workers(daemon) if one[1] == 1] == [(1, 1, "idle"), (2, 1, "idle")]
        assert (await daemon.run(None)).state is State.DONE


async def test_a_second_restart_meanwhile_is_refused(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    slow = python("import json, os, sys", f"open({gate.path!r})", READY, *LOOP)
    async with rig(GOOD, folder=tmp_path, ready=True) as daemon:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.pools[0].restart, changed(daemon, slow))
            await daemon.until(lambda: daemon.pools[0].rolling is not None)
            with pytest.raises(Conflict, match="being restarted already"):
                await daemon.pools[0].restart()
            gate.open()
        assert daemon.pools[0].generation == 2


async def test_a_restart_goes_on_when_nobody_waits_for_it(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    slow = python("import json, os, sys", f"open({gate.path!r})", READY, *LOOP)
    async with rig(GOOD, folder=tmp_path, size=2, ready=True) as daemon:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.pools[0].restart, changed(daemon, slow))
            await daemon.until(lambda: daemon.pools[0].spares)
            nursery.cancel_scope.cancel()
        gate.open()
        await daemon.until(lambda: workers(daemon) == [(n, 2, "idle") for n in range(2)])


async def test_without_a_handshake_a_worker_is_up_when_it_has_lived_a_second(tmp_path: Path) -> None:
    plain = python("import json, os, sys", *LOOP)
    async with rig(plain, folder=tmp_path) as daemon:
        assert (await daemon.pools[0].restart()).replaced == 1
        with pytest.raises(RestartFailed, match="exited with code 9"):
            await daemon.pools[0].restart(changed(daemon, python("import sys", "sys.exit(9)")))


async def test_a_degraded_pool_can_be_restarted_with_a_command_that_works(tmp_path: Path) -> None:
    async with rig(python("import sys", "sys.exit(5)"), folder=tmp_path, size=2, ready=True) as daemon:
        assert daemon.pools[0].state == "degraded"
        await daemon.pools[0].restart(changed(daemon, GOOD))
        assert (await daemon.run(None)).state is State.DONE
        assert daemon.pools[0].state == "ready"


async def test_a_resize_in_the_middle_of_a_restart_holds(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    slow = python("import json, os, sys", f"open({gate.path!r})", READY, *LOOP)
    async with rig(GOOD, folder=tmp_path, size=4, ready=True) as daemon:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.pools[0].restart, changed(daemon, slow))
            await daemon.until(lambda: daemon.pools[0].spares)
            daemon.pools[0].resize(2, 2)
            gate.open()
        await daemon.until(lambda: workers(daemon) == [(n, 2, "idle") for n in range(2)])


async def test_a_stop_in_the_middle_of_a_restart_ends_it_and_leaves_nobody(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    slow = python("import json, os, sys", f"open({gate.path!r})", READY, *LOOP)
    failures = []

    async def restart(daemon: Rig) -> None:
        try:
            await daemon.pools[0].restart(changed(daemon, slow))
        except RestartFailed as failed:
            failures.append(failed.message)

    async with trio.open_nursery() as nursery, rig(GOOD, folder=tmp_path, size=2, ready=True) as daemon:
        nursery.start_soon(restart, daemon)
        await daemon.until(lambda: daemon.pools[0].spares and all(spare.child for spare in daemon.pools[0].spares))
    assert daemon.pools[0].slots == []
    assert len(failures) == 1
    assert "the daemon stops" in failures[0]


async def test_a_restart_is_told_in_the_log(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with rig(GOOD, folder=tmp_path, ready=True) as daemon:
            await daemon.pools[0].restart()
            with pytest.raises(RestartFailed):
                await daemon.pools[0].restart(changed(daemon, ["/no/such/program"]))
    names = [entry["event"] for entry in logs]
    assert [name for name in names if name.startswith("restart_")] == [
        "restart_started",
        "restart_done",
        "restart_started",
        "restart_failed",
    ]
