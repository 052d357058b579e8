"""What a rolling restart brings with it: the new workers live by the new configuration, the old ones by theirs."""

import json
from functools import partial
from pathlib import Path

import msgspec
import pytest
import structlog
import trio

from supervisor.config.model import PoolConfig
from supervisor.core.job import Cause, State
from supervisor.errors import RestartFailed
from supervisor.pool import procfs
from supervisor.pool.rolling import Restarted
from tests.pool.rig import Rig, rig
from tests.workers import Gate, command

MIB = 1024 * 1024
LEAKS, ALLOCATES = command("leaks", "--ready"), command("allocates", "--ready")


def changed(daemon: Rig, **settings: object) -> PoolConfig:
    return msgspec.structs.replace(daemon.pools[0].config, recycle_jitter=0.0, **settings)


async def pids(daemon: Rig, count: int) -> list[int]:
    jobs = [await daemon.run(None) for _ in range(count)]
    assert {(job.state, job.attempt, job.charged) for job in jobs} == {(State.DONE, 1, 0)}
    return [msgspec.json.decode(job.result, type=dict[str, int])["pid"] for job in jobs]


async def test_new_workers_are_replaced_after_the_new_max_jobs(tmp_path: Path) -> None:
    async with rig(LEAKS, folder=tmp_path, ready=True) as daemon:
        assert len({*await pids(daemon, 3)}) == 1
        await daemon.pools[0].restart(changed(daemon, max_jobs=1))
        assert len({*await pids(daemon, 3)}) == 3
        await daemon.pools[0].restart(changed(daemon, max_jobs=None))
        assert len({*await pids(daemon, 3)}) == 1


async def test_the_worker_that_stands_in_lives_by_the_new_limits_too(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    async with rig(ALLOCATES, folder=tmp_path, ready=True) as daemon:
        busy = await daemon.submit({"mb": 1, "gate": gate.path})
        await daemon.until(lambda: daemon.slot.run is not None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.pools[0].restart, changed(daemon, max_jobs=1))
            await daemon.until(lambda: daemon.pools[0].generation == 2)
            assert len({(await daemon.run(None)).result for _ in range(3)}) == 3
            gate.open()
        assert (await daemon.ends(*busy))[0].state is State.DONE


async def test_a_new_max_age_is_looked_after_in_a_pool_that_had_none(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with rig(LEAKS, folder=tmp_path, ready=True) as daemon:
            await daemon.pools[0].restart(changed(daemon, max_age=0.3))
            recycled = daemon.pools[0].recycled
            await daemon.until(lambda: daemon.pools[0].recycled > recycled + 1)
    assert any("max_age" in entry["reason"] for entry in logs if entry["event"] == "worker_recycled")


@pytest.mark.provokes("out of memory", "memory_limit", program="allocates.py")
async def test_a_new_memory_limit_is_looked_after_in_a_pool_that_had_none(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    async with rig(ALLOCATES, folder=tmp_path, ready=True) as daemon:
        await daemon.pools[0].restart(changed(daemon, memory_limit=64 * MIB))
        job = await daemon.run({"mb": 200, "gate": gate.path})
        assert (job.state, job.error.cause) == (State.FAILED, Cause.OOM)
        assert "memory_limit is 64MiB" in job.error.message


async def test_an_old_worker_that_ends_its_job_does_so_under_the_limit_it_was_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(tmp_path)
    looks: list[tuple[int, int]] = []
    measure = procfs.tree_rss

    def told(leader: int) -> int | None:
        found: int | None = measure(leader)
        looks.append((leader, found or 0))
        return found

    monkeypatch.setattr(procfs, "tree_rss", told)
    async with rig(ALLOCATES, folder=tmp_path, ready=True, memory_limit=1024 * MIB) as daemon:
        old = daemon.slot.child.pid
        [job_id] = await daemon.submit({"mb": 100, "gate": gate.path})
        await daemon.until(lambda: any(pid == old and used > 64 * MIB for pid, used in looks))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(daemon.pools[0].restart, changed(daemon, memory_limit=64 * MIB))
            await daemon.until(lambda: daemon.pools[0].generation == 2)
            looks.clear()
            await daemon.until(lambda: [pid for pid, _ in looks].count(old) >= 2 or not daemon.feeder.running)
            gate.open()
        [job] = await daemon.ends(job_id)
        assert (job.state, job.error, job.attempt) == (State.DONE, None, 1)


@pytest.mark.parametrize(("low", "high"), [(3, 3), (1, 1), (1, 4)])
async def test_a_restart_brings_the_new_size(tmp_path: Path, low: int, high: int) -> None:
    async with rig(LEAKS, folder=tmp_path, ready=True, size=2) as daemon:
        await daemon.pools[0].restart(changed(daemon, min=low, max=high))
        count = max(low, min(2, high))
        await daemon.until(
            lambda: [(one.generation, one.state) for one in daemon.service.workers("p")] == [(2, "idle")] * count
        )
        view = daemon.service.pools("p")[0]
        assert (view.min, view.max, view.size) == (low, high, count)


async def test_a_failed_restart_brings_no_new_size(tmp_path: Path) -> None:
    async with rig(LEAKS, folder=tmp_path, ready=True, size=2) as daemon:
        with pytest.raises(RestartFailed):
            await daemon.pools[0].restart(changed(daemon, min=5, max=5, command=("/no/such/program",)))
        view = daemon.service.pools("p")[0]
        assert (view.min, view.max, view.size) == (2, 2, 2)


# -- a boot that fails once --------------------------------------------------------------------------------------------


async def test_a_place_that_comes_up_at_the_second_try_does_not_fail_the_restart(tmp_path: Path) -> None:
    """A port that is not free yet, a lock of the worker before."""
    flag = tmp_path / "tried"
    echo = " ".join(command("leaks", "--ready"))
    once = f'[ "$STOKER_SLOT" = 0 ] && [ ! -e {flag} ] && {{ touch {flag}; echo taken >&2; exit 6; }}; exec {echo}'
    async with rig(LEAKS, folder=tmp_path, ready=True, size=2) as daemon:
        restart = partial(daemon.pools[0].restart, changed(daemon, command=("sh", "-c", once)))
        assert await restart() == Restarted(generation=2, replaced=2)
        assert flag.exists()
        await daemon.until(
            lambda: (
                [(one.slot, one.generation, one.state) for one in daemon.service.workers("p")]
                == [(number, 2, "idle") for number in range(2)]
            )
        )
        assert (await daemon.run(None)).state is State.DONE


@pytest.mark.provokes("dies at boot", "never ready", program="by_file.py")
@pytest.mark.parametrize(
    ("release", "says"),
    [
        ({"exit": 4, "stderr": "no such model"}, "no such model"),
        ({"never": True}, "not ready within boot_timeout = 300ms"),
    ],
)
async def test_a_release_that_does_not_come_up_leaves_the_old_one_and_the_next_takes_over(
    tmp_path: Path, release: dict[str, object], says: str
) -> None:
    file = tmp_path / "release"
    place(file, {"name": "old", "ready": True})
    async with rig(command("by_file", str(file)), folder=tmp_path, ready=True, size=2) as daemon:
        await daemon.until(lambda: daemon.service.pools("p")[0].idle == 2)
        place(file, release)
        with pytest.raises(RestartFailed, match="the old workers serve on") as caught:
            await daemon.pools[0].restart(changed(daemon, boot_timeout=0.3))
        assert says in caught.value.message
        assert await name(daemon) == "old"
        place(file, {"name": "new", "ready": True})
        assert (await daemon.pools[0].restart()).replaced == 2
        assert await name(daemon) == "new"


def place(file: Path, release: dict[str, object]) -> None:
    beside = file.with_suffix(".new")
    beside.write_text(json.dumps(release))
    beside.rename(file)


async def name(daemon: Rig) -> str:
    return str(json.loads((await daemon.run(None)).result)["name"])
