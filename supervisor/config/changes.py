"""What a new configuration changes in the one that is in force, and what of it a running daemon can take on."""

from collections.abc import Iterable
from typing import Any

import msgspec

from supervisor.config.model import Config, PoolConfig, QueueConfig

# Everything else of a pool is its workers' own: they have it from their start to their end.
LIVE_IN_POOLS = frozenset(
    ("min", "max", "grow_after", "shrink_after", "queues", "order", "weight", "reserve", "timeout")
)
# What is not named here needs a new start. So does a section that is new here, until somebody has made it live.
LIVE_IN_DAEMON = frozenset(
    (
        *("drain_timeout", "log_level", "log_jobs"),
        *("max_connections", "max_outstanding", "max_line", "max_jobs", "disk_reserve"),
    )
)
LIVE_IN_STORE = frozenset(("events_max_age", "events_max_count"))
_SECTIONS = {"daemon": LIVE_IN_DAEMON, "store": LIVE_IN_STORE}
_LIVE_SECTIONS = frozenset(("access", "retention", "batches"))
_BY_NAME = ("source", "pools", "queues")


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Names in the order of the new file, of what is removed in that of the old one. A pool whose workers must be
    replaced is in `pools_restarted`, any other that is not as it was in `pools_changed`. `settings` and `need_start`
    are key paths: those that change at once, and those that a running daemon cannot change."""

    pools_added: tuple[str, ...] = ()
    pools_removed: tuple[str, ...] = ()
    pools_restarted: tuple[str, ...] = ()
    pools_changed: tuple[str, ...] = ()
    queues_added: tuple[str, ...] = ()
    queues_removed: tuple[str, ...] = ()
    queues_changed: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    need_start: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(self))


def compare(old: Config, new: Config) -> Changes:
    """What is to be done to a daemon with `old` for it to be one with `new`."""
    pools, were = _by_name(new.pools), _by_name(old.pools)
    both = [name for name in pools if name in were]
    restarted = tuple(name for name in both if needs_new_workers(were[name], pools[name]))
    queues, queues_were = _by_name(new.queues), _by_name(old.queues)
    settings, need_start = _settings(old, new)
    return Changes(
        pools_added=tuple(name for name in pools if name not in were),
        pools_removed=tuple(name for name in were if name not in pools),
        pools_restarted=restarted,
        pools_changed=tuple(name for name in both if name not in restarted and pools[name] != were[name]),
        queues_added=tuple(name for name in queues if name not in queues_were),
        queues_removed=tuple(name for name in queues_were if name not in queues),
        queues_changed=tuple(name for name in queues if name in queues_were and queues[name] != queues_were[name]),
        settings=settings,
        need_start=need_start,
    )


def needs_new_workers(old: PoolConfig, new: PoolConfig) -> bool:
    """Whether workers that were started with `old` are not those of `new`."""
    return any(name not in LIVE_IN_POOLS for name in _differing(old, new))


def _settings(old: Config, new: Config) -> tuple[tuple[str, ...], tuple[str, ...]]:
    live: list[str] = []
    need_start: list[str] = []
    for section in _differing(old, new):
        if section in _BY_NAME:
            continue
        keys = _differing(getattr(old, section), getattr(new, section))
        for key in keys or [""]:
            at_once = section in _LIVE_SECTIONS or key in _SECTIONS.get(section, ())
            (live if at_once else need_start).append(f"{section}.{key}" if key else section)
    return tuple(live), tuple(need_start)


def _differing(old: Any, new: Any) -> list[str]:
    """The fields in which two structs of one kind differ."""
    if not isinstance(old, msgspec.Struct) or type(old) is not type(new):
        return []
    return [name for name in old.__struct_fields__ if getattr(old, name) != getattr(new, name)]


def _by_name(these: Iterable[Any]) -> dict[str, Any]:
    return {one.name: one for one in these}


def keyed(queues: Iterable[QueueConfig]) -> set[str]:
    """The names of those that limit keys."""
    return {queue.name for queue in queues if queue.keyed}
