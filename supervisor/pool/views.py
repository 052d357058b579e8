"""A pool and its workers as clients see them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from protocol.control import PoolView, WorkerView
from supervisor.pool import procfs

if TYPE_CHECKING:
    from supervisor.pool.pool import Pool
    from supervisor.pool.slot import Slot


def pool_view(pool: Pool) -> PoolView:
    return PoolView(
        pool=pool.name,
        state=pool.state,
        reason=pool.health.reason,
        generation=pool.generation,
        restarting=pool.rolling is not None,
        size=sum(not slot.leaving for slot in pool.slots if slot not in pool.spares),
        min=pool.sizing.low,
        max=pool.sizing.high,
        idle=len(pool.idle),
        busy=sum(slot.run is not None for slot in pool.slots),
        spawned=pool.spawned,
        crashes=pool.crashes,
        recycled=pool.recycled,
        jobs_done=pool.jobs_done,
        queues=list(pool.config.queues),
        order=pool.config.order,
        shares=pool.sharing.views() if pool.sharing is not None else [],
    )


def worker_views(pool: Pool) -> list[WorkerView]:
    now = time.monotonic()
    return [_worker_view(slot, now) for slot in sorted(pool.slots, key=lambda slot: slot.number)]


def _worker_view(slot: Slot, now: float) -> WorkerView:
    life = slot.life
    return WorkerView(
        pool=slot.pool.name,
        slot=slot.number,
        generation=slot.generation,
        pid=life.child.pid if life else None,
        state=slot.state,
        job=slot.run.id if slot.run else None,
        jobs_done=life.jobs_done if life else 0,
        rss=procfs.tree_rss(life.child.pid) if life else None,
        age_secs=round(now - life.child.started, 3) if life else None,
    )
