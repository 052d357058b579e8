"""stoker ping, pause, resume and drain."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

import click

from supervisor.cli import output, tables
from supervisor.cli.connection import daemon
from supervisor.cli.failures import say
from supervisor.cli.main import INTERRUPTED
from supervisor.cli.options import json_option, place_options

queue_argument = click.argument("queue")


@click.command()
@json_option
@place_options
def ping(as_json: bool) -> None:
    """Ask the daemon for its version, and what we may do."""
    with daemon() as client:
        begun = perf_counter()
        answer = client.ping()
        took = perf_counter() - begun
    if as_json:
        output.write_json(answer)
    else:
        output.write(f"stoker {answer['version']}, protocol {answer['protocol']}, answered in {took * 1000:.1f} ms")
        for line in _roles(answer):
            output.write(line)


def _roles(answer: dict[str, Any]) -> Iterator[str]:
    if "role" in answer:  # a daemon that was not restarted since
        yield f"you may: {answer['role'] or 'nothing, but for these queues'}"
        yield from (f"  in {output.one_line(queue)}: {role or 'nothing'}" for queue, role in answer["queues"].items())


@click.command()
@json_option
@place_options
@queue_argument
def pause(queue: str, as_json: bool) -> None:
    """Start no more jobs of QUEUE; those that run go on."""
    with daemon() as client:
        _show_queue(client.pause(queue), as_json)


@click.command()
@json_option
@place_options
@queue_argument
def resume(queue: str, as_json: bool) -> None:
    """Start jobs of QUEUE again."""
    with daemon() as client:
        _show_queue(client.resume(queue), as_json)


def _show_queue(view: dict[str, Any], as_json: bool) -> None:
    if as_json:
        output.write_json(view)
        return
    state = tables.highlight("paused" if view["paused"] else "resumed")
    output.write(f"{view['queue']}  {state}  {view['pending']} pending, {view['running']} running")


@click.command()
@json_option
@place_options
def drain(as_json: bool) -> None:
    """Start nothing more, and wait until nothing runs.

    Submits are still accepted: they are on disk, and the next start runs them.
    """
    with daemon() as client:
        try:
            answer = client.drain()
        except KeyboardInterrupt:
            say("no longer waiting; the daemon goes on draining: `stoker status` shows how far it is")
            raise click.exceptions.Exit(INTERRUPTED) from None
    if as_json:
        output.write_json(answer)
    else:
        output.write("drained: nothing runs any more; `stoker serve` anew takes up the queue")
