"""stoker check-config."""

from typing import TYPE_CHECKING, Any, TypeVar

import click

from supervisor.cli import output
from supervisor.cli.options import config_option, json_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisor.config.model import Config, PoolConfig

T = TypeVar("T")
SHOWN = (
    *("command", "queues", "order", "channel", "ready", "user", "group", "clear_env"),
    *("max_jobs", "max_age", "max_idle", "max_rss", "memory_limit"),
)


@click.command("check-config")
@config_option
@json_option
def check_config(as_json: bool) -> None:
    """Check the configuration; name every problem."""
    from supervisor.cli import configuration
    from supervisor.cli.failures import say

    config = configuration.read(configuration.find())
    served = {name for pool in config.pools for name in pool.queues}
    unserved = [queue.name for queue in config.queues if queue.name not in served]
    if as_json:
        output.write_json({**_summary(config), "unserved": unserved})
        return
    output.write(f"{config.source}: ok")
    for pool in config.pools:
        output.write(f"  pool {pool.name}: {_workers(pool)} of {' '.join(pool.command)}, for {', '.join(pool.queues)}")
        for detail in _details(pool):
            output.write(f"    {detail}")
    output.write(f"  socket {config.daemon.socket}")
    output.write(f"  state in {config.daemon.state_dir}, store {config.store.url}")
    for owner, credential in _credentials(config):
        say(f"pool {owner}: {credential} was not looked for: it is the service's alone (LoadCredential= in its unit)")
    for name in unserved:
        say(f"queue {name} is in no pool's queues: it accepts jobs, and nothing runs them")


def _credentials(config: "Config") -> list[tuple[str, str]]:
    """Those that are out of sight here, each with its pool."""
    from supervisor.config.credentials import is_credential

    return [(pool.name, str(file)) for pool in config.pools for file in pool.env_files if is_credential(str(file))]


def _workers(pool: "PoolConfig") -> str:
    from supervisor.config.quantities import format_range

    return f"{format_range(pool.min, pool.max)} {'worker' if pool.min == pool.max == 1 else 'workers'}"


def _details(pool: "PoolConfig") -> list[str]:
    """What differs from a plain pool. Of the environment the names alone: values are secrets."""
    parts = (_shares(pool), _account(pool), _talk(pool), _environment(pool), _limits(pool))
    return [", ".join(part) for part in parts if part]


def _shares(pool: "PoolConfig") -> list[str]:
    strict = ["its queues in strict order"] if pool.order == "strict" else []
    weights = [f"{queue} with weight {weight}" for queue, weight in pool.weight]
    return strict + weights + [f"{reserve} reserved for {queue}" for queue, reserve in pool.reserve]


def _account(pool: "PoolConfig") -> list[str]:
    return [f"{what} {name}" for what, name in (("user", pool.user), ("group", pool.group)) if name is not None]


def _talk(pool: "PoolConfig") -> list[str]:
    from supervisor.config.quantities import format_duration

    channel = ["requests on file descriptor 3, replies on 4"] if pool.channel == "fd" else []
    return channel + ([f"ready within {format_duration(pool.boot_timeout)}"] if pool.ready else [])


def _environment(pool: "PoolConfig") -> list[str]:
    clear = ["without the daemon's variables"] if pool.clear_env else []
    names = [f"variables {' '.join(name for name, _ in pool.env)}"] if pool.env else []
    return clear + names + [f"variables of {file}" for file in pool.env_files]


def _limits(pool: "PoolConfig") -> list[str]:
    from supervisor.config.quantities import format_duration, format_size

    def each(value: "T | None", say: "Callable[[T], str]") -> list[str]:
        return [] if value is None else [say(value)]

    ends = [
        *each(pool.max_jobs, "{} jobs".format),
        *each(pool.max_age, lambda age: f"an age of {format_duration(age)}"),
        *each(pool.max_idle, lambda idle: f"{format_duration(idle)} without a job"),
        *each(pool.max_rss, lambda rss: f"{format_size(rss)} of memory"),
    ]
    killed = each(pool.memory_limit, lambda limit: f"killed over {format_size(limit)}")
    return ([f"replaced after {' or '.join(ends)}"] if ends else []) + killed


def _summary(config: "Config") -> dict[str, Any]:
    return {
        "config": str(config.source),
        "socket": str(config.daemon.socket),
        "state_dir": str(config.daemon.state_dir),
        "store": config.store.url,
        "pools": [_pool(pool) for pool in config.pools],
        "queues": [queue.name for queue in config.queues],
    }


def _pool(pool: "PoolConfig") -> dict[str, Any]:
    """Named as the file's keys; `env` is a list of names."""
    return {
        "pool": pool.name,
        "min": pool.min,
        "max": pool.max,
        **{key: getattr(pool, key) for key in SHOWN},
        "weight": dict(pool.weight),
        "reserve": dict(pool.reserve),
        "cwd": str(pool.cwd),
        "env": [name for name, _ in pool.env],
        "env_file": [str(file) for file in pool.env_files],
    }
