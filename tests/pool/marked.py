"""A rig whose workers write down what they receive: the truth about a checkout is on their side of the pipe."""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from supervisor.config.model import PoolConfig
from supervisor.pool.feeder import Line
from tests.pool.rig import Rig, pool_config, rig
from tests.workers import Gate, command, marks

AHEAD = 600  # jobs: more than a look-ahead holds, so that some are in it and some behind it


def marked_pool(folder: Path, **changes: object) -> PoolConfig:
    return pool_config(command("marker"), folder, env=(("STOKER_TEST_FILE", str(side_file(folder))),), **changes)


@asynccontextmanager
async def marked(folder: Path, *pools: PoolConfig, **changes: object) -> AsyncIterator[Rig]:
    """Without `pools`: one, with `changes`."""
    async with rig(folder=folder, pools=pools or [marked_pool(folder, **changes)]) as daemon:
        yield daemon


def begun(folder: Path) -> list[str]:
    """The ids of the jobs that workers have received, in that order, once for each time."""
    return [mark.id for mark in marks(side_file(folder)) if mark.event == "begin"]


class Held:
    """Workers that are busy until `release`: whatever is submitted meanwhile waits."""

    def __init__(self, daemon: Rig, folder: Path, jobs: list[str], gate: Gate) -> None:
        self.jobs = jobs
        self._daemon = daemon
        self._folder = folder
        self._gate = gate

    def open(self) -> None:
        """They go on."""
        self._gate.open()

    async def release(self) -> None:
        """They are done when this returns, and with them everything that could have been checked out meanwhile has
        been, or is not going to be."""
        self.open()
        await self._daemon.ends(*self.jobs)
        self._gate.close()


@asynccontextmanager
async def hold_workers(daemon: Rig, folder: Path, queue: str = "q") -> AsyncIterator[Held]:
    """Every worker of the rig that serves `queue` has a job of that queue in hand."""
    size = sum(pool.config.max for pool in daemon.feeder.lines[queue].pools)
    with Gate(folder, f"hold-{os.urandom(4).hex()}") as gate:
        jobs = await daemon.submit(*[{"gate": gate.path}] * size, queue=queue)
        await daemon.until(lambda: set(jobs) <= set(begun(folder)))
        yield Held(daemon, folder, jobs, gate)
        gate.open()  # for those that a failing test has left waiting


async def prove_idle_pools_take_nothing(daemon: Rig, queue: str) -> None:
    """Send a job of another queue through every worker: had they anything else to take, they would have taken it."""
    line = daemon.feeder.lines[queue]
    for pool in line.pools:
        for _ in range(2 * pool.config.max):
            await daemon.ends(*await daemon.submit(*[None] * pool.config.max, queue=queue))


class NeverIdleBeside(trio.abc.Instrument):
    """Looks whenever the loop is about to sleep: `broken` has each time that a due job waited beside an idle worker."""

    def __init__(self, daemon: Rig) -> None:
        self.looks = 0
        self.broken: list[str] = []
        self._daemon = daemon

    def before_io_wait(self, timeout: float) -> None:
        if timeout <= 0:  # it does not sleep: something is to be done still
            return
        self.looks += 1
        for line in self._daemon.feeder.lines.values():
            if _waits(line) and any(pool.idle for pool in line.pools):
                self.broken.append(f"queue {line.name}: {len(line.ahead)} read ahead, complete: {line.ahead.complete}")


def _waits(line: Line) -> bool:
    """Jobs in the look-ahead, or behind it without anybody reading them."""
    return not line.paused and (len(line.ahead) > 0 or not (line.ahead.complete or line.reading))


@asynccontextmanager
async def watched(daemon: Rig) -> AsyncIterator[NeverIdleBeside]:
    watch = NeverIdleBeside(daemon)
    trio.lowlevel.add_instrument(watch)
    try:
        yield watch
    finally:
        trio.lowlevel.remove_instrument(watch)


async def together(*calls: Callable[[], object]) -> None:
    """All at once."""
    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(call)  # type: ignore[arg-type]


def in_claim_order(ids: Sequence[str], priorities: Sequence[int]) -> list[str]:
    ranked = sorted(range(len(ids)), key=lambda place: (-priorities[place], place))
    return [ids[place] for place in ranked]


def side_file(folder: Path) -> Path:
    return folder / "marks"
