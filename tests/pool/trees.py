"""Workers that are more than one process, without a pool around them."""

import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trio

from supervisor.core.blame import Why
from supervisor.pool.cgroups import Cgroup
from supervisor.pool.child import Child
from supervisor.pool.ending import end_tree
from supervisor.pool.launch import launch
from tests.pool.rig import pool_config

Start = Callable[[Sequence[str], Cgroup | None], Child]


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """`start(argv, cgroup)`: a program that waits for a line before it does anything, and is in its cgroup when it gets
    it; ended with the block."""
    children: list[Child] = []

    def start(argv: Sequence[str], cgroup: Cgroup | None) -> Child:
        config = pool_config(argv, folder)
        child = launch(config, 0, instance=os.urandom(6).hex(), environ=dict(os.environ), cgroup=cgroup)
        children.append(child)
        if cgroup is not None:
            cgroup.attach(child.pid)
            child.cgroup = cgroup
        child.write(b"go\n")
        return child

    try:
        yield start
    finally:
        for child in children:
            child.signal(signal.SIGKILL)
            child.reap()


async def ended(
    child: Child, why: Why, kill_grace: float, meanwhile: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint
) -> float:
    """End its tree, and do `meanwhile` beside it; seconds that it took."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.watch)
        nursery.start_soon(end_tree, child, why, kill_grace)
        nursery.start_soon(meanwhile)
    return trio.current_time() - began


def programs(pids: Iterable[int]) -> list[str]:
    """The names of what runs as these processes, sorted; of those that have gone meanwhile, none."""
    names = []
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            names.append(Path(f"/proc/{pid}/comm").read_text().strip())
    return sorted(names)
