"""Times as people read them."""

from datetime import UTC, datetime

from supervisor.core.words import about_duration


def since(moment: str, now: datetime | None = None) -> float:
    """Seconds from an RFC 3339 time until now; negative for one to come."""
    return ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()


def relative(moment: str, now: datetime | None = None) -> str:
    """`5m12s ago`, or `in 3h20m`."""
    secs = since(moment, now)
    return f"{about_duration(secs)} ago" if secs >= 0 else f"in {about_duration(-secs)}"


def clock(moment: str) -> str:
    """An RFC 3339 time as local date and time, to the millisecond."""
    return datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
