"""When a worker is replaced as planned, always between jobs.

Each worker draws its limits once, when it starts, so that the workers of a pool that started together do not go
together.
"""

from collections.abc import Callable

import msgspec

from supervisor.config.model import PoolConfig
from supervisor.core.words import about_duration, about_size


class Limits(msgspec.Struct, frozen=True):
    """One worker's: jobs, seconds, seconds, bytes. None: no limit."""

    jobs: int | None = None
    age: float | None = None
    idle: float | None = None
    rss: int | None = None


def draw(config: PoolConfig, jitter: Callable[[], float]) -> Limits:
    """The limits of the next worker: those of the pool, each lowered by up to `recycle_jitter` and never raised.

    `jitter` gives numbers in [0, 1); it is asked once for each limit, or else workers that share one limit's luck
    would share all of it.
    """

    def lowered(limit: float) -> float:
        return limit * (1 - config.recycle_jitter * jitter())

    return Limits(
        jobs=None if config.max_jobs is None else max(1, round(lowered(config.max_jobs))),
        age=None if config.max_age is None else lowered(config.max_age),
        idle=None if config.max_idle is None else lowered(config.max_idle),
        rss=None if config.max_rss is None else round(lowered(config.max_rss)),
    )


def due(limits: Limits, *, jobs_done: int, age: float, idle: float, rss: int | None) -> str | None:
    """Why a worker that is between two jobs is to be replaced now, in words; None: it stays.

    `age` and `idle` are seconds (0 for one that is about to be given a job), `rss` is bytes, None when it is not known.
    """
    if limits.jobs is not None and jobs_done >= limits.jobs:
        return f"it has done {jobs_done} {'job' if jobs_done == 1 else 'jobs'} (max_jobs: {limits.jobs} for this one)"
    if limits.age is not None and age >= limits.age:
        return f"it is {about_duration(age)} old (max_age: {about_duration(limits.age)} for this one)"
    if limits.idle is not None and idle >= limits.idle:
        return f"it has been idle for {about_duration(idle)} (max_idle: {about_duration(limits.idle)} for this one)"
    if limits.rss is not None and rss is not None and rss >= limits.rss:
        return f"its memory is {about_size(rss)} (max_rss: {about_size(limits.rss)} for this one)"
    return None
