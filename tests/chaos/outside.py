"""What can be seen of a daemon and its workers from outside, and the load that is burnt beside it."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

from tests.e2e.daemon import children

TICK = os.sysconf("SC_CLK_TCK")
BURN = Path(__file__).with_name("burn.py")


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _times(pid: int) -> tuple[float, float]:
    """Seconds of processor time: its own, and that of the children it has reaped, and of theirs; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    user, system, reaped_user, reaped_system = (int(field) / TICK for field in fields[11:15])
    return user + system, reaped_user + reaped_system


def own_cpu(pid: int) -> float:
    return _times(pid)[0]


def workers_cpu(pid: int, without: Collection[int]) -> float:
    """Of all workers there were and are, and of what they have reaped; but not of those that are named. (Grandchildren
    that outlived their parents are not in it: here they only wait.)"""
    alive = [child.pid for child in children(pid) if child.pid not in without]
    return _times(pid)[1] + sum(sum(_times(one)) for one in alive)


class Burners:
    """So many processes that burn so many processors' time together, until `stop`."""

    def __init__(self, load: float, count: int, seed: int) -> None:
        self._began = time.monotonic()
        share = max(load / count, 1e-4)
        argv = [sys.executable, "-S", "-E", str(BURN), str(share)]
        # Each in a session of its own, as workers are: where sessions share the processors (autogroup), eight processes
        # of one would be held back more than eight workers, and whoever is measured beside them less.
        self._processes = [
            subprocess.Popen([*argv, str(seed + number)], start_new_session=True) for number in range(count)
        ]

    def stop(self) -> float:
        """The load that it was."""
        used = 0.0
        for process in self._processes:
            process.kill()
        for process in self._processes:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            used += usage.ru_utime + usage.ru_stime
        return used / (time.monotonic() - self._began)


def percentile(values: list[float], part: float) -> float:
    """The smallest value that at least this part of them does not exceed; NaN of none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]
