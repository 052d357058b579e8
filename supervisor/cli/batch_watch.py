"""stoker batch watch."""

import click

from supervisor.cli import output
from supervisor.cli.batch_page import ending
from supervisor.cli.batch_watching import watch_batch
from supervisor.cli.connection import daemon
from supervisor.cli.options import id_type, json_option, place_options


@click.command()
@json_option
@place_options
@click.argument("batch_id", metavar="ID", type=id_type)
def watch(batch_id: str, as_json: bool) -> None:
    """Show how far a batch is, until it has ended.

    Exit 0 if every line passed, else 1. On a terminal with a bar, elsewhere with a line now and then, on stderr.
    Ctrl-C ends the watch and not the batch, and a daemon that is restarted is waited for.
    """
    with daemon() as client:
        batch = watch_batch(client, batch_id)
    if as_json:
        output.write_json(batch)
    else:
        output.write(ending(batch))
    if batch["state"] != "completed":
        raise click.exceptions.Exit(1)
