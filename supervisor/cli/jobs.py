"""stoker get, position, cancel, retry and delete: one job, several by id, or all that match a filter."""

from typing import Any

import click

from protocol.client import Client
from supervisor.cli import output
from supervisor.cli.connection import daemon
from supervisor.cli.each import act_on_each
from supervisor.cli.job_page import show_job
from supervisor.cli.options import filter_options, id_type, json_option, place_options
from supervisor.cli.sweep import many_options, meant_by_filter, sweep

ids_argument = click.argument("ids", metavar="[ID]...", type=id_type, nargs=-1)
id_argument = click.argument("job_id", metavar="ID", type=id_type)


@click.command()
@click.option("--client", metavar="NAME", help="With --key, in place of ID: whose key.")
@click.option("--key", metavar="TEXT", help="The job that was submitted with it.")
@json_option
@place_options
@click.argument("job_id", metavar="[ID]", type=id_type, required=False)
def get(job_id: str | None, client: str | None, key: str | None, as_json: bool) -> None:
    """Show a job, with its payload, result and failed attempts."""
    if (job_id is None) == (key is None) or (client is None) != (key is None):
        raise click.UsageError("say which job: its ID, or --client and --key")
    with daemon() as stoker:
        job = stoker.get(job_id, client=client, key=key)
    if as_json:
        output.write_json(job)
    else:
        show_job(job)


@click.command()
@json_option
@place_options
@id_argument
def position(job_id: str, as_json: bool) -> None:
    """How many jobs of its queue go before this one."""
    with daemon() as client:
        place = client.position(job_id)
    if as_json:
        output.write_json(place)
    else:
        output.write(f"{place['ahead']} ahead, {place['active']} running or pending in its queue")


@click.command()
@filter_options
@many_options
@json_option
@place_options
@ids_argument
def cancel(ids: tuple[str, ...], as_json: bool, **which: Any) -> None:
    """End jobs, also running ones, with all their processes.

    Those with these IDs, or all that match. It returns when nothing of them runs any more.
    """
    if meant_by_filter(ids, which):
        sweep(lambda client, wanted: client.cancel_many(**wanted), which, "cancelled", as_json)
        return

    def told(job: dict[str, Any]) -> str:
        return "" if job["state"] == "cancelled" else "it had ended before"

    act_on_each(ids, lambda client, job_id: client.cancel(job_id), told, as_json)


@click.command()
@filter_options
@many_options
@json_option
@place_options
@ids_argument
def retry(ids: tuple[str, ...], as_json: bool, **which: Any) -> None:
    """Make failed, cancelled or expired jobs pending again.

    Those with these IDs, or all that match; by a filter that names no state, the failed ones.
    """
    if meant_by_filter(ids, which):
        sweep(lambda client, wanted: client.retry_many(**wanted), which, "retried", as_json)
        return
    act_on_each(ids, lambda client, job_id: client.retry(job_id), lambda job: f"queue {job['queue']}", as_json)


@click.command()
@filter_options
@many_options
@json_option
@place_options
@ids_argument
def delete(ids: tuple[str, ...], as_json: bool, **which: Any) -> None:
    """Remove jobs that do not run, with all that is known of them.

    Those with these IDs, or all that match; by a filter that names no state, those that have ended. `stoker
    purge` removes what waits in a queue.
    """
    if meant_by_filter(ids, which):
        sweep(lambda client, wanted: client.delete_many(**wanted), which, "deleted", as_json)
        return

    def remove(client: Client, job_id: str) -> dict[str, Any]:
        return {"id": job_id, **client.delete(job_id)}

    act_on_each(ids, remove, lambda _: "", as_json)
