"""The group of stoker batch."""

import click

from supervisor.cli.lazy import LazyGroup

# Command: (module, attribute).
COMMANDS = {
    "submit": ("batch_submit", "submit"),
    "list": ("batch_look", "list_batches"),
    "get": ("batch_look", "get"),
    "watch": ("batch_watch", "watch"),
    "output": ("batch_output", "output_command"),
    "cancel": ("batch_end", "cancel"),
    "delete": ("batch_end", "delete"),
    "gc": ("batch_end", "gc"),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def batch() -> None:
    """Run a file of jobs: one JSON value a line.

    Each line of the file is the payload of a job, and is answered by one line: with its result in the batch's
    output, or with what went wrong in its errors. The daemon does it in the background, behind jobs that were
    submitted one by one, and goes on after a restart where it was.
    """
