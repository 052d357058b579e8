"""stoker events."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from protocol.client import CallFailed, Disconnected
from supervisor.cli import output
from supervisor.cli.comeback import AGAIN_SECS
from supervisor.cli.connection import candidates, connect, daemon, plainly
from supervisor.cli.failures import NoDaemonThere, say
from supervisor.cli.live import progress
from supervisor.cli.moments import clock, relative
from supervisor.cli.options import id_type, json_option, place_options, places

PAGE = 1000
LAST = 20

Told = tuple[str, dict[str, Any]]


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens next, until interrupted.")
@click.option("--since", metavar="TEXT", help="From the place that was told before.")
@click.option("--last", type=click.IntRange(0), metavar="N", help=f"The newest N; {LAST} unless said, or all of a job.")
@click.option("--queue", metavar="NAME", help="Of this queue.")
@click.option("--job", metavar="ID", type=id_type, help="Of this job.")
@click.option("--kind", "kinds", metavar="KIND", multiple=True, help="Of this kind: done, failed, …; may be repeated.")
@json_option
@place_options
def events(
    follow: bool,
    since: str | None,
    last: int | None,
    queue: str | None,
    job: str | None,
    kinds: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what happened to jobs, the oldest first.

    --last counts the events of all jobs, before --queue, --job or --kind choose from them. With --json: each event on
    a line of its own. --follow waits for a daemon that is restarted, and misses nothing meanwhile.
    """
    if since is not None and last is not None:
        raise click.UsageError("--since and --last do not go together: each says where to begin")
    if since is None and last is None and job is None:
        last = LAST
    begin = _said({"since": since, "last": last})
    wanted = _said({"queue": queue, "job": job, "kind": list(kinds) or None})
    if follow:
        with plainly():
            if job is not None:
                _find(job)
            _show(_followed(begin, wanted), as_json)
    if job is not None:
        _find(job)
    place = _show(_pages(begin, wanted, check=not as_json), as_json)
    if output.is_terminal() and not as_json:
        print(f"what happens from here on: --since {place}", file=sys.stderr)


def _said(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _find(job: str) -> None:
    """A mistyped job is refused here: who waits for what happens to it would do so for ever. One that was deleted may
    still be in the journal."""
    with daemon() as client:
        try:
            client.position(job)  # small, whatever the job carries
        except CallFailed as error:
            if error.code != "not_found" or not client.events(job=job, limit=1)["events"]:
                raise


def _show(told: Iterator[Told], as_json: bool) -> str | None:
    """Returns the last place."""
    place = None
    for what, one in told:
        place = one.get("cursor")
        if what != "place":
            output.write(_json(what, one) if as_json else _line(what, one))
            output.flush()
    return place


def _pages(begin: dict[str, Any], wanted: dict[str, Any], *, check: bool) -> Iterator[Told]:
    """All there is by now. `check`: where that is nothing, say so."""
    looked = begin
    found = 0
    with daemon() as client:
        while True:
            page = client.events(**begin, **wanted, limit=PAGE)
            for event in page["events"]:
                yield "event", event
            found += len(page["events"])
            yield "place", {"cursor": page["next"]}
            begin = {"since": page["next"]}
            if not page["more"]:
                break
        if check and not found:
            print(_nothing(looked, wanted), file=sys.stderr)


def _nothing(looked: dict[str, Any], wanted: dict[str, Any]) -> str:
    if wanted and looked.get("last"):
        silent = ", and a queue with events = false has none" if "queue" in wanted else ""
        return f"no events of it among the newest {looked['last']} of all: --last N looks further back{silent}"
    return "no events"


def _followed(begin: dict[str, Any], wanted: dict[str, Any]) -> Iterator[Told]:
    """For ever: each event once, however often the daemon goes away and comes back."""
    paths = candidates(places())
    known = False  # there was a daemon
    while True:
        try:
            with connect(paths) as client:
                for what, one in client.subscribe(**begin, **wanted):
                    begin, known = {"since": one["cursor"]}, True
                    yield what, one
        except CallFailed as error:
            if error.code != "gone" or not known:
                raise
            begin = {}
            yield "gap", {"first": error.data["first"]}
        except Disconnected:
            if not known:
                raise
            say("the daemon went away; what happens is told here when it is back")
        except NoDaemonThere:
            if not known:
                raise
            time.sleep(AGAIN_SECS)


def _json(what: str, one: dict[str, Any]) -> str:
    return output.to_json(one if what == "event" else {"kind": what, **one})


def _line(what: str, event: dict[str, Any]) -> str:
    if what == "gap":
        return _gap(event)
    told = (clock(event["at"]), event["queue"], event["job"] or "(deleted)", event["kind"], _note(event["data"]))
    return output.cut(output.one_line("  ".join(filter(None, told))))


def _gap(gap: dict[str, Any]) -> str:
    how_many = f"{gap['missed']} events" if "missed" in gap else "events"
    return f"({how_many} before number {gap['first']} were removed before they were read here)"


def _note(data: dict[str, Any]) -> str:
    notes = [f"attempt {data['attempt']}"] if data["attempt"] else []
    if "cause" in data:
        notes.append(data["cause"])
    if "run_at" in data:
        notes.append(f"runs {relative(data['run_at'])}")
    if "progress" in data:
        notes.append(progress(data["progress"]))
    return ", ".join(filter(None, notes))
