"""How much journald takes of the unit that this process belongs to."""

import os
import re
from pathlib import Path

from supervisor.config.model import NANOS, Rate

# journald's own, where neither journald.conf nor the unit says otherwise.
USUAL_LIMIT = Rate(count=10_000, period=30 * NANOS)
NO_LIMIT = 100_000  # lines a second: as much as that is none
_UNITS = Path("/run/systemd/units")


def rate_limit(cgroup: str, units: Path = _UNITS) -> Rate | None:
    """How much journald takes of the unit of a process with this /proc/PID/cgroup, None: any amount. systemd leaves
    what the unit says where journald reads it; LogRateLimitIntervalSec=0 is the usual limit, whatever it looks like."""
    unit = re.search(r"/([^/\n]+\.service)", cgroup)
    limit = USUAL_LIMIT
    if unit is not None:
        count = _said(units / f"log-rate-limit-burst:{unit[1]}") or USUAL_LIMIT.count
        micros = _said(units / f"log-rate-limit-interval:{unit[1]}")
        limit = Rate(count=count, period=micros * 1000 if micros else USUAL_LIMIT.period)
    return None if limit.count * NANOS >= NO_LIMIT * limit.period else limit


def _said(link: Path) -> int | None:
    try:
        text = os.readlink(link)
    except OSError:
        return None
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None


def own_rate_limit() -> Rate | None:
    try:
        return rate_limit(Path("/proc/self/cgroup").read_text())
    except OSError:
        return USUAL_LIMIT
