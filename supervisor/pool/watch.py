"""Looking after what only time tells: how much memory the workers use, how old they are, how long they have idled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from supervisor.config.model import PoolConfig
from supervisor.core.blame import Why
from supervisor.pool import procfs
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
                    _look(slot.life)
                await trio.lowlevel.checkpoint()  # of a thousand workers


def _period(config: PoolConfig) -> float:
    if config.memory_limit is not None:
        return HARD
    limits = (config.max_age, config.max_idle, config.max_rss)
    return SOFT if any(limit is not None for limit in limits) else float("inf")


def _look(life: Life) -> None:
    config, cgroup = life.config, life.child.cgroup
    if life.state == "ending":
        return
    ours = config.memory_limit is not None and not (cgroup is not None and cgroup.limited)
    rss = procfs.tree_rss(life.child.pid) if ours or config.max_rss is not None else None
    if ours and rss is not None and config.memory_limit is not None and rss > config.memory_limit:
        life.end(Why.OOM, out_of_memory(rss, config.memory_limit))
        return
    reason = life.past_limit(time.monotonic(), rss)
    if reason is not None:
        life.retire(reason)
