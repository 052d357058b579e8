"""stoker purge, and what cancel, retry and delete do to all jobs that match: they ask nothing, and say the counts."""

from collections.abc import Callable
from typing import Any

import click

from protocol.client import Client
from supervisor.cli import output, tables
from supervisor.cli.connection import daemon
from supervisor.cli.failures import say
from supervisor.cli.main import INTERRUPTED
from supervisor.cli.options import STATES, Command, given_filter, json_option, place_options

dry_run_option = click.option("--dry-run", is_flag=True, help="Only count them.")


def many_options(command: Command) -> Command:
    """--all and --dry-run."""
    every = click.option("--all", is_flag=True, help="In place of a filter: every job.")
    return every(dry_run_option(command))


def meant_by_filter(ids: tuple[str, ...], which: dict[str, Any]) -> bool:
    """Whether jobs are named by a filter, and not by their IDs: one of the two must be."""
    given = given_filter(which)
    dry_run = given.pop("dry_run", False)
    if ids and (given or dry_run):
        raise click.UsageError("give either IDs, or a filter such as --queue (--dry-run is for a filter)")
    if ids:
        return False
    if not given:
        raise click.UsageError("say which jobs: their IDs, a filter such as --queue, or --all")
    if "all" in given and len(given) > 1:
        raise click.UsageError("give either --all or a filter, which says which ones")
    return True


def sweep(
    act: Callable[[Client, dict[str, Any]], dict[str, Any]], which: dict[str, Any], done: str, as_json: bool
) -> None:
    """`done` is the word for what becomes of them."""
    with daemon() as client:
        try:
            answer = act(client, given_filter(which))
        except KeyboardInterrupt:
            if not which["dry_run"]:
                say(f"interrupted; some of the jobs may be {done} by now, the others stay as they are")
            raise click.exceptions.Exit(INTERRUPTED) from None
    if as_json:
        output.write_json(answer)
    else:
        output.write(_told(answer, done))


def _told(answer: dict[str, Any], done: str) -> str:
    if answer["dry_run"]:
        return f"{_jobs(answer['matched'])} would be {done}; nothing is changed"
    text = f"{_jobs(answer['changed'])} {tables.highlight(done)}"
    if answer["skipped"]:
        text += f"; {answer['skipped']} skipped, because another job holds their unique value"
    ended = answer["matched"] - answer["changed"] - answer["skipped"]
    return f"{text}; {ended} had ended before" if ended else text


def _jobs(count: int) -> str:
    return f"{count} job" if count == 1 else f"{count} jobs"


@click.command()
@click.option(
    "--state",
    type=click.Choice([state for state in STATES if state != "running"]),
    multiple=True,
    help="In place of pending; may be given several times.",
)
@dry_run_option
@json_option
@place_options
@click.argument("queue")
def purge(queue: str, as_json: bool, **which: Any) -> None:
    """Remove all that waits in QUEUE; what runs goes on.

    Nothing of the queue begins meanwhile, other queues are served as ever. Jobs that are submitted meanwhile stay.
    """
    sweep(lambda client, wanted: client.purge(queue, **wanted), which, "deleted", as_json)
