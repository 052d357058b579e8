"""Figures for people, as they come, and for programs."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from tests.bench.figures import Figure
from tests.bench.setting import Setting, file_system

_NAME, _VALUE, _GOAL = 48, 14, 16
_STYLES = {True: "green", False: "bold red", None: "dim"}


class Machine(msgspec.Struct, frozen=True):
    system: str
    python: str
    cores: int
    folder: str
    file_system: str
    load: float  # processes that wanted a core in the minute before

    @classmethod
    def look(cls, setting: Setting) -> "Machine":
        return cls(
            f"{platform.system()} {platform.release()}",
            platform.python_version(),
            len(os.sched_getaffinity(0)),
            str(setting.folder),
            file_system(setting.folder),
            os.getloadavg()[0],
        )

    def line(self) -> str:
        return (
            f"{self.system}, Python {self.python}, {self.cores} cores, load {self.load:.2f}, "
            f"files in {self.folder} ({self.file_system})"
        )


class Report(Protocol):
    def begin(self, machine: Machine) -> None: ...

    def part(self, title: str) -> None: ...

    def figure(self, figure: Figure) -> None: ...

    def end(self, figures: Sequence[Figure]) -> None: ...


class Table:
    """A line for each figure, coloured on a terminal."""

    def __init__(self) -> None:
        self._print = _rich_print() if sys.stdout.isatty() else _plain_print

    def begin(self, machine: Machine) -> None:
        self._print(machine.line(), None)

    def part(self, title: str) -> None:
        self._print(f"\n{title}", "bold")

    def figure(self, figure: Figure) -> None:
        self._print(row(figure), _STYLES[figure.met])

    def end(self, figures: Sequence[Figure]) -> None:
        short = [figure.name for figure in figures if figure.met is False]
        goals = sum(figure.met is not None for figure in figures)
        words = f"load {os.getloadavg()[0]:.2f} at the end; {goals - len(short)} of {goals} goals met"
        self._print(f"\n{words}" + (f"; short: {', '.join(short)}" if short else ""), "bold")


class Json:
    """One document at the end."""

    def begin(self, machine: Machine) -> None:
        self._machine = machine

    def part(self, title: str) -> None: ...

    def figure(self, figure: Figure) -> None: ...

    def end(self, figures: Sequence[Figure]) -> None:
        document = {
            "machine": self._machine,
            "figures": [{**msgspec.to_builtins(figure), "met": figure.met} for figure in figures],
        }
        print(msgspec.json.format(msgspec.json.encode(document)).decode())


def row(figure: Figure) -> str:
    """name, value, goal, verdict, spread of the rounds, note."""
    value = "not measured" if figure.value is None else f"{number(figure.value)} {figure.unit}".strip()
    goal, verdict = "", ""
    if figure.goal is not None:
        goal = f"{'>=' if figure.better == 'higher' else '<='} {number(figure.goal)}"
        verdict = "pass" if figure.met else "SHORT"
    spread = f"{number(min(figure.samples))} … {number(max(figure.samples))}" if len(figure.samples) > 1 else ""
    rest = "  ".join(part for part in (spread, figure.note) if part)
    return f"  {figure.name:<{_NAME}} {value:>{_VALUE}}  {goal:<{_GOAL}} {verdict:<5}  {rest}".rstrip()


def number(value: float) -> str:
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 20 else f"{value:.3f}" if abs(value) < 0.1 else f"{value:.2f}"


def _plain_print(text: str, style: str | None) -> None:
    print(text, flush=True)


def _rich_print() -> Callable[[str, str | None], None]:
    from rich.console import Console

    console = Console(width=max(120, shutil.get_terminal_size().columns))

    def show(text: str, style: str | None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    return show
