"""What /proc says about processes. Every answer may be out of date when it arrives; callers verify by start time."""

import contextlib
import os
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TELLS_CHILDREN = os.path.exists("/proc/thread-self/children")  # a kernel may be built without


class Stat(NamedTuple):
    """Of /proc/PID/stat (proc(5)). `started` is in clock ticks since boot: with the pid it names one process."""

    pid: int
    state: str
    group: int
    session: int
    started: int


def stat(pid: int) -> Stat | None:
    """None: there is no such process (any more). OSError: nobody can tell now (too many open files)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may hold anything, parentheses included.
    fields = text[text.rindex(b")") + 2 :].split()
    return Stat(pid, fields[0].decode(), int(fields[2]), int(fields[3]), int(fields[19]))


def all_processes() -> list[Stat]:
    found = (stat(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [one for one in found if one is not None]


def rss(pid: int) -> int | None:
    """Resident memory in bytes."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return None


def tree_rss(leader: int) -> int | None:
    """Resident memory in bytes of a worker, its children and theirs; None if it is gone.

    A page that several of them share counts for each: cheap, and exact for a single process, but too much for a
    family that forked with a large model in memory. Over a limit, `tree_pss` is the judge. Processes that have
    detached from their parents are not seen; only a cgroup sees those.
    """
    own = rss(leader)
    if own is None:
        return None
    return own + sum(rss(pid) or 0 for pid in _descendants(leader))


def tree_pss(leader: int) -> int | None:
    """As tree_rss, but a page that n processes share counts for 1/n in each of them. The kernel walks their page tables
    for it, 10 ms or so for each gigabyte: call it in a thread."""
    own = _pss(leader)
    if own is None:
        return None
    return own + sum(_pss(pid) or 0 for pid in _descendants(leader))


def _pss(pid: int) -> int | None:
    """rss where we may not look closer: at programs with privileges that we do not have."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"Pss:"))
    except (OSError, StopIteration):
        return rss(pid)


def _descendants(leader: int) -> list[int]:
    if not _TELLS_CHILDREN:
        return [one.pid for one in all_processes() if one.session == leader and one.pid != leader]
    found, known = [leader], {leader}
    for pid in found:  # it grows meanwhile
        for child in _children(pid):
            if child not in known:  # a number may be given anew while we look
                known.add(child)
                found.append(child)
    return found[1:]


def _children(pid: int) -> list[int]:
    """Each thread has its own."""
    children: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return children
    for thread in threads:
        with (
            contextlib.suppress(FileNotFoundError, ProcessLookupError),
            open(f"/proc/{pid}/task/{thread}/children", "rb", buffering=0) as file,
        ):
            children += map(int, file.read().split())
    return children


def has_environ(pid: int, entry: bytes) -> bool:
    """Whether NAME=VALUE stands in the environment the process was started with. False where we may not look."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return entry in file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
