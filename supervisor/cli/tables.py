"""Tables: coloured and cut to the width on a terminal, plain aligned text elsewhere."""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from supervisor.cli import output

# The few words that carry a colour, wherever they stand in a `word` column.
COLOURS = {
    "done": "green",
    "completed": "green",
    "ok": "green",
    "ready": "green",
    "idle": "green",
    "running": "cyan",
    "in_progress": "cyan",
    "busy": "cyan",
    "starting": "cyan",
    "restarting": "cyan",
    "paused": "yellow",
    "waiting": "yellow",
    "low": "yellow",
    "ending": "yellow",
    "stopping": "yellow",
    "draining": "yellow",
    "drained": "yellow",
    "expired": "yellow",
    "cancelled": "yellow",
    "warn": "yellow",
    "failed": "red",
    "fail": "red",
    "failing": "red",
    "degraded": "red",
}


GIVE_DOWN_TO = 8  # characters
GAP = 2  # between columns


class Column(NamedTuple):
    """`word`: coloured by what it says. `right`: numbers. `give`: cut short where the terminal is too narrow, or, with
    `wrap`, broken into lines. `spare`: left out where even that is not enough."""

    header: str
    word: bool = False
    right: bool = False
    give: bool = False
    wrap: bool = False
    spare: bool = False


Rows = Sequence[Sequence[str]]


def show(columns: Sequence[Column], rows: Rows) -> None:
    """Write the table to stdout."""
    cells = [[output.one_line(cell) for cell in row] for row in rows]
    if output.is_terminal():
        _show_on_terminal(columns, cells)
    else:
        _show_plain(columns, cells)


def highlight(word: str) -> str:
    """The word in its colour on a terminal, else as it is."""
    if word not in COLOURS or not output.is_terminal():
        return word
    import click

    return word if _colourless() else click.style(word, fg=COLOURS[word])


def _colourless() -> bool:
    import os

    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def _show_plain(columns: Sequence[Column], rows: Rows) -> None:
    lines = [[column.header for column in columns], *rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        cells = (
            cell.rjust(width) if column.right else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        )
        output.write((" " * GAP).join(cells).rstrip())


def _show_on_terminal(columns: Sequence[Column], rows: Rows) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(force_terminal=not _colourless(), highlight=False)
    if _least_width(columns, rows) > console.width:
        kept = [place for place, column in enumerate(columns) if not column.spare]
        columns, rows = [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]
    # Rather past the edge of a narrow terminal, which wraps it, than an id that is cut.
    console.width = max(console.width, _least_width(columns, rows))
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column.header, justify="right" if column.right else "left", no_wrap=not column.give)
    for row in rows:
        table.add_row(
            *(
                Text(
                    cell,
                    style=COLOURS.get(cell, "") if column.word else "",
                    no_wrap=column.give and not column.wrap,
                    overflow="ellipsis" if column.give and not column.wrap else "fold",
                )
                for cell, column in zip(row, columns, strict=True)
            )
        )
    with console.capture() as captured:
        console.print(table)
    output.write("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _least_width(columns: Sequence[Column], rows: Rows) -> int:
    """What the columns that do not give take, and a little for each that does."""
    from rich.cells import cell_len

    widths = (
        min(GIVE_DOWN_TO if column.give else inf, max(cell_len(cell) for cell in (column.header, *cells)))
        for column, *cells in zip(columns, *rows, strict=True)
    )
    return int(sum(widths)) + GAP * (len(columns) - 1)
