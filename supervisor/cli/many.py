"""stoker submit --many: a payload a line, in and out."""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from protocol.client import CallFailed, Disconnected
from supervisor.cli import output
from supervisor.cli.connection import daemon
from supervisor.cli.endings import patience
from supervisor.cli.failures import Failed, Misuse, NoDaemonThere, say
from supervisor.cli.main import INTERRUPTED
from supervisor.cli.payload import checked
from supervisor.cli.verbatim import VerbatimClient
from supervisor.cli.wait import report_each

BATCH = 500  # jobs in one transaction
BATCH_BYTES = 1024 * 1024  # of payloads; then a batch is full too


class Order(NamedTuple):
    """What a submit is to do. `options`: the protocol's own, without queue and payload. `timeout`: of the wait."""

    queue: str
    options: dict[str, Any]
    wait: bool
    timeout: float | None
    as_json: bool


class Batch(NamedTuple):
    first: int  # line of stdin
    last: int
    payloads: list[str]  # JSON


def print_answer(answer: dict[str, Any], as_json: bool) -> None:
    output.write(output.to_json(answer) if as_json else answer["id"])


def submit_lines(order: Order) -> None:
    """Submit what stdin says; print the ids as they are accepted or, waiting, the results in the order of the lines."""
    ids: list[str] = []
    with daemon() as client:
        try:
            for batch in _batches():
                answers = _submit_batch(client, order, batch, len(ids))
                ids.extend(answer["id"] for answer in answers)
                if not order.wait:
                    for answer in answers:
                        print_answer(answer, order.as_json)
                    output.flush()
        except KeyboardInterrupt:
            say(f"interrupted; {len(ids)} jobs are submitted and stay so")
            raise click.exceptions.Exit(INTERRUPTED) from None
        if order.wait:
            with patience(ids):
                fine = report_each(client, ids, order.timeout, order.as_json, stand_in="null")
            if not fine:
                raise click.exceptions.Exit(1)


def _submit_batch(client: VerbatimClient, order: Order, batch: Batch, before: int) -> list[dict[str, Any]]:
    """All of them or none; `before` is how many jobs were submitted earlier, for the words of an error."""
    lines = f"lines {batch.first} to {batch.last} of stdin"
    earlier = f"; the {before} jobs before them are submitted" if before else ""
    try:
        return client.submit_texts(order.queue, batch.payloads, order.options)
    except CallFailed as error:
        raise Failed(f"{lines} were refused: {error.message}{earlier}") from None
    except Disconnected:
        raise NoDaemonThere(f"the daemon went away before it answered for {lines}{earlier}") from None
    except KeyboardInterrupt:
        say(f"interrupted before the daemon answered for {lines}: all of them may be queued, or none{earlier}")
        raise click.exceptions.Exit(INTERRUPTED) from None


def _batches() -> Iterator[Batch]:
    """Blank lines are passed over. A line that is no JSON is reported only after those before it are yielded: what was
    submitted is then exactly what stands before it."""
    numbers: list[int] = []
    payloads: list[str] = []
    size = 0
    some = False
    for number, line in enumerate(sys.stdin.buffer, 1):
        if not line.strip():
            continue
        try:
            payload = checked(line, f"line {number} of stdin")
        except Misuse as error:
            if payloads:
                yield Batch(numbers[0], numbers[-1], payloads)
            before = "the lines before it are submitted, the rest is not" if some else "nothing is submitted"
            raise Misuse(f"{error.message}; {before}") from None
        some = True
        numbers.append(number)
        payloads.append(payload)
        size += len(line)
        if len(payloads) == BATCH or size >= BATCH_BYTES:
            yield Batch(numbers[0], number, payloads)
            numbers, payloads, size = [], [], 0
    if payloads:
        yield Batch(numbers[0], numbers[-1], payloads)
