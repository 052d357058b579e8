"""stoker batch list and get."""

import sys
from typing import Any

import click

from supervisor.cli import output
from supervisor.cli.batch_page import STATES, show_batch, show_batches
from supervisor.cli.connection import daemon
from supervisor.cli.options import given_filter, id_type, json_option, place_options


@click.command("list")
@click.option("--queue", metavar="NAME", help="Of this queue.")
@click.option("--state", type=click.Choice(STATES), multiple=True, help="May be given several times.")
@click.option("--limit", type=click.IntRange(1, 200), default=50, metavar="N", help="At most 200; 50 unless said.")
@click.option("--cursor", metavar="TEXT", help="The next page, as the page before told.")
@json_option
@place_options
def list_batches(as_json: bool, **filters: Any) -> None:
    """Show batches, the newest first."""
    with daemon() as client:
        page = client.batch_list(**given_filter(filters))
        if not page["batches"] and filters["queue"] is not None and not as_json:
            client.queues(filters["queue"])  # a misspelled queue is refused here, and the known ones are named
    if as_json:
        output.write_json(page)
        return
    if page["batches"]:
        show_batches(page["batches"])
    output.flush()
    if page["next"] is not None:
        print(f"{len(page['batches'])} of {page['total']}; the next page: --cursor {page['next']}", file=sys.stderr)
    elif not page["batches"]:
        print("no batches", file=sys.stderr)


@click.command()
@json_option
@place_options
@click.argument("batch_id", metavar="ID", type=id_type)
def get(batch_id: str, as_json: bool) -> None:
    """Show a batch: how far it is, and where its files are."""
    with daemon() as client:
        batch = client.batch_get(batch_id)
    if as_json:
        output.write_json(batch)
    else:
        show_batch(batch)
