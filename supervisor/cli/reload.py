"""stoker reload."""

from typing import Any

import click

from protocol.client import CallFailed
from supervisor.cli import output
from supervisor.cli.connection import daemon
from supervisor.cli.failures import Misuse, say
from supervisor.cli.main import INTERRUPTED
from supervisor.cli.options import json_option, place_options

# What the answer has, and how it is said of it.
_SAID = (
    ("pools_added", "{} {} added"),
    ("pools_removed", "{} {} removed: what runs there ends"),
    ("pools_restarted", "{} {} restarted with new workers"),
    ("pools_changed", "{} {} changed"),
    ("queues_added", "{} {} added"),
    ("queues_removed", "{} {} removed: jobs that are there stay"),
    ("queues_changed", "{} {} changed"),
)


@click.command()
@json_option
@place_options
def reload(as_json: bool) -> None:
    """Take on a changed configuration, while jobs run on.

    Returns when it is in force. All of it or nothing: a file with a mistake, or a pool whose program does not come up,
    changes nothing, and the reason is told. No job is lost, refused or interrupted. It is the file that the daemon was
    started with, whichever is named here to find it.
    """
    with daemon() as client:
        try:
            answer = client.reload()
        except KeyboardInterrupt:
            say("no longer waiting; the reload goes on: the log tells how it ends (reloaded, reload_failed)")
            raise click.exceptions.Exit(INTERRUPTED) from None
        except CallFailed as error:
            if error.code == "invalid":
                raise Misuse(error.message) from None
            if error.code != "reload_failed":
                raise
            say(error.message)  # may end with what a worker last said, on lines of its own
            raise click.exceptions.Exit(1) from None
    if as_json:
        output.write_json(answer)
    else:
        for line in _report(answer):
            output.write(output.one_line(line))


def _report(answer: dict[str, Any]) -> list[str]:
    lines = []
    for member, form in _SAID:
        if names := answer[member]:
            lines.append(form.format(_kind(member, names), ", ".join(names)))
    if answer["settings"]:
        lines.append(f"changed: {', '.join(answer['settings'])}")
    return lines or [f"nothing has changed in {answer['config']}"]


def _kind(member: str, names: list[str]) -> str:
    kind = member.partition("_")[0]
    return kind if len(names) > 1 else kind.removesuffix("s")
