"""Processes that left their worker for good: out of its session, without its mark, and their parent gone.

Nothing ties them to the worker any more but that the kernel gives an orphan to its nearest ancestor that asks for
orphans. So while this is entered we ask, and what comes is the workers'.
"""

import contextlib
import os
import time
from array import array

from supervisor.pool import procfs
from supervisor.pool.tree import end_processes

PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER = 36, 37  # prctl(2)
PATIENCE = 5.0  # seconds for SIGKILL to work
PAUSE = 0.005  # seconds between looking for what a dying process leaves behind


class Adopted:
    """`works`: the kernel gives us the orphans. `workers` holds the children that are somebody's to wait for. `left`:
    the processes that could not be killed."""

    def __init__(self) -> None:
        self.works = False
        self.workers: set[int] = set()
        self.left: list[int] = []
        self._was = False
        self._others: set[tuple[int, int]] = set()  # children that we had before, by pid and start

    def __enter__(self) -> "Adopted":
        self._others = {(one.pid, one.started) for one in _children()}
        self._was = _asks_for_orphans()
        self.works = self._was or _ask_for_orphans(True)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        if self.works and not self._was:
            _ask_for_orphans(False)

    def living(self) -> list[procfs.Stat]:
        """Those that run; the dead are reaped, so that they do not pass for zombies of a worker."""
        if not self.works:
            return []
        ours = [
            one for one in _children() if one.pid not in self.workers and (one.pid, one.started) not in self._others
        ]
        for one in ours:
            if one.state in "ZX":
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(one.pid, os.WNOHANG)
        return [one for one in ours if one.state not in "ZX"]

    def end(self) -> None:
        """Kill them, and what they leave to us when they die; blocks, for PATIENCE at most."""
        deadline = time.monotonic() + PATIENCE
        while (left := self.living()) and time.monotonic() < deadline:
            end_processes(left, deadline)
            self.living()
            time.sleep(PAUSE)
        self.left = [one.pid for one in left]

    def remains(self) -> str | None:
        """What may be left of the workers when all is over, in words; None: nothing."""
        if self.left:
            return f"could not be killed, and is left: {', '.join(map(str, self.left))}"
        if not self.works:
            return "may be left: a process that left its session and cleared its environment, since prctl(2) refuses"
        return None


def _children() -> list[procfs.Stat]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    found = (procfs.stat(pid) for pid in pids if _parent(pid) == os.getpid())
    return [one for one in found if one is not None]


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def _asks_for_orphans() -> bool:
    asks = array("i", [0])
    return _prctl(PR_GET_CHILD_SUBREAPER, asks.buffer_info()[0]) and asks[0] != 0


def _ask_for_orphans(yes: bool) -> bool:
    """Whether that could be said."""
    return _prctl(PR_SET_CHILD_SUBREAPER, int(yes))


def _prctl(option: int, value: int) -> bool:
    try:
        import ctypes  # which a Python may be built without

        arguments = [ctypes.c_ulong(number) for number in (value, 0, 0, 0)]
        return bool(ctypes.CDLL(None).prctl(ctypes.c_int(option), *arguments) == 0)
    except (ImportError, OSError, AttributeError):  # the last: no such function
        return False
