"""Looking after what only time tells: how much memory the workers use, how old they are, how long they have idled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from supervisor.config.model import PoolConfig
from supervisor.core.blame import Why
from supervisor.pool import procfs
from supervisor.pool.child import Child
from supervisor.pool.life import Life, out_of_memory

if TYPE_CHECKING:
    from supervisor.pool.pool import Pool

HARD = 0.25  # seconds between two looks where memory_limit is ours to enforce
SOFT = 1.0  # where a worker only is to be replaced some day


class Watch:
    """One for each pool; it sleeps where there is nothing to look after."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._news = trio.Event()

    def poke(self) -> None:
        """The pool's configuration has changed."""
        self._news.set()

    async def run(self) -> None:
        while True:
            with trio.move_on_after(_period(self._pool.config)):
                await self._news.wait()
            self._news = trio.Event()
            for slot in list(self._pool.slots):
                if slot.life is not None:
                    await _look(slot.life)


def _period(config: PoolConfig) -> float:
    if config.memory_limit is not None:
        return HARD
    limits = (config.max_age, config.max_idle, config.max_rss)
    return SOFT if any(limit is not None for limit in limits) else float("inf")


async def _look(life: Life) -> None:
    """Always a checkpoint: there may be a thousand workers."""
    await trio.lowlevel.checkpoint()
    config, cgroup = life.config, life.child.cgroup
    limit = None if cgroup is not None and cgroup.limited else config.memory_limit
    rss = _used(life.child) if limit is not None or config.max_rss is not None else None
    if limit is not None and rss is not None and rss > limit:
        # The cheap figure counts what the processes share for each of them.
        used = await trio.to_thread.run_sync(procfs.tree_pss, life.child.pid)
        if used is not None and used > limit and life.state != "ending":
            life.end(Why.OOM, out_of_memory(used, limit))
    if life.state != "ending" and (reason := life.past_limit(time.monotonic(), rss)) is not None:
        life.retire(reason)


def _used(child: Child) -> int | None:
    """By the child's tree, as cheaply as it can be had."""
    if child.cgroup is not None and (used := child.cgroup.usage()) is not None:
        return used
    return procfs.tree_rss(child.pid)
