"""stoker restart and resize."""

import re
from typing import Any

import click

from protocol.client import CallFailed
from supervisor.cli import output
from supervisor.cli.connection import daemon
from supervisor.cli.failures import say
from supervisor.cli.main import INTERRUPTED
from supervisor.cli.options import json_option, place_options

pool_argument = click.argument("pool")
_NEGATIVE = re.compile(r"-[0-9.]+")


class _Resize(click.Command):
    """A size below zero is no option that does not exist, which is what click would call it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bounds = ("--min", "--max")
        for before, word in zip(["", *args], args, strict=False):
            if _NEGATIVE.fullmatch(word) and before not in bounds:
                raise click.UsageError(f"{word} is no number of workers: it is a whole number from 0", ctx)
        return super().parse_args(ctx, args)


@click.command()
@json_option
@place_options
@pool_argument
def restart(pool: str, as_json: bool) -> None:
    """Replace the workers of POOL one by one, losing no job.

    A new worker comes up before an old one goes, and that between two jobs: nothing is refused or interrupted. If the
    first new one does not come up, the old ones serve on, and the reason is told.
    """
    with daemon() as client:
        try:
            answer = client.restart(pool)
        except KeyboardInterrupt:
            say(f"no longer waiting; the restart of {pool} goes on: `stoker pools {pool}` shows how far it is")
            raise click.exceptions.Exit(INTERRUPTED) from None
        except CallFailed as error:
            if error.code != "restart_failed":
                raise
            say(error.message)  # may end with what the worker last said, on lines of its own
            raise click.exceptions.Exit(1) from None
    if as_json:
        output.write_json(answer)
    else:
        replaced = f"{answer['replaced']} {'worker' if answer['replaced'] == 1 else 'workers'} replaced"
        output.write(output.one_line(f"{answer['pool']}: generation {answer['generation']}, {replaced}"))


@click.command(cls=_Resize)
@click.option("--min", "low", metavar="N", type=click.IntRange(0), help="At least so many workers, with --max.")
@click.option(
    "--max", "high", metavar="N", type=click.IntRange(0), help="At most so many; in between, as many as the jobs need."
)
@json_option
@place_options
@pool_argument
@click.argument("size", type=click.IntRange(0), required=False)
def resize(pool: str, size: int | None, low: int | None, high: int | None, as_json: bool) -> None:
    """Have SIZE workers in POOL, or --min to --max, from now on.

    Workers that are too many go between two jobs. It holds until the daemon's next start, or until its
    configuration is reloaded with another size.
    """
    if size is None and (low is None or high is None):
        raise click.UsageError("say how many workers: `stoker resize POOL 4`, or both --min and --max")
    if size is not None and (low is not None or high is not None):
        raise click.UsageError("a SIZE does not go with --min and --max: give either")
    if low is not None and high is not None and low > high:
        raise click.UsageError(f"--min {low} is more than --max {high}: at least so many cannot be more than at most")
    with daemon() as client:
        view = client.resize(pool, size, min=low, max=high)
    if as_json:
        output.write_json(view)
    else:
        output.write(output.one_line(_resized(view)))


def _resized(view: dict[str, Any]) -> str:
    low, high = view["min"], view["max"]
    span = f"{low} to {high} workers" if low != high else f"{high} {'worker' if high == 1 else 'workers'}"
    there = "" if view["size"] == low == high else f" ({view['size']} at the moment)"
    waits = "; its jobs wait" if high == 0 else ""
    return f"{view['pool']}: {span}{there} until the daemon's next start{waits}"
