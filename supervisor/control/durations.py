"""Durations that clients send, in seconds."""

from supervisor.errors import Invalid

MAX_SECS = 100 * 366 * 86400.0  # of every duration: beyond that it was meant in another unit


def check_secs(name: str, secs: float | None, *, positive: bool = True) -> None:
    """Raises Invalid for a duration that is negative, endless, or (`positive`) zero."""
    if secs is None or 0 < secs <= MAX_SECS or (secs == 0 and not positive):
        return
    least = "more than 0" if positive else "at least 0"
    raise Invalid(f"{name}: must be {least} and at most {MAX_SECS:.0f} seconds, got {secs:g}")
