"""stoker events."""

import sys
from typing import Any

import click

from protocol.client import Disconnected
from supervisor.cli import output
from supervisor.cli.connection import Unanswered, daemon
from supervisor.cli.moments import clock, relative
from supervisor.cli.options import id_type, json_option, place_options

PAGE = 1000
WAIT_SECS = 60.0  # of one call; then it is asked again
LAST = 20


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens next, until interrupted.")
@click.option("--since", metavar="TEXT", help="From the place that was told before.")
@click.option("--last", type=click.IntRange(0), metavar="N", help=f"The newest N; {LAST} unless said, or all of a job.")
@click.option("--queue", metavar="NAME", help="Of this queue.")
@click.option("--job", metavar="ID", type=id_type, help="Of this job.")
@json_option
@place_options
def events(
    follow: bool, since: str | None, last: int | None, queue: str | None, job: str | None, as_json: bool
) -> None:
    """Show what happened to jobs, the oldest first.

    --last counts the events of all jobs, before --queue or --job choose from them. With --json: each event on a line
    of its own.
    """
    if since is not None and last is not None:
        raise click.UsageError("--since and --last do not go together: each says where to begin")
    if since is None and last is None and job is None:
        last = LAST
    place = {"since": since, "last": last}
    wanted = {"queue": queue, "job": job, "limit": PAGE, "wait_secs": WAIT_SECS if follow else None}
    with daemon() as client:
        while True:
            asked = {name: value for name, value in (place | wanted).items() if value is not None}
            try:
                page = client.events(**asked)
            except Disconnected:
                raise Unanswered(_left(place["since"])) from None
            for event in page["events"]:
                output.write(output.to_json(event) if as_json else _line(event))
            output.flush()
            place = {"since": page["next"], "last": None}
            if not page["more"] and not follow:
                break
    if output.is_terminal() and not as_json:
        print(f"what happens from here on: --since {page['next']}", file=sys.stderr)


def _left(since: object) -> str:
    where = f" --since {since}" if since is not None else ""
    return f"the daemon went away; once `stoker status` says that it is back, go on with `stoker events{where}`"


def _line(event: dict[str, Any]) -> str:
    told = (clock(event["at"]), event["queue"], event["job"] or "(deleted)", event["kind"], _note(event["data"]))
    return output.cut(output.one_line("  ".join(filter(None, told))))


def _note(data: dict[str, Any]) -> str:
    notes = [f"attempt {data['attempt']}"] if data["attempt"] else []
    if "cause" in data:
        notes.append(data["cause"])
    if "run_at" in data:
        notes.append(f"runs {relative(data['run_at'])}")
    if "progress" in data:
        notes.append(_progress(data["progress"]))
    return ", ".join(filter(None, notes))


def _progress(told: dict[str, Any]) -> str:
    """`4 of 10: page 4`, or what there is of it."""
    share = told.get("progress")
    place = f"{told['done']} of {told['total']}" if "done" in told and "total" in told else told.get("done", share)
    return ": ".join(str(part) for part in (place, told.get("message")) if part is not None)
