"""Looking after what only time tells: how much memory the workers use, how old they are, how long they have idled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import trio

from supervisor.config.model import PoolConfig
from supervisor.pool import procfs
from supervisor.pool.child import Child
from supervisor.pool.life import Life
from supervisor.pool.reasons import out_of_memory

if TYPE_CHECKING:
    from supervisor.pool.pool import Pool

HARD = 0.25  # seconds between two looks where memory_limit is ours to enforce
YOUNG = 5.0  # seconds; a worker that has grown too large sooner, without a job, starts beyond its limit
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
            # Old workers live on by their own configuration while a restart lasts.
            configs = [self._pool.config, *(slot.life.config for slot in self._pool.slots if slot.life)]
            with trio.move_on_after(min(map(_period, configs))):
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
    config, cgroup = life.config, life.child.cgroup
    limit = None if cgroup is not None and cgroup.limited else config.memory_limit
    used = None
    if limit is not None or config.max_rss is not None:
        lowest = min(one for one in (limit, life.limits.rss) if one is not None) if limit or life.limits.rss else 0
        used = await trio.to_thread.run_sync(_used, life.child, lowest)
    await trio.lowlevel.checkpoint()
    if life.state == "ending":
        return
    if limit is not None and used is not None and used > limit:
        life.over_memory(out_of_memory(used, limit))
    elif life.ready.is_set() and (reason := life.past_limit(time.monotonic(), used)) is not None:
        if _starts_beyond(life, used):
            life.pool.misfit(life, f"the worker is to be replaced before it has done a job: {reason}")
        life.retire(reason)


def _starts_beyond(life: Life, used: int | None) -> bool:
    """Whether the next worker would be over the limit as soon. That is a fault of the configuration, where an age or
    idling for a time that is merely short is what somebody wants."""
    limits, started = life.limits, life.child.started
    too_large = limits.rss is not None and used is not None and used >= limits.rss
    too_slow = limits.age is not None and life.ready_at - started >= limits.age
    return not life.jobs_done and (too_slow or (too_large and time.monotonic() - life.ready_at < YOUNG))


def _used(child: Child, lowest: int) -> int | None:
    """Bytes of the child's tree; blocks. The cheap figure counts what processes share for each of them, so that one
    over the `lowest` limit is not believed."""
    if child.cgroup is not None and (used := child.cgroup.usage()) is not None:
        return used
    used = procfs.tree_rss(child.pid)
    return used if used is None or used <= lowest else procfs.tree_pss(child.pid)
