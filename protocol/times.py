"""RFC 3339 both ways. Inside the daemon an instant is an integer: microseconds since 1970 in UTC."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated

import msgspec

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # naive on purpose: everything here is UTC, and "Z" is shorter than "+00:00"
_MICROSECOND = timedelta(microseconds=1)
_Instant = Annotated[datetime, msgspec.Meta(tz=True)]


def to_rfc3339(micros: int) -> str:
    """`2025-01-31T12:00:00.000000Z`: always six digits, so that these texts sort as the times do."""
    second, fraction = divmod(micros, 1_000_000)
    return f"{_second(second)}.{fraction:06d}Z"


@lru_cache(maxsize=64)  # what is told together happened together: thousands of events have a second in common
def _second(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat(timespec="seconds")


def maybe_rfc3339(micros: int | None) -> str | None:
    return None if micros is None else to_rfc3339(micros)


def from_rfc3339(text: str) -> int:
    """Raises ValueError for anything but a date and time with an offset or Z; digits below microseconds are rounded."""
    try:
        moment = msgspec.convert(text, _Instant).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        raise ValueError(f"{text[:40]!r} is not an RFC 3339 time") from None
    return (moment.replace(tzinfo=None) - _EPOCH) // _MICROSECOND
