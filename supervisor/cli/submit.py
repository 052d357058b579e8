"""stoker submit."""

import sys
from typing import Any

import click

from protocol.client import Disconnected
from supervisor.cli.comeback import BACK_SECS
from supervisor.cli.connection import Unanswered, daemon
from supervisor.cli.endings import patience
from supervisor.cli.failures import Misuse, say
from supervisor.cli.main import INTERRUPTED
from supervisor.cli.many import Order, print_answer, submit_lines
from supervisor.cli.options import duration, durations, instant, json_option, place_options
from supervisor.cli.payload import checked
from supervisor.cli.verbatim import VerbatimClient
from supervisor.cli.wait import report_each

AGAIN = "the same command again, with the same --key, makes no second one"


@click.command()
@click.option("--wait", is_flag=True, help="Wait for its end; print the result alone, exit by it.")
@click.option("--timeout", type=duration, help="How long to --wait (30s, 5m); the job stays.")
@click.option("--many", is_flag=True, help="A job for each line of stdin, which is its payload.")
@click.option("--priority", type=int, metavar="N", help="Higher goes first; 0 unless said.")
@click.option("--delay", "delay_secs", type=duration, help="Not before this long from now.")
@click.option("--run-at", type=instant, metavar="TIME", help="Not before this time, in ISO 8601.")
@click.option(
    "--job-timeout", "timeout_secs", type=duration, help="How long one attempt may take (else the pool says)."
)
@click.option("--max-attempts", type=click.IntRange(1), metavar="N", help="Failed for good after so many failures.")
@click.option(
    "--backoff", type=durations, metavar="D,D,…", help="The waits after failures (1s,10s,1m); the last one repeats."
)
@click.option("--expires-in", "expires_in_secs", type=duration, help="Do not start it any more after this long.")
@click.option("--client", metavar="NAME", help="Who submits; the scope of --key.")
@click.option("--key", metavar="TEXT", help="A second submit with this key answers with the first job.")
@click.option("--unique", metavar="TEXT", help="Only one live job of QUEUE can have this value.")
@click.option(
    "--on-conflict",
    type=click.Choice(("existing", "reject", "replace")),
    help="If a live job has --unique's value: print its id (so unless said), refuse, or cancel it if it waits.",
)
@click.option("--rate-key", metavar="TEXT", help="Shares rate_per_key of QUEUE with jobs of this key.")
@click.option("--concurrency-key", metavar="TEXT", help="Shares concurrency_per_key of QUEUE with jobs of this key.")
@click.option("--name", metavar="TEXT", help="What to call the job, for people.")
@click.option("--tag", "tags", metavar="TEXT", multiple=True, help="May be given several times.")
@json_option
@place_options
@click.argument("queue")
@click.argument("payload", nargs=-1, metavar="[JSON|-]")
def submit(
    queue: str, payload: tuple[str, ...], wait: bool, timeout: float | None, many: bool, as_json: bool, **job: Any
) -> None:
    """Put a job into QUEUE and print its id.

    The payload is any JSON value: an argument, or stdin with "-"; null when left out.
    """
    job = {name: value for name, value in job.items() if value not in (None, ())}
    _check(wait, timeout, many, job)
    order = Order(queue, job, wait, timeout, as_json)
    if many:
        if payload not in ((), ("-",)):
            raise click.UsageError("--many reads the payloads from stdin, one a line; leave the argument out")
        submit_lines(order)
    else:
        _submit_one(order, _payload(payload))


def _check(wait: bool, timeout: float | None, many: bool, job: dict[str, Any]) -> None:
    if timeout is not None and not wait:
        raise click.UsageError("--timeout is for --wait; the job's own limit is --job-timeout")
    if "delay_secs" in job and "run_at" in job:
        raise click.UsageError("--delay and --run-at exclude each other")
    if "key" in job and "client" not in job:
        raise click.UsageError("--key needs --client, whose key it is")
    if "on_conflict" in job and "unique" not in job:
        raise click.UsageError("--on-conflict needs --unique, whose value another job may have")
    if many and ("key" in job or "unique" in job):
        raise click.UsageError("--key and --unique are for one job, --many would give them to each")


def _payload(words: tuple[str, ...]) -> str:
    if not words:
        return "null"
    if len(words) > 1:
        raise Misuse(
            f"the payload came as {len(words)} arguments, the shell has split it: put the whole JSON in single quotes"
        )
    if words[0] == "-":
        return checked(sys.stdin.buffer.read(), "the payload on stdin")
    return checked(words[0], "the payload")


def _submit_one(order: Order, payload: str) -> None:
    with daemon() as client:
        answer = _accepted(client, order, payload)
        _remark(answer, order)
        if not order.wait:
            print_answer(answer, order.as_json)
            return
        ids = [answer["id"]]
        with patience(ids):
            fine = report_each(client, ids, order.timeout, order.as_json)
    if not fine:
        raise click.exceptions.Exit(1)


def _remark(answer: dict[str, Any], order: Order) -> None:
    if answer.get("same") is False:
        say(f"job {answer['id']} was there before, and its queue or payload is another")
    elif not answer["created"] and "on_conflict" in order.options:
        say(f"job {answer['id']} was there before")
    if "replaced" in answer:
        say(f"job {answer['replaced']} is cancelled: this one takes its place")


def _accepted(client: VerbatimClient, order: Order, payload: str) -> dict[str, Any]:
    client.patience = BACK_SECS
    try:
        return client.submit_text(order.queue, payload, order.options)
    except Disconnected:
        if "key" not in order.options:
            raise
        raise Unanswered(f"the daemon went away before it answered, and is not back; {AGAIN}") from None
    except KeyboardInterrupt:
        if "key" in order.options:
            look = AGAIN
        else:
            look = f"look with `stoker list --queue {order.queue}`; with --client and --key a submit can be repeated"
        say(f"interrupted before the daemon answered: the job may have been queued; {look}")
        raise click.exceptions.Exit(INTERRUPTED) from None
    finally:
        client.patience = 0.0  # a wait goes on in its own way
