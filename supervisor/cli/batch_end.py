"""stoker batch cancel, delete and gc."""

from typing import Any

import click

from protocol.client import Client
from supervisor.cli import output
from supervisor.cli.batch_page import FINAL
from supervisor.cli.connection import daemon
from supervisor.cli.each import act_on_each
from supervisor.cli.failures import say
from supervisor.cli.main import INTERRUPTED
from supervisor.cli.options import duration, given_filter, id_type, json_option, place_options

ids_argument = click.argument("ids", metavar="ID...", type=id_type, nargs=-1, required=True)


@click.command()
@json_option
@place_options
@ids_argument
def cancel(ids: tuple[str, ...], as_json: bool) -> None:
    """End batches: what is done stays, the rest is cancelled.

    It returns when nothing of them runs any more; the lines that were not done are in their errors.
    """

    def told(batch: dict[str, Any]) -> str:
        counts = batch["counts"]
        if batch["state"] != "cancelled":
            return "it had ended before"
        return f"{counts['completed']:,} passed, {counts['failed']:,} failed, {counts['cancelled']:,} cancelled"

    act_on_each(ids, lambda client, batch_id: client.batch_cancel(batch_id), told, as_json)


@click.command()
@json_option
@place_options
@ids_argument
def delete(ids: tuple[str, ...], as_json: bool) -> None:
    """Remove batches that have ended, with their files."""

    def remove(client: Client, batch_id: str) -> dict[str, Any]:
        return {"id": batch_id, **client.batch_delete(batch_id)}

    act_on_each(ids, remove, lambda _: "", as_json)


@click.command()
@click.option(
    "--older-than",
    "older_than_secs",
    type=duration,
    required=True,
    metavar="TIME",
    help="That ended this long ago (7d, 12h), or before.",
)
@click.option("--state", type=click.Choice(FINAL), multiple=True, help="May be given several times.")
@click.option("--queue", metavar="NAME", help="Of this queue.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@json_option
@place_options
def gc(as_json: bool, older_than_secs: float, **which: Any) -> None:
    """Remove old batches, with their files.

    The daemon does it by itself after [batches] keep.
    """
    with daemon() as client:
        try:
            answer = client.batch_gc(older_than_secs=older_than_secs, **given_filter(which))
        except KeyboardInterrupt:
            if not which["dry_run"]:
                say("interrupted; some of the batches may be deleted by now, the others stay as they are")
            raise click.exceptions.Exit(INTERRUPTED) from None
    if as_json:
        output.write_json(answer)
        return
    count = f"{answer['count']:,} {'batch' if answer['count'] == 1 else 'batches'}"
    if answer["dry_run"]:
        output.write(f"{count} would be deleted; nothing is changed")
    else:
        output.write(f"{count} deleted")
