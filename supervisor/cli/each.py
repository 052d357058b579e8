"""The same call for each of several ids."""

from collections.abc import Callable
from typing import Any

import click

from protocol.client import CallFailed, Client
from supervisor.cli import output, tables
from supervisor.cli.connection import daemon, refusal
from supervisor.cli.failures import say


def act_on_each(
    ids: tuple[str, ...],
    act: Callable[[Client, str], dict[str, Any]],
    told: Callable[[dict[str, Any]], str],
    as_json: bool,
) -> None:
    """One after the other, a line for each: its id, its state, and what is `told` of the answer. One that is refused
    does not keep the others from their turn, but makes the exit code 1."""
    refused = False
    with daemon() as client:
        for one_id in ids:
            try:
                answer = act(client, one_id)
            except CallFailed as error:
                say(refusal(error).message)
                refused = True
                continue
            if as_json:
                output.write(output.to_json(answer))
            else:
                state = tables.highlight(answer.get("state", "deleted"))
                output.write(f"{one_id}  {state}  {told(answer)}".rstrip())
            output.flush()
    if refused:
        raise click.exceptions.Exit(1)
