"""What this machine and this process allow: accounts, CPUs, limits. `is_root` as in `load`."""

import grp
import os
import pwd
import resource
from pathlib import Path

_CAP_SYS_NICE, _CAP_SYS_RESOURCE = 23, 24
ID_MAX = 2**32 - 2  # the one above means "leave it as it is" to setuid(2)


def find_user(text: str) -> pwd.struct_passwd | None:
    """The account of a user by name or number; None when there is none."""
    try:
        return pwd.getpwuid(_number(text)) if _is_number(text) else pwd.getpwnam(text)
    except KeyError:
        return None


def find_group(text: str) -> grp.struct_group | None:
    """The group by name or number; None when there is none."""
    try:
        return grp.getgrgid(_number(text)) if _is_number(text) else grp.getgrnam(text)
    except KeyError:
        return None


def cpus() -> frozenset[int]:
    """The CPUs that this process, and so its workers, may run on."""
    return frozenset(os.sched_getaffinity(0))


def lowest_nice(is_root: bool) -> int:
    """The least niceness that a worker may be given."""
    if is_root and _capable(_CAP_SYS_NICE):
        return -20
    allowed = resource.getrlimit(resource.RLIMIT_NICE)[0]  # counts from 20 downwards
    by_limit = -20 if allowed == resource.RLIM_INFINITY else 20 - min(allowed, 40)
    return min(os.getpriority(os.PRIO_PROCESS, 0), by_limit)


def highest_limit(number: int, is_root: bool) -> int | None:
    """The most that a worker may be given of RLIMIT_…, in its own unit; None: as much as there is."""
    if not (is_root and _capable(_CAP_SYS_RESOURCE)):
        hard = resource.getrlimit(number)[1]
        return None if hard == resource.RLIM_INFINITY else hard
    if number == resource.RLIMIT_NOFILE:  # nobody gets more descriptors than this
        try:
            return int(Path("/proc/sys/fs/nr_open").read_text())
        except OSError:  # a unit with ProcSubset=pid; the start of a worker will tell
            return None
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _number(text: str) -> int:
    if len(text) > 10 or int(text) > ID_MAX:
        raise KeyError(text)
    return int(text)


def _capable(bit: int) -> bool:
    """In a container root often lacks this. Where /proc does not tell, root is taken for what it was."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return True
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "")
    return bool(int(mask, 16) >> bit & 1) if mask else True
