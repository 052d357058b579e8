"""The summary as a person reads it: colours and side-by-side tables on a terminal, the same words in a pipe."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.columns import Columns
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from summary import Coverage, Summary

WIDTH_IN_A_PIPE = 110
COVERAGE_SHOWN = 5
BAR_CELLS = 20


@dataclass(frozen=True)
class Speed:
    """The comparison, on the same files and with as many at once. Seconds are for the whole of `sample` files."""

    workers: int
    files: int
    seconds: float
    sample: int
    warm_seconds: float
    spawned_seconds: float

    @property
    def ratio(self) -> float:
        return self.spawned_seconds / self.warm_seconds


def make_console() -> Console:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # an ASCII terminal gets a ? for what it lacks, not a traceback
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH_IN_A_PIPE)


def show(console: Console, summary: Summary, failures: Sequence[tuple[str, str]], speed: Speed | None) -> None:
    console.print(headline(summary))
    tables: list[RenderableType] = [
        longest(summary),
        imported(summary),
        largest(summary),
        deepest(summary),
        covered("Best documented", summary.coverage[:COVERAGE_SHOWN]),
        covered("Least documented", summary.coverage[::-1][:COVERAGE_SHOWN]),
    ]
    console.print(Columns(tables, padding=(1, 4)))
    if summary.tests:
        console.print(f"[dim]The tables leave out {summary.tests:,} files of the library's own test suites.[/dim]\n")
    if failures:
        console.print(failed(failures))
    if speed:
        console.print(compared(speed))


def headline(summary: Summary) -> RenderableType:
    numbers = Table.grid(padding=(0, 3))
    cells = [
        ("files", f"{summary.files:,}"),
        ("lines", f"{summary.lines:,}"),
        ("functions", f"{summary.functions:,}"),
        ("of them async", f"{summary.async_functions:,}"),
        ("classes", f"{summary.classes:,}"),
        ("documented", f"{summary.documented:.0%}"),
    ]
    for _ in cells:
        numbers.add_column(justify="right")
    numbers.add_row(*(Text(number, style="bold cyan") for _, number in cells))
    numbers.add_row(*(Text(label, style="dim") for label, _ in cells))
    return Padding(numbers, (1, 0, 0, 1))


def titled(title: str, *columns: str) -> Table:
    """A table whose last column holds numbers or bars, to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, header_style="dim")
    for column in columns[:-1]:
        table.add_column(column, no_wrap=True)
    table.add_column(columns[-1], justify="right", no_wrap=True)
    return table


def longest(summary: Summary) -> Table:
    table = titled("Longest functions", "function", "where", "lines")
    for function, file in summary.longest:
        table.add_row(function["name"], Text(f"{file}:{function['line']}", style="dim"), f"{function['lines']:,}")
    return table


def imported(summary: Summary) -> Table:
    table = titled("Most imported modules", "module", "", "files")
    most = max((count for _, count in summary.imported), default=1)
    for name, count in summary.imported:
        table.add_row(name, bar(count / most, "green"), f"{count:,}")
    return table


def largest(summary: Summary) -> Table:
    table = titled("Largest files", "file", "lines")
    for file in summary.largest:
        table.add_row(file.name, f"{file.facts['lines']:,}")
    return table


def deepest(summary: Summary) -> Table:
    table = titled("Deepest nesting", "file", "blocks")
    for file in summary.deepest:
        table.add_row(file.name, str(file.facts["nesting"]))
    return table


def covered(title: str, entries: Sequence[Coverage]) -> Table:
    table = titled(title, "package", "", "docstrings")
    for entry in entries:
        told = f"{entry.documented:,} of {entry.documentable:,}  {entry.share:4.0%}"
        table.add_row(entry.package, bar(entry.share, "blue"), told)
    return table


def bar(share: float, style: str) -> Text:
    utf8 = (sys.stdout.encoding or "").lower().startswith("utf")
    return Text(("█" if utf8 else "#") * round(share * BAR_CELLS), style=style)


def failed(failures: Sequence[tuple[str, str]]) -> Table:
    table = titled("Not Python: the worker's error replies", "file", "what it said")
    table.columns[-1].justify = "left"
    table.columns[-1].no_wrap = False
    for name, message in failures:
        table.add_row(name, Text(message))
    return table


def compared(speed: Speed) -> RenderableType:
    table = Table(title="Speed", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, header_style="dim")
    table.add_column("")
    for column in ("files", "seconds", "ms a file", "jobs/s"):
        table.add_column(column, justify="right")
    rows = [
        ("all of them through stoker", speed.files, speed.seconds),
        (f"a sample, {speed.workers} warm workers", speed.sample, speed.warm_seconds),
        (f"the same, a process per job, {speed.workers} at once", speed.sample, speed.spawned_seconds),
    ]
    for label, files, seconds in rows:
        each = f"{seconds / files * 1000:.1f}"
        table.add_row(label, f"{files:,}", f"{seconds:.2f}", each, f"{files / seconds:,.0f}")
    verdict = Text.assemble(
        " On the same files, warm workers are ",
        (f"{speed.ratio:.1f} times as fast", "bold green"),
        " as starting one process per job,\n with every job and every result on disk before it is answered.\n",
    )
    grid = Table.grid()
    grid.add_row(table)
    grid.add_row(verdict)
    return grid
