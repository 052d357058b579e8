"""What /proc says about processes. Every answer may be out of date when it arrives; callers verify by start time."""

import os
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Stat(NamedTuple):
    """Of /proc/PID/stat (proc(5)). `started` is in clock ticks since boot: with the pid it names one process."""

    pid: int
    state: str
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
    return Stat(pid, fields[0].decode(), int(fields[3]), int(fields[19]))


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


tree_rss = rss


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
