"""Durations, sizes and rates as people write them: "1h30m", "250ms", "16MiB", "10MB", "100/s".

A duration is float seconds, a size is bytes. Both take a plain number as well (seconds, bytes), also as text, because
the command line only has text.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

DURATION_FORM = 'a duration such as "250ms", "30s" or "1h30m"'
RATE_FORM = 'a rate such as "100/s", "20/m", "5000/h" or "10/30s"'
SIZE_FORM = 'a size such as "512KiB", "1MiB" or "16MB"'

MILLISECONDS: Mapping[str, int] = MappingProxyType({"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1})
BYTES: Mapping[str, int] = MappingProxyType(
    {
        "B": 1,
        "kB": 1_000,
        "MB": 1_000**2,
        "GB": 1_000**3,
        "TB": 1_000**4,
        "KiB": 1_024,
        "MiB": 1_024**2,
        "GiB": 1_024**3,
        "TiB": 1_024**4,
    }
)
_BYTES_BY_LOWER = {name.lower(): count for name, count in BYTES.items()}

# Fifteen digits keep every result far from the end of a float.
_NUMBER = r"([0-9]{1,15})(?:\.([0-9]{1,15}))?"
_PLAIN = re.compile(_NUMBER)
_DURATION_PART = re.compile(_NUMBER + r"\s*([a-z]+)\s*", re.ASCII)
_SIZE = re.compile(_NUMBER + r"\s*([a-z]*)", re.ASCII | re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Seconds. Parts go from large to small, each unit at most once; raises ValueError for anything else."""
    text = text.strip()
    if _PLAIN.fullmatch(text):
        return float(text)
    unfit = ValueError(f"{text!r} is not {DURATION_FORM}")
    units = list(MILLISECONDS)
    seconds, position = 0.0, 0
    while position < len(text):
        part = _DURATION_PART.match(text, position)
        if part is None or part[3] not in units:
            raise unfit
        seconds += _times(part, MILLISECONDS[part[3]]) / 1_000
        units = units[units.index(part[3]) + 1 :]
        position = part.end()
    if position == 0:
        raise unfit
    return seconds


def parse_size(text: str) -> int:
    """Bytes, a whole number of them; raises ValueError for anything else. Letter case does not matter."""
    size = _SIZE.fullmatch(text.strip())
    unit = _BYTES_BY_LOWER.get(size[3].lower() or "b") if size else None
    if size is None or unit is None:
        raise ValueError(f"{text!r} is not {SIZE_FORM}")
    count = _times(size, unit)
    if isinstance(count, float):
        raise ValueError(f"{text!r} is not a whole number of bytes")
    return count


def parse_rate(text: str) -> tuple[int, float]:
    """How many in how many seconds; raises ValueError for anything else, and for none at all."""
    count, slash, period = (part.strip() for part in text.partition("/"))
    try:
        if not slash or not (count.isascii() and count.isdecimal()) or _PLAIN.fullmatch(period):  # "100/60": of what?
            raise ValueError
        seconds = parse_duration(period if period[:1].isdecimal() else f"1{period}")
        if int(count) == 0 or seconds == 0:
            raise ValueError
    except ValueError:
        raise ValueError(f"{text!r} is not {RATE_FORM}") from None
    return int(count), seconds


def format_duration(seconds: float) -> str:
    """What parse_duration reads back to the same millisecond: 90.0 is "1m30s", 0.25 is "250ms"."""
    rest = round(seconds * 1_000)
    parts = []
    for unit, length in MILLISECONDS.items():
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def format_size(count: int) -> str:
    """The shortest exact form: 1048576 is "1MiB", 16000000 is "16MB", 1500 is "1500B"."""
    if count == 0:
        return "0B"
    number, unit = min((count // unit, name) for name, unit in BYTES.items() if count % unit == 0)
    return f"{number}{unit}"


def format_range(low: int, high: int) -> str:
    """ "4", or "2 to 8"."""
    return str(high) if low == high else f"{low} to {high}"


def _times(number: re.Match[str], unit: int) -> int | float:
    """The matched decimal times `unit`: an int when it is whole, else divided just once, for the nearest float."""
    fraction = number[2] or ""
    digits: int = int(number[1] + fraction) * unit
    scale: int = 10 ** len(fraction)
    return digits // scale if digits % scale == 0 else digits / scale
