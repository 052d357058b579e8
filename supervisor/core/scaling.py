"""How many workers an elastic pool has.

It grows when jobs wait although every worker is busy, doubling, so that a step in the load is met in a few steps; it
shrinks one worker at a time when the load has been gone for long. Between the two lies `shrink_after`: a load that
comes and goes faster does not make workers come and go.
"""

from math import inf

import msgspec

from supervisor.config.model import PoolConfig
from supervisor.config.quantities import format_duration
from supervisor.core.words import about_duration

SHRINK_PACE = 1.0  # seconds between two workers of a shrinking pool, at most


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What a pool is like now.

    `size`: workers there are, until they are gone, of which `starting` have not come up, `idle` wait for a job and
    `leaving` have been told to go. `idle_for`: seconds for which the longest-idle one has been idle. `waiting`: due
    jobs that no worker has taken; `waited`: seconds for which some job has been waiting without a break.
    `settled_for`: seconds since workers were last added or told to go. `degraded`: none can be started at the moment.
    """

    size: int
    starting: int
    idle: int
    idle_for: float
    waiting: int
    waited: float
    settled_for: float
    leaving: int = 0
    degraded: bool = False


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """How many workers to add or to take away now, and why in words; then to look again when something has happened,
    or after `again` seconds at the latest."""

    grow: int = 0
    shrink: int = 0
    reason: str = ""
    again: float = inf


STAY = Step()


def scale(load: Load, config: PoolConfig, low: int, high: int) -> Step:
    """What to do about the size of a pool that is to have `low` to `high` workers.

    Caps are exact: never more than `high`, those that are still leaving included, and never fewer than `low` that
    stay. Where `low` or `high` have been moved past the size, it follows at once.
    """
    staying = load.size - load.leaving
    if staying > high:
        return Step(shrink=staying - high, reason=f"{_workers(staying)} are more than {_cap('max', low, high)}")
    if staying < low:
        grow = min(low - staying, high - load.size)
        reason = f"{_workers(staying)} {'is' if staying == 1 else 'are'} fewer than {_cap('min', low, high)}"
        return Step(grow=grow, reason=reason) if grow > 0 else STAY
    if load.waiting:
        return _grow(load, config, staying, high)
    return _shrink(load, config, staying, low)


def _grow(load: Load, config: PoolConfig, staying: int, high: int) -> Step:
    room, missing = high - load.size, load.waiting - load.starting
    # Jobs that wait beside an idle worker wait for something else, which more workers would not give them.
    if room <= 0 or missing <= 0 or load.idle:
        return STAY
    if staying == 0:
        return Step(grow=1, reason=f"{_jobs(load.waiting)}, and there is no worker", again=config.grow_after)
    if load.degraded:
        return STAY
    early = config.grow_after - min(load.waited, load.settled_for)
    if early > 0:
        return Step(again=early)
    grow = min(missing, room, max(1, staying - load.starting))
    why = f"for {about_duration(load.waited)} now (grow_after = {format_duration(config.grow_after)})"
    return Step(grow=grow, reason=f"{_jobs(load.waiting)}, {why}", again=config.grow_after if grow < room else inf)


def _shrink(load: Load, config: PoolConfig, staying: int, low: int) -> Step:
    if staying <= low or not load.idle or load.leaving:
        return STAY
    # After a growth, which happens only while nobody is idle, this takes shrink_after from then on.
    pace = min(SHRINK_PACE, config.shrink_after)
    early = max(config.shrink_after - load.idle_for, pace - load.settled_for)
    if early > 0:
        return Step(again=early)
    why = f"idle for {about_duration(load.idle_for)} (shrink_after = {format_duration(config.shrink_after)})"
    return Step(shrink=1, reason=f"a worker has been {why}", again=pace)


def _cap(key: str, low: int, high: int) -> str:
    return f"size = {high}" if low == high else f"{key} = {low if key == 'min' else high}"


def _workers(count: int) -> str:
    return f"{count} worker" if count == 1 else f"{count} workers"


def _jobs(count: int) -> str:
    return "1 job waits" if count == 1 else f"{count} jobs wait"
