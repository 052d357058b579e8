"""What a worker and the processes it started have: memory, descriptors, dead children."""

import os

from supervisor.conformance.adopted import Adopted
from supervisor.pool import procfs
from supervisor.pool.child import Child
from supervisor.pool.tree import members

SHOWN = 80  # characters of a command line


def rss(child: Child) -> int:
    """Resident bytes of the whole tree; what processes share counts for each of them."""
    return sum(procfs.rss(pid) or 0 for pid in _tree(child))


def descriptors(child: Child) -> int:
    """How many are open in the whole tree."""
    return sum(_open(pid) for pid in _tree(child))


def zombies(child: Child, adopted: Adopted) -> int:
    """Dead processes that nobody in the tree has waited for."""
    adopted.living()
    return sum(one.state == "Z" and one.session == child.pid and one.pid != child.pid for one in procfs.all_processes())


def others(child: Child, adopted: Adopted) -> dict[int, str]:
    """The live processes of the tree but its leader, and those that have left it: pid and command line."""
    return {one.pid: _command(one.pid) for one in (*members(child.pid, child.mark), *adopted.living())}


def _tree(child: Child) -> list[int]:
    return [child.pid, *(one.pid for one in members(child.pid, child.mark))]


def _open(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:  # it is gone
        return 0


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return words if len(words) <= SHOWN else words[:SHOWN] + "…"
