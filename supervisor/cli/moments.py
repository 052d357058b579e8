"""Times and durations as people read them."""

from datetime import UTC, datetime

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def span(secs: float) -> str:
    """A duration in at most two units: 12ms, 3.2s, 42s, 5m12s, 3h20m, 12d4h."""
    if secs < 1:
        return f"{max(0, round(secs * 1000))}ms"
    if secs < 10:
        return f"{secs:.1f}s"
    whole = int(secs)
    for place, (size, unit) in enumerate(_UNITS):
        if whole >= size:
            count, rest = divmod(whole, size)
            finer, name = _UNITS[min(place + 1, len(_UNITS) - 1)]
            return f"{count}{unit}{rest // finer}{name}" if rest >= finer and size > 1 else f"{count}{unit}"
    return "0s"


def since(moment: str, now: datetime | None = None) -> float:
    """Seconds from an RFC 3339 time until now; negative for one to come."""
    return ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()


def relative(moment: str, now: datetime | None = None) -> str:
    """`5m12s ago`, or `in 3h20m`."""
    secs = since(moment, now)
    return f"{span(secs)} ago" if secs >= 0 else f"in {span(-secs)}"
