"""While a worker is being started the loop goes on, and what it decides meanwhile holds for that worker too."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from supervisor.config.model import PoolConfig
from supervisor.pool import launcher as launching
from supervisor.pool import procfs
from supervisor.pool.child import Child
from supervisor.pool.launcher import Launcher
from tests.pool.rig import Rig, pool_config, rig
from tests.workers import command


class Gated(Launcher):
    """The starts of the pool `p` wait, until `open`; `waiting` is how many do."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig.remains, os.environ)
        self.open = trio.Event()
        self.waiting = 0
        self.started: list[int] = []

    async def start(self, config: PoolConfig, slot: int) -> Child:
        if config.name == "p":
            self.waiting += 1
            with trio.CancelScope(shield=True):
                await self.open.wait()
            self.waiting -= 1
        child = await super().start(config, slot)
        self.started.append(child.pid)
        return child


def gated(daemon: Rig) -> Gated:
    """From the next start on."""
    made = Gated(daemon)
    for pool in daemon.pools:
        pool.launcher = made
    return made


async def start_another(daemon: Rig) -> Gated:
    """The rig's one worker has gone, and the start of the next one waits."""
    gate = gated(daemon)
    daemon.slot.replace("the test wants it")
    await daemon.until(lambda: gate.waiting)
    return gate


async def test_other_pools_work_while_the_start_of_a_worker_takes_its_time(tmp_path: Path) -> None:
    pools = [pool_config(command("echo"), tmp_path, name=name, queues=(f"q{name}",)) for name in ("p", "other")]
    async with rig(folder=tmp_path, pools=pools) as daemon:
        gate = await start_another(daemon)
        [job] = await daemon.ends(*await daemon.submit("here", queue="qother"))
        assert (job.state.value, daemon.pools[0].workers()[0].state) == ("done", "starting")
        gate.open.set()


async def test_a_worker_that_was_being_started_at_the_stop_is_not_left(tmp_path: Path) -> None:
    async with rig(command("ignores_term"), folder=tmp_path, kill_grace=60.0) as daemon:
        gate = gated(daemon)
        daemon.pools[0].kill()
        await daemon.until(lambda: gate.waiting)
        daemon.pools[0].stop()
        gate.open.set()
    [pid] = gate.started
    assert procfs.stat(pid) is None


async def test_a_place_that_is_given_up_while_its_worker_is_being_started_has_none_in_the_end(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        gate = await start_another(daemon)
        daemon.pools[0].resize(0, 0)
        gate.open.set()
        await daemon.until(lambda: not daemon.pools[0].slots)
        [pid] = gate.started
        assert procfs.stat(pid) is None
        assert daemon.pools[0].crashes == 0


async def test_a_worker_of_the_old_program_that_was_being_started_at_a_restart_is_replaced_too(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path, size=2) as daemon:
        pool = daemon.pools[0]
        gate = await start_another(daemon)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.restart)
            await daemon.until(lambda: pool.rolling is not None)
            gate.open.set()
        await daemon.until(lambda: pool.view().idle == 2 and not pool.spares)
        assert [slot.generation for slot in pool.slots] == [2, 2]


async def test_an_end_on_request_while_it_was_being_started_is_nobodys_failure(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        gate = await start_another(daemon)
        daemon.slot.replace("once more")
        gate.open.set()
        await daemon.until(lambda: len(gate.started) == 2 and daemon.pools[0].idle)
        assert (daemon.pools[0].crashes, daemon.pools[0].state) == (0, "ready")


async def test_what_is_left_of_a_worker_is_cleared_away(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        assert len(os.listdir(tmp_path / "children")) == 1
        before = os.listdir(tmp_path / "children")
        daemon.slot.replace("the test wants it")
        await daemon.until(lambda: daemon.pools[0].spawned == 2 and daemon.pools[0].idle)
        assert len(os.listdir(tmp_path / "children")) == 1
        assert os.listdir(tmp_path / "children") != before
    assert os.listdir(tmp_path / "children") == []


async def test_without_a_thread_to_start_workers_the_pool_says_so_and_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> Callable[[], None]:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as broken:
        broken.setattr(launching._PARENT, "submit", none)
        async with rig(command("echo"), folder=tmp_path) as daemon:
            pool = daemon.pools[0]
            await daemon.until(lambda: pool.health.reason)
            assert "can't start new thread" in (pool.health.reason or "")
            broken.undo()
            await daemon.until(lambda: pool.state == "ready")
