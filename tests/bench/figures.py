"""What a measurement comes to: one figure, its goal, and how to make one out of many samples."""

from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import Literal

import msgspec

MS = 1e3  # in a second
MICROS = 1e6


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """`goal` None: a reference, or for information. `samples` are the rounds that `value` is the median of; None is a
    value that cannot be measured here, and `note` says why."""

    name: str
    value: float | None
    unit: str
    goal: float | None = None
    better: Literal["higher", "lower"] = "higher"
    samples: tuple[float, ...] = ()
    note: str = ""

    @property
    def met(self) -> bool | None:
        if self.goal is None or self.value is None:
            return None
        return self.value >= self.goal if self.better == "higher" else self.value <= self.goal


def rate(name: str, samples: Sequence[float], *, goal: float | None = None, unit: str = "jobs/s") -> Figure:
    """More is better."""
    return Figure(name=name, value=median(samples), unit=unit, goal=goal, samples=tuple(samples))


def ratio(name: str, samples: Sequence[float], *, at_least: float, note: str = "") -> Figure:
    return Figure(name=name, value=median(samples), unit="x", goal=at_least, samples=tuple(samples), note=note)


def ceiling(name: str, samples: Sequence[float], unit: str, *, goal: float | None = None, note: str = "") -> Figure:
    """Less is better."""
    return Figure(
        name=name, value=median(samples), unit=unit, goal=goal, better="lower", samples=tuple(samples), note=note
    )


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that `percent` of all do not exceed."""
    ordered = sorted(samples)
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Round by round."""
    return [one / other for one, other in zip(above, below, strict=True)]
