"""The kinds of values a key can have. A kind checks one value, reports what does not fit, and returns it converted."""

import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard, TypeVar

from supervisor.config import quantities
from supervisor.config.model import NANOS, Rate
from supervisor.config.places import SQLITE
from supervisor.config.reading import Reading, join, shown

T = TypeVar("T")
# (reading, key path, value) -> what the value means, or None after reporting that it does not fit.
Kind: TypeAlias = Callable[[Reading, str, object], T | None]

NAME_FORM = 'a name of 1 to 100 letters, digits, "_", "-", "." or ":"'
FOREVER = "forever"
SOCKET_PATH_MAX = 107  # bytes: the kernel's sun_path holds 108, one of them the final NUL

_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_MODE = re.compile(r"0?[0-7]{3}")


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def integer(low: int, high: int) -> Kind[int]:
    def read(reading: Reading, at: str, value: object) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        reading.unfit(at, value, f"a whole number from {low} to {high}")
        return None

    return read


def number(low: float, high: float) -> Kind[float]:
    def read(reading: Reading, at: str, value: object) -> float | None:
        if _is_number(value) and low <= value <= high:
            return float(value)
        reading.unfit(at, value, f"a number from {low:g} to {high:g}")
        return None

    return read


def duration(low: float, high: float) -> Kind[float]:
    form = f"{quantities.DURATION_FORM}, from {quantities.format_duration(low)} to {quantities.format_duration(high)}"

    def read(reading: Reading, at: str, value: object) -> float | None:
        seconds = quantity(value, quantities.parse_duration)
        if seconds is not None and low <= seconds <= high:
            return float(seconds)
        reading.unfit(at, value, form)
        return None

    return read


def durations(low: float, high: float, most: int) -> Kind[tuple[float, ...]]:
    one = duration(low, high)

    def read(reading: Reading, at: str, value: object) -> tuple[float, ...] | None:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            reading.unfit(at, value, f'a list of 1 to {most} durations, such as ["1s", "10s", "1m"]')
            return None
        found = [one(reading, f"{at}[{index}]", item) for index, item in enumerate(value)]
        fitting = tuple(seconds for seconds in found if seconds is not None)
        return fitting if len(fitting) == len(found) else None

    return read


def age(low: float, high: float) -> Kind[float]:
    """A duration, or "forever", which is infinite."""
    lowest, highest = quantities.format_duration(low), quantities.format_duration(high)
    form = f'"{FOREVER}", or {quantities.DURATION_FORM}, from {lowest} to {highest}'

    def read(reading: Reading, at: str, value: object) -> float | None:
        seconds = math.inf if value == FOREVER else quantity(value, quantities.parse_duration)
        if seconds == math.inf or (seconds is not None and low <= seconds <= high):
            return float(seconds)
        reading.unfit(at, value, form)
        return None

    return read


def size(low: int, high: int) -> Kind[int]:
    form = f"{quantities.SIZE_FORM}, from {quantities.format_size(low)} to {quantities.format_size(high)}"

    def read(reading: Reading, at: str, value: object) -> int | None:
        count = quantity(value, quantities.parse_size)
        if isinstance(count, int) and low <= count <= high:
            return count
        reading.unfit(at, value, form)
        return None

    return read


def rate(low: int, high: int, longest: float) -> Kind[Rate]:
    """`low` to `high` in up to `longest` seconds."""
    ends = f"of {low} to {high} in up to {quantities.format_duration(longest)}"

    def read(reading: Reading, at: str, value: object) -> Rate | None:
        try:
            count, seconds = quantities.parse_rate(value) if isinstance(value, str) else (0, 0.0)
        except ValueError:
            count, seconds = 0, 0.0
        if low <= count <= high and 0 < seconds <= longest:
            return Rate(count=count, period=round(seconds * NANOS))
        reading.unfit(at, value, f"{quantities.RATE_FORM}, {ends}")
        return None

    return read


def flag(reading: Reading, at: str, value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    reading.unfit(at, value, "true or false, without quotes")
    return None


def one_of(*words: str) -> Kind[str]:
    def read(reading: Reading, at: str, value: object) -> str | None:
        if isinstance(value, str) and value in words:
            return value
        reading.unfit(at, value, "one of " + ", ".join(map(shown, words)))
        return None

    return read


def mode(reading: Reading, at: str, value: object) -> int | None:
    """Text and not a TOML number: 660 is a plausible slip for 0o660 and means something else."""
    if isinstance(value, str) and _MODE.fullmatch(value) and int(value, 8) & 0o600 == 0o600:
        return int(value, 8)
    reading.unfit(at, value, 'an octal mode as text that lets the owner read and write, such as "0660"')
    return None


def path(reading: Reading, at: str, value: object) -> Path | None:
    if is_text(value):
        return reading.path(value)
    reading.unfit(at, value, "a path as text")
    return None


def socket_path(reading: Reading, at: str, value: object) -> Path | None:
    found = path(reading, at, value)
    return found if found is not None and fits_socket(reading, at, found) else None


def fits_socket(reading: Reading, at: str, found: Path) -> bool:
    length = len(os.fsencode(found))
    if length > SOCKET_PATH_MAX:
        reading.problem(at, f"found {found} of {length} bytes, expected at most {SOCKET_PATH_MAX}, the system's limit")
    return length <= SOCKET_PATH_MAX


def folder(reading: Reading, at: str, value: object) -> Path | None:
    found = path(reading, at, value)
    if found is None or os.path.isdir(found):
        return found
    reading.unfit(at, value, f"a folder that exists, and {found} is none")
    return None


def store_url(reading: Reading, at: str, value: object) -> str | None:
    if is_text(value) and value.startswith(SQLITE):
        file = value.removeprefix(SQLITE)
        if file and not file.endswith("/") and file != ":memory:":
            return value
    reading.unfit(at, value, f'"{SQLITE}PATH", the path of a file relative to daemon.state_dir')
    return None


def argv(reading: Reading, at: str, value: object) -> tuple[str, ...] | None:
    if isinstance(value, list) and value and value[0] != "":
        return _each(
            reading, at, value, lambda item: isinstance(item, str) and "\0" not in item, "text in quotes, without NUL"
        )
    reading.unfit(at, value, 'a program and its arguments as a list of texts, such as ["python3", "worker.py"]')
    return None


def queue_names(reading: Reading, at: str, value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or not value:
        reading.unfit(at, value, "a list of at least one queue name")
        return None
    names = _each(reading, at, value, lambda item: isinstance(item, str) and is_name(item), NAME_FORM)
    if names is not None and (twice := sorted({name for name in names if names.count(name) > 1})):
        reading.problem(at, f"found {', '.join(map(shown, twice))} more than once, expected each queue once")
        return None
    return names


def by_queue(low: int, high: int) -> Kind[tuple[tuple[str, int], ...]]:
    """A whole number for each of some queues."""
    number = integer(low, high)

    def read(reading: Reading, at: str, value: object) -> tuple[tuple[str, int], ...] | None:
        if not isinstance(value, dict):
            reading.unfit(at, value, "a table of queues, each with a whole number, such as { urgent = 3 }")
            return None
        found = {queue: number(reading, join(at, queue), item) for queue, item in value.items()}
        return None if None in found.values() else tuple((queue, item or 0) for queue, item in found.items())

    return read


def quantity(value: object, parse: Callable[[str], float]) -> float | None:
    """A number as it stands, a text as `parse` reads it; None where neither fits."""
    if not isinstance(value, str):
        return value if _is_number(value) else None
    try:
        return parse(value)
    except ValueError:
        return None


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and value != "" and "\0" not in value


def _each(
    reading: Reading, at: str, values: list[Any], fits: Callable[[object], bool], expected: str
) -> tuple[str, ...] | None:
    misfits = [(index, value) for index, value in enumerate(values) if not fits(value)]
    for index, value in misfits:
        reading.unfit(f"{at}[{index}]", value, expected)
    return None if misfits else tuple(values)
