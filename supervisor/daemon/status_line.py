"""The daemon in one line, for `systemctl status`."""

from collections.abc import Collection

from protocol.control import PoolView


def serving(pools: Collection[PoolView], running: int, pending: int | None, troubles: Collection[str]) -> str:
    """`pending`: None where it is not known. `troubles` follow, those of the pools first."""
    workers, size = sum(_workers(pool) for pool in pools), sum(pool.size for pool in pools)
    parts = [_counted(len(pools), "pool"), f"{workers}/{size} workers", f"{running} running"]
    parts += [] if pending is None else [f"{pending} pending"]
    degraded = [pool.pool for pool in pools if pool.state == "degraded"]
    told = [f"degraded: {', '.join(degraded)}"] if degraded else []
    return "; ".join([", ".join(parts), *told, *troubles])


def stopping(pools: Collection[PoolView], running: int, left: float) -> str:
    """`left`: seconds of the drain, 0 once it is over."""
    if running and left > 0:
        return f"stopping: {running} running, {left:.0f} s left"
    workers = sum(_workers(pool) for pool in pools)
    return f"stopping: ending {_counted(workers, 'worker')}" if workers else "stopping"


def _workers(pool: PoolView) -> int:
    return pool.idle + pool.busy


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
