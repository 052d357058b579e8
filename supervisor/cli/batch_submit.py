"""stoker batch submit."""

from typing import Any, BinaryIO, cast

import click

from protocol.client import Disconnected
from supervisor.cli import output
from supervisor.cli.batch_page import ending
from supervisor.cli.batch_source import Source, source
from supervisor.cli.batch_watching import patience, watch_batch
from supervisor.cli.comeback import BACK_SECS
from supervisor.cli.connection import Unanswered, daemon
from supervisor.cli.failures import NoDaemonThere, say
from supervisor.cli.main import INTERRUPTED
from supervisor.cli.options import duration, json_option, place_options
from supervisor.cli.verbatim import VerbatimClient

AGAIN = "the same command again, with the same --key, makes no second one"
OPEN = (
    "whether the batch was taken is open: `stoker batch list` tells when it is back; "
    "with --client and --key a submit can be repeated"
)


@click.command()
@click.option("--queue", metavar="NAME", required=True, help="Whose workers do it.")
@click.option("--watch", is_flag=True, help="Show how far it is until it ends; exit 0 if every line passed.")
@click.option("--name", metavar="TEXT", help="What to call the batch, for people.")
@click.option("--priority", type=int, metavar="N", help="Of its jobs: -10 unless said, behind those of others (0).")
@click.option(
    "--timeout", "timeout_secs", type=duration, help="How long one attempt of a line may take (else the pool says)."
)
@click.option("--max-attempts", type=click.IntRange(1), metavar="N", help="A line fails after so many failures.")
@click.option("--tag", "tags", metavar="TEXT", multiple=True, help="May be given several times.")
@click.option("--client", metavar="NAME", help="Who submits; the scope of --key.")
@click.option("--key", metavar="TEXT", help="A second submit with this key answers with the first batch.")
@json_option
@place_options
@click.argument("file", metavar="FILE|-")
def submit(file: str, queue: str, watch: bool, as_json: bool, **options: Any) -> None:
    """Submit a FILE of jobs, and print the batch's id.

    A job for each line, which is its payload: any JSON value. With - the lines come from stdin. Blank lines are passed
    over. A line that is not JSON is answered with an error, and the others are done.
    """
    options = {name: value for name, value in options.items() if value not in (None, ())}
    if "key" in options and "client" not in options:
        raise click.UsageError("--key needs --client, whose key it is")
    with source(file) as opened, daemon() as client:
        batch = _submitted(client, opened, queue, options)
        if not batch["created"]:
            say(f"batch {batch['id']} was there before, with this key")
        if watch:
            _watch(client, batch, as_json)
        else:
            output.write(output.to_json(batch) if as_json else batch["id"])


def _watch(client: VerbatimClient, batch: dict[str, Any], as_json: bool) -> None:
    """The id is all that goes to stdout, and at once: who is interrupted has it, and so has a script."""
    with patience(batch["id"]):
        if not as_json:
            output.write(batch["id"])
            output.flush()
        ended = watch_batch(client, batch["id"])
    if as_json:
        output.write_json(ended)
    else:
        say(ending(ended))
    if ended["state"] != "completed":
        raise click.exceptions.Exit(1)


def _submitted(client: VerbatimClient, opened: Source, queue: str, options: dict[str, Any]) -> dict[str, Any]:
    """The batch. Where a restart of the daemon came in between, sent again if it can be, and only where that cannot
    make two of it."""
    keyed = "key" in options
    client.patience = BACK_SECS
    try:
        return client.batch_submit(queue, cast("BinaryIO", opened), **options)
    except Disconnected as lost:
        if lost.unheard:  # what did not come as a whole is no batch
            raise NoDaemonThere(
                f"the daemon went away before it had all of {opened.name}; nothing was submitted: "
                "repeat the command when `stoker status` says that it is back"
            ) from None
        raise Unanswered(f"the daemon went away before it answered; {AGAIN if keyed else OPEN}") from None
    except KeyboardInterrupt:
        opened.close()
        if opened.ended:
            look = AGAIN if keyed else f"look with `stoker batch list --queue {queue}`"
            say(f"interrupted before the daemon answered: the batch may have been submitted; {look}")
        else:
            say("interrupted; nothing was submitted")
        raise click.exceptions.Exit(INTERRUPTED) from None
    finally:
        opened.close()
        client.patience = 0.0  # a watch goes on in its own way
