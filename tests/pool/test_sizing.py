"""How many workers a pool has: elastic pools, and `resize`."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import State
from supervisor.pool.pool import Pool
from tests.pool.rig import Rig, python, rig
from tests.workers import Gate, command

SLOTS = python(
    "import json, os, sys",
    "for line in sys.stdin:",
    "    gate = json.loads(line)['payload']",
    "    gate and open(gate)",
    "    print(json.dumps({'status': 'ok', 'result': os.environ['STOKER_SLOT']}), flush=True)",
)
ELASTIC: dict[str, Any] = {"min": 1, "max": 4, "grow_after": 0.02, "shrink_after": 0.1}


def numbers(daemon: Rig) -> list[int]:
    return sorted(slot.number for slot in daemon.pools[0].slots)


def staying(daemon: Rig) -> list[int]:
    return sorted(slot.number for slot in daemon.pools[0].slots if not slot.leaving)


def events(logs: Sequence[Any], name: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == name]


@pytest.mark.provokes("min", "max", "grow_after", "shrink_after")
async def test_an_elastic_pool_grows_to_its_cap_while_jobs_wait_and_shrinks_when_they_are_done(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    with structlog.testing.capture_logs() as logs:
        async with rig(SLOTS, folder=tmp_path, **ELASTIC) as daemon:
            assert numbers(daemon) == [0]
            ids = await daemon.submit(*[gate.path] * 20)
            await daemon.until(lambda: daemon.service.pools("p")[0].busy == 4)
            assert numbers(daemon) == [0, 1, 2, 3]
            gate.open()
            assert {job.state for job in await daemon.ends(*ids)} == {State.DONE}
            await daemon.until(lambda: len(numbers(daemon)) == 1)
            pool = daemon.service.pools("p")[0]
            assert (pool.size, pool.min, pool.max, pool.crashes, pool.recycled) == (1, 1, 4, 0, 0)
    assert [entry["size"] for entry in events(logs, "pool_grown")][-1] == 4
    assert [entry["size"] for entry in events(logs, "pool_shrunk")] == [3, 2, 1]
    assert all("wait" in entry["reason"] for entry in events(logs, "pool_grown"))
    assert all("idle" in entry["reason"] for entry in events(logs, "pool_shrunk"))


@pytest.mark.provokes("min", "max", "grow_after", "ready", program="slow_boot.py")
async def test_workers_that_are_booting_count_when_a_pool_grows(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    settings = {"min": 0, "max": 8, "grow_after": 0.0, "shrink_after": 3600.0}
    async with rig(command("slow_boot", gate.path, "--ready"), folder=tmp_path, ready=True, **settings) as daemon:
        looks = looks_at_what_waits(daemon)
        ids = await daemon.submit(1, 2, 3)
        await daemon.until(lambda: len(numbers(daemon)) >= 3)
        before = len(looks)
        await daemon.until(lambda: len(looks) >= before + 5)
        assert numbers(daemon) == [0, 1, 2]
        gate.open()
        assert {job.state for job in await daemon.ends(*ids)} == {State.DONE}
        assert daemon.pools[0].spawned == 3


def looks_at_what_waits(daemon: Rig) -> list[int]:
    """How many jobs waited, each time the pool asked how large it should be."""
    looks: list[int] = []
    waiting = daemon.feeder.waiting

    def asked(pool: Pool) -> int:
        looks.append(waiting(pool))
        return looks[-1]

    daemon.feeder.waiting = asked  # type: ignore[method-assign]
    return looks


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.provokes("shrink_after", program="allocates.py")
async def test_the_worker_that_has_been_idle_for_longest_is_the_one_to_go(
    tmp_path: Path, order: tuple[int, int]
) -> None:
    gates = [Gate(tmp_path, "first"), Gate(tmp_path, "second")]
    settings = {"min": 1, "max": 2, "grow_after": 0.0, "shrink_after": 0.3}
    async with rig(command("allocates"), folder=tmp_path, **settings) as daemon:
        ids = await daemon.submit(*[{"mb": 1, "gate": gate.path} for gate in gates])
        await daemon.until(lambda: daemon.service.pools("p")[0].busy == 2)
        runs = {slot.number: ids.index(slot.run.id) for slot in daemon.pools[0].slots}
        for number in order:
            gates[runs[number]].open()
            await daemon.ends(ids[runs[number]])
        await daemon.until(lambda: len(numbers(daemon)) == 1)
        assert numbers(daemon) == [order[-1]]


async def test_an_elastic_pool_never_has_more_workers_than_its_cap(tmp_path: Path) -> None:
    async with rig(SLOTS, folder=tmp_path, **{**ELASTIC, "grow_after": 0.0, "shrink_after": 0.0}) as daemon:
        most = 0
        for _ in range(10):
            ids = await daemon.submit(*[None] * 200)
            most = max(most, len(daemon.pools[0].slots))
            await daemon.ends(*ids)
            most = max(most, len(daemon.pools[0].slots))
        assert most <= 4


async def test_a_pool_of_no_workers_starts_one_for_the_first_job_and_lets_it_go(tmp_path: Path) -> None:
    async with rig(SLOTS, folder=tmp_path, **{**ELASTIC, "min": 0}) as daemon:
        assert numbers(daemon) == []
        assert daemon.service.pools("p")[0].state == "ready"
        assert (await daemon.run(None)).state is State.DONE
        await daemon.until(lambda: numbers(daemon) == [])


async def test_a_pool_does_not_grow_while_its_program_does_not_start(tmp_path: Path) -> None:
    async with rig(["/no/such/program"], folder=tmp_path, **ELASTIC) as daemon:
        await daemon.submit(*[None] * 50)
        await daemon.until(lambda: daemon.pools[0].health.failures(0) >= 2)
        assert numbers(daemon) == [0]


async def test_a_paused_queue_makes_no_pool_grow(tmp_path: Path) -> None:
    async with rig(SLOTS, folder=tmp_path, **ELASTIC) as daemon:
        await daemon.service.pause("q")
        ids = await daemon.submit(*[None] * 50)
        assert daemon.feeder.waiting(daemon.pools[0]) == 0
        await daemon.service.resume("q")
        await daemon.ends(*ids)


async def test_a_resize_up_takes_effect_at_once_with_the_lowest_numbers(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    async with rig(SLOTS, folder=tmp_path, size=1) as daemon:
        ids = await daemon.submit(*[gate.path] * 3)
        daemon.pools[0].resize(3, 3)
        await daemon.until(lambda: daemon.service.pools("p")[0].busy == 3)
        gate.open()
        assert {bytes(job.result) for job in await daemon.ends(*ids)} == {b'"0"', b'"1"', b'"2"'}
        view = daemon.service.pools("p")[0]
        assert (view.size, view.min, view.max) == (3, 3, 3)


async def test_a_resize_down_interrupts_no_job_and_leaves_the_lowest_numbers(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    async with rig(SLOTS, folder=tmp_path, size=4) as daemon:
        ids = await daemon.submit(*[gate.path] * 4)
        await daemon.until(lambda: daemon.service.pools("p")[0].busy == 4)
        daemon.pools[0].resize(2, 2)
        assert staying(daemon) == [0, 1]
        assert daemon.service.pools("p")[0].size == 2
        assert daemon.service.pools("p")[0].busy == 4  # until their jobs are done
        gate.open()
        jobs = await daemon.ends(*ids)
        assert {(job.state, job.attempt, job.charged) for job in jobs} == {(State.DONE, 1, 0)}
        await daemon.until(lambda: numbers(daemon) == [0, 1])


async def test_down_and_up_again_while_jobs_run_is_no_change_and_never_over_the_cap(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    async with rig(SLOTS, folder=tmp_path, size=4) as daemon:
        ids = await daemon.submit(*[gate.path] * 4)
        await daemon.until(lambda: daemon.service.pools("p")[0].busy == 4)
        pids = {slot.child.pid for slot in daemon.pools[0].slots}
        daemon.pools[0].resize(1, 1)
        daemon.pools[0].resize(4, 4)
        assert numbers(daemon) == [0, 1, 2, 3]
        gate.open()
        await daemon.ends(*ids)
        assert {slot.child.pid for slot in daemon.pools[0].slots} == pids


async def test_a_resize_to_nothing_keeps_the_jobs_and_back_up_runs_them(tmp_path: Path) -> None:
    async with rig(SLOTS, folder=tmp_path, size=2) as daemon:
        daemon.pools[0].resize(0, 0)
        await daemon.until(lambda: numbers(daemon) == [])
        [job_id] = await daemon.submit(None)
        assert (await daemon.service.get(job_id)).state is State.PENDING
        daemon.pools[0].resize(1, 1)
        assert (await daemon.ends(job_id))[0].state is State.DONE


async def test_a_worker_that_was_to_go_and_waits_out_its_failures_goes_at_once(tmp_path: Path) -> None:
    queue = QueueConfig(name="q", max_attempts=1, backoff=Backoff(base=0.01))
    async with rig(command("boots_badly", str(tmp_path / "never")), folder=tmp_path, size=3, queue=queue) as daemon:
        await daemon.until(lambda: daemon.pools[0].health.failures(0) >= 5)  # pauses of seconds
        daemon.pools[0].resize(1, 1)
        await daemon.until(lambda: len(numbers(daemon)) == 1)


async def test_no_worker_is_left_when_the_pool_stops_while_it_grows(tmp_path: Path) -> None:
    async with rig(SLOTS, folder=tmp_path, **{**ELASTIC, "max": 16, "grow_after": 0.0}) as daemon:
        await daemon.submit(*[None] * 1000)
        await daemon.until(lambda: len(numbers(daemon)) > 2)
    left = [pid for pid in os.listdir("/proc") if pid.isdigit() and _marked(pid, daemon.remains.instance)]
    assert left == []


def _marked(pid: str, instance: str) -> bool:
    try:
        return f"STOKER_INSTANCE={instance}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
