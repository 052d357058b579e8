"""stoker batch output."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from protocol.client import Disconnected
from supervisor.cli import output
from supervisor.cli.batch_page import FINAL
from supervisor.cli.comeback import BACK_SECS
from supervisor.cli.connection import daemon
from supervisor.cli.failures import NoDaemonThere, say
from supervisor.cli.options import id_type, place_options
from supervisor.cli.verbatim import Record, VerbatimClient
from supervisor.core.words import lines


@click.command("output")
@click.option(
    "--errors", "file", flag_value="errors", default="output", help="What went wrong, in place of the results."
)
@click.option("--from", "from_line", type=click.IntRange(1), default=1, metavar="N", help="From its line N on.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what is to come, until the batch has ended.")
@place_options
@click.argument("batch_id", metavar="ID", type=id_type)
def output_command(batch_id: str, file: str, from_line: int, follow: bool) -> None:
    """Print the results of a batch, a line of JSON for each.

    In the order in which they ended: `line` says which line of the file a result answers, and `custom_id` is there
    where that line has one. --follow waits for a daemon that is restarted, and misses nothing.
    """
    with daemon() as client:
        client.patience = BACK_SECS
        printing = _Printing(from_line, at_once=follow)
        with printing.told_if_lost():
            end = printing.print(client, batch_id, file, follow)
        output.flush()
        _remark(client, batch_id, end, from_line)


class _Printing:
    def __init__(self, first: int, *, at_once: bool) -> None:
        self._next = first
        self._at_once = at_once
        self._show = output.harmless if output.is_terminal() else str

    def print(self, client: VerbatimClient, batch_id: str, file: str, follow: bool) -> dict[str, Any]:
        """All there is; returns what was told at the end."""
        records = client.batch_output(batch_id, file, self._next, follow=follow)
        while True:
            try:
                number, record = next(records)
            except StopIteration as end:
                told: dict[str, Any] = end.value
                return told
            text = record if isinstance(record, Record) else output.to_json(record)  # one that came in parts
            output.write_text(self._show(text))
            if self._at_once:
                output.flush()
            self._next = number + 1

    @contextmanager
    def told_if_lost(self) -> Iterator[None]:
        try:
            yield
        except Disconnected:
            raise NoDaemonThere(
                f"the daemon went away, and is not back; what is missing here is printed with --from {self._next}"
            ) from None


def _remark(client: VerbatimClient, batch_id: str, end: dict[str, Any], first: int) -> None:
    """What nobody would see: that it is not all yet, or why there is nothing."""
    if end["state"] not in FINAL:
        say(f"batch {batch_id} is {end['state']}, and this is what it has by now; --follow waits for the rest")
    elif end["lines"] < first:
        counts = client.batch_get(batch_id)["counts"]
        if end["file"] == "output" and not end["lines"]:
            failed = f"; {lines(counts['failed'])} failed: --errors" if counts["failed"] else ""
            say(f"no line of batch {batch_id} passed{failed}")
        elif end["lines"]:
            say(f"there {'is' if end['lines'] == 1 else 'are'} {lines(end['lines'])}, and none from {first} on")
