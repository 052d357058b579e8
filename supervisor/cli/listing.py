"""stoker list."""

import sys
from typing import Any

import click

from supervisor.cli import output, tables
from supervisor.cli.connection import daemon
from supervisor.cli.endings import blame
from supervisor.cli.job_page import show_job
from supervisor.cli.moments import relative, since
from supervisor.cli.options import filter_options, given_filter, json_option, place_options
from supervisor.core.words import about_duration

COLUMNS = (
    tables.Column("ID"),
    tables.Column("QUEUE"),
    tables.Column("STATE", word=True),
    tables.Column("FAILED", right=True),
    tables.Column("AGE", right=True),
    tables.Column("NOTE", give=True),
)


@click.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(1, 200), default=50, metavar="N", help="At most 200; 50 unless said.")
@click.option("--cursor", metavar="TEXT", help="The next page, as the page before told.")
@click.option("--full", is_flag=True, help="With payload, result and failed attempts.")
@json_option
@place_options
def list_jobs(as_json: bool, **filters: Any) -> None:
    """Show jobs, the newest first."""
    wanted = given_filter(filters)
    with daemon() as client:
        page = client.list(**wanted)
        if not page["jobs"] and filters["queue"] is not None and not as_json:
            client.queues(filters["queue"])  # a misspelled queue is refused here, and the known ones are named
    if as_json:
        output.write_json(page)
        return
    _show(page["jobs"], bool(filters["full"]))
    output.flush()
    if page["next"] is not None:
        print(f"{len(page['jobs'])} of {page['total']}; the next page: --cursor {page['next']}", file=sys.stderr)
    elif not page["jobs"]:
        print("no jobs", file=sys.stderr)


def _show(jobs: list[dict[str, Any]], full: bool) -> None:
    if full:
        for place, job in enumerate(jobs):
            if place:
                output.write("")
            show_job(job)
    elif jobs:
        tables.show(COLUMNS, [_row(job) for job in jobs])


def _row(job: dict[str, Any]) -> tuple[str, ...]:
    age = about_duration(since(job["created_at"]))
    return (job["id"], job["queue"], job["state"], f"{job['charged']}/{job['max_attempts']}", age, _note(job))


def _note(job: dict[str, Any]) -> str:
    """Its name, and what is worth knowing in its state."""
    told = ""
    if job["state"] == "pending" and since(job["run_at"]) < 0:
        told = f"runs {relative(job['run_at'])}"
    elif job["state"] == "running" and job["started_at"]:
        told = f"for {about_duration(since(job['started_at']))}"
    if job["error"] is not None:
        told = ", ".join(filter(None, (told, blame(job["error"]))))
    return ": ".join(filter(None, (job["name"], told)))
