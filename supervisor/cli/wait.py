"""stoker wait."""

from collections.abc import Sequence

import click

from protocol.client import Client
from supervisor.cli import output, tables
from supervisor.cli.connection import daemon
from supervisor.cli.endings import Ending, blame, complaint, endings, patience
from supervisor.cli.failures import say
from supervisor.cli.options import duration, id_type, json_option, place_options

COLUMNS = (tables.Column("ID"), tables.Column("STATE", word=True), tables.Column("RESULT", give=True))


@click.command()
@click.option("--timeout", type=duration, help="How long at most (30s, 5m); the jobs stay.")
@json_option
@place_options
@click.argument("ids", metavar="ID...", type=id_type, nargs=-1, required=True)
def wait(ids: tuple[str, ...], timeout: float | None, as_json: bool) -> None:
    """Wait until jobs have ended; exit 0 if all are done.

    One job's result is printed alone, as JSON; several make a table. With --json: each job on a line of its own.
    """
    with daemon() as client, patience(ids):
        if as_json or len(ids) == 1:
            fine = report_each(client, ids, timeout, as_json)
        else:
            fine = _report_table(ids, list(endings(client, ids, timeout)), timeout)
    if not fine:
        raise click.exceptions.Exit(1)


def report_each(
    client: Client, ids: Sequence[str], timeout: float | None, as_json: bool, *, stand_in: str | None = None
) -> bool:
    """Report the jobs as they end, in this order; returns whether all are done. `stand_in` is printed for each job that
    leaves nothing to print, so that lines can be matched."""
    fine = True
    for job_id, ending in zip(ids, endings(client, ids, timeout), strict=True):
        trouble = complaint(job_id, ending, timeout)
        if isinstance(ending, dict) and (as_json or trouble is None):
            output.write(output.to_json(ending if as_json else ending["result"]))
        elif stand_in is not None:
            output.write(stand_in)
        output.flush()
        if trouble is not None:
            say(trouble)
            fine = False
    return fine


def _report_table(ids: tuple[str, ...], ended: list[Ending], timeout: float | None) -> bool:
    rows = []
    for job_id, ending in zip(ids, ended, strict=True):
        if isinstance(ending, dict):
            told = blame(ending["error"]) if ending["error"] else output.to_json(ending["result"])
            rows.append((job_id, ending["state"], told))
        elif trouble := complaint(job_id, ending, timeout):
            say(trouble)
    tables.show(COLUMNS, rows)
    return all(isinstance(ending, dict) and ending["state"] == "done" for ending in ended)
