"""stoker status, queues, pools and workers."""

from typing import Any

import click

from supervisor.cli import output
from supervisor.cli.connection import daemon
from supervisor.cli.options import json_option, place_options
from supervisor.cli.views import show_pools, show_queues, show_status, show_workers


@click.command()
@json_option
@place_options
def status(as_json: bool) -> None:
    """Show the daemon at a glance, and what is wrong."""
    with daemon() as client:
        view = client.status()
    if as_json:
        output.write_json(view)
    else:
        show_status(view)


@click.command()
@json_option
@place_options
@click.argument("queue", required=False)
def queues(queue: str | None, as_json: bool) -> None:
    """Show the queues, or one: what waits, runs, has ended."""
    with daemon() as client:
        _show(client.queues(queue), as_json, "queues")


@click.command()
@json_option
@place_options
@click.argument("pool", required=False)
def pools(pool: str | None, as_json: bool) -> None:
    """Show the pools, or one: their workers in numbers."""
    with daemon() as client:
        _show(client.pools(pool), as_json, "pools")


@click.command()
@json_option
@place_options
@click.argument("pool", required=False)
def workers(pool: str | None, as_json: bool) -> None:
    """Show the workers, or one pool's: process, state, job."""
    with daemon() as client:
        _show(client.workers(pool), as_json, "workers")


def _show(views: list[dict[str, Any]], as_json: bool, kind: str) -> None:
    if as_json:
        output.write_json({kind: views})
    else:
        {"queues": show_queues, "pools": show_pools, "workers": show_workers}[kind](views)
