"""stoker top."""

import os

import click

from supervisor.cli import output
from supervisor.cli.connection import candidates, connect, daemon
from supervisor.cli.options import duration, json_option, place_options, places

SHORTEST = 0.1  # seconds


def interval(text: str) -> float:
    """An option's `type`."""
    seconds = duration(text)
    if seconds < SHORTEST:
        raise click.BadParameter(f"{text} is too short: at least {SHORTEST:g}s")
    return seconds


@click.command()
@click.option("--interval", type=interval, default="1s", metavar="TIME", help="Between two looks (1s unless said).")
@click.option("--once", is_flag=True, help="Show everything once, and exit. So it is without a terminal.")
@json_option
@place_options
def top(interval: float, once: bool, as_json: bool) -> None:
    """Watch queues, pools and running jobs live.

    q ends it, p freezes what is shown; j, k, the arrows and page keys scroll the workers. Where the daemon goes away,
    it waits until that is back.
    """
    from supervisor.cli.top.watching import PATIENCE, look

    with daemon(PATIENCE) as client:
        first = look(client)
    if as_json:
        output.write_json({"status": first.status, "workers": first.workers, "running": first.running})
        return
    from supervisor.cli.top.frame import Scene, frame
    from supervisor.cli.top.live import Live, colours_wanted
    from supervisor.cli.top.painting import bare, painted
    from supervisor.cli.top.terminal import Terminal
    from supervisor.cli.top.watching import News, Watch

    clever = output.is_terminal() and (os.environ.get("TERM") or "dumb") != "dumb"
    if once or not clever:
        from shutil import get_terminal_size

        for line in frame(Scene(News(first)), get_terminal_size().columns, None).lines:
            output.write(painted(line, colours=colours_wanted()).rstrip() if clever else bare(line))
        return
    paths = candidates(places())
    with Terminal() as terminal:
        watch = Watch(first, lambda: connect(paths, PATIENCE), interval, terminal.nudge)
        code = Live(watch, terminal, colours=colours_wanted()).run()
    raise click.exceptions.Exit(code)
