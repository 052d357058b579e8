"""stoker check-config."""

from typing import TYPE_CHECKING, Any

import click

from supervisor.cli import output
from supervisor.cli.options import config_option, json_option

if TYPE_CHECKING:
    from supervisor.config.model import Config


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
        workers = "1 worker" if pool.max == 1 else f"{pool.max} workers"
        output.write(f"  pool {pool.name}: {workers} of {' '.join(pool.command)}, for {', '.join(pool.queues)}")
    output.write(f"  socket {config.daemon.socket}")
    output.write(f"  state in {config.daemon.state_dir}, store {config.store.url}")
    for name in unserved:
        say(f"queue {name} is in no pool's queues: it accepts jobs, and nothing runs them")


def _summary(config: "Config") -> dict[str, Any]:
    return {
        "config": str(config.source),
        "socket": str(config.daemon.socket),
        "state_dir": str(config.daemon.state_dir),
        "store": config.store.url,
        "pools": [
            {"pool": pool.name, "size": pool.max, "command": pool.command, "queues": pool.queues}
            for pool in config.pools
        ],
        "queues": [queue.name for queue in config.queues],
    }
