"""How long a stop may take, and whether systemd waits as long.

systemd tells a service nothing of its TimeoutStopSec, and in a sandbox there is nobody to ask. So the unit says it
twice: beside TimeoutStopSec= it sets a variable to the same time.
"""

import re
from collections.abc import MutableMapping

from supervisor.config.model import Config
from supervisor.config.quantities import format_duration
from supervisor.errors import ConfigError, StartError

VARIABLE = "STOKER_TIMEOUT_STOP"
MARGIN = 2.0  # seconds for what comes after the last worker's end: the outcomes, the store
_SECONDS = {
    **dict.fromkeys(("us", "usec", "µs", "μs"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 7 * 86400.0),
    **dict.fromkeys(("M", "month", "months"), 30.44 * 86400.0),
    **dict.fromkeys(("y", "year", "years"), 365.25 * 86400.0),
}
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*([a-zA-Zµμ]*)\s*")


def take(environ: MutableMapping[str, str]) -> float | None:
    """What the unit says of systemd's patience, in seconds; None: nothing. The variable is taken out of `environ`, so
    that no worker believes it is for it. Raises StartError for what is no time."""
    text = environ.pop(VARIABLE, "").strip()
    if not text:
        return None
    seconds = parse_timespan(text)
    if seconds is None:
        raise StartError(
            f"{VARIABLE}: found {text!r}, expected the unit's TimeoutStopSec once more, such as 45s or 1min 30s"
        )
    return seconds


def parse_timespan(text: str) -> float | None:
    """Seconds, of a time as systemd.time(7) or our own configuration writes it; None for anything else. As everywhere
    in systemd's timeouts, 0 and infinity are the same."""
    text = text.strip()
    if text == "infinity":
        return float("inf")
    seconds, position = 0.0, 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or part[2] not in _SECONDS:
            return None
        seconds += float(part[1]) * _SECONDS[part[2]]
        position = part.end()
    return None if not text else seconds or float("inf")


def needed(config: Config) -> float:
    """Seconds that a stop takes at most: the drain, then the end of workers that do not hear, and a little more."""
    return config.daemon.drain_timeout + max((pool.kill_grace for pool in config.pools), default=0.0) + MARGIN


def check(config: Config, limit: float | None) -> None:
    """Raises ConfigError where a stop may take longer than systemd waits (`limit`, in seconds; None: unknown). What it
    kills then could have been given back in order."""
    if limit is None or needed(config) <= limit:
        return
    drain, all_of_it = format_duration(config.daemon.drain_timeout), format_duration(needed(config))
    slowest = max(config.pools, key=lambda pool: pool.kill_grace, default=None)
    grace = "" if slowest is None else f", the kill_grace of pool {slowest.name} {format_duration(slowest.kill_grace)}"
    text = (
        f"a stop may take {all_of_it} (drain_timeout {drain}{grace}, and {format_duration(MARGIN)} more), but systemd "
        f"waits {format_duration(limit)}: make them shorter, or the unit's TimeoutStopSec= and {VARIABLE} longer"
    )
    raise ConfigError(str(config.source), [("daemon.drain_timeout", text)])
