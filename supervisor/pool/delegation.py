"""Where this process stands in the cgroup v2 tree, and whether that place was given to it."""

import os
import re
from pathlib import Path
from typing import NamedTuple

LEAF = "daemon"  # of a delegated cgroup: where the daemon itself goes, since only leaves may have processes
TOLD = "STOKER_DELEGATED"  # a variable of the daemon's: "yes" means its own cgroup, whatever marks that has

_OCTAL = re.compile(r"\\([0-7]{3})")


class Place(NamedTuple):
    """A cgroup as a folder, and the mount point of the tree it is seen in."""

    folder: Path
    mount: Path


def own_place() -> Place | None:
    """This process's own cgroup v2; None where there is none, or it cannot be seen from here."""
    mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    own = Path("/proc/self/cgroup").read_text(errors="surrogateescape")
    seen = [place for place in places(mountinfo, own) if (place.folder / "cgroup.procs").is_file()]
    return seen[-1] if seen else None


def places(mountinfo: str, own: str) -> list[Place]:
    """Where a process's cgroup v2 should be found, by the text of its /proc/PID/mountinfo and /proc/PID/cgroup
    (proc(5)); the later of two mounts on one point hides the other.

    Version 2 may be the only one, or stand beside version 1 with few controllers or none. A mount shows the tree from
    its `root` on, which in a container is not the top; what lies above or beside cannot be reached through it.
    """
    path = next((line[3:] for line in own.splitlines() if line.startswith("0::")), None)
    if path is None:
        return []
    found = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        if right.split(" ", 1)[0] != "cgroup2":
            continue
        root, mount = (_plain(field) for field in left.split(" ")[3:5])
        below = os.path.relpath(path, root)
        # "/.." is how the kernel begins what lies outside of the cgroup namespace
        if not any(one == ".." or one.startswith("../") for one in (below, path[1:], root[1:])):
            found.append(Place(Path(mount) / below, Path(mount)))
    return found


def _plain(field: str) -> str:
    """Blanks and backslashes are octal in mountinfo."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)


def delegated_place(own: Place, uid: int) -> Path | None:
    """The cgroup that whoever manages the machine's tree has left to a daemon with this effective `uid`, which runs in
    `own`; None if there is none. With systemd's DelegateSubgroup=daemon, it starts one below."""
    if _is_delegated(own, uid):
        return own.folder
    above = Place(own.folder.parent, own.mount)
    if own.folder.name == LEAF and own.folder != own.mount and _is_delegated(above, uid):
        return above.folder
    return None


def _is_delegated(place: Place, uid: int) -> bool:
    """Said so by systemd's mark, or made for another user than root: the topmost folder that this user owns. One below
    it has a manager already (`systemd --user`, or the tool that made it), who thinks that all in there is its own."""
    if _is_marked(place.folder):
        return True
    if uid == 0 or place.folder.stat().st_uid != uid:
        return False
    return place.folder == place.mount or place.folder.parent.stat().st_uid != uid


def _is_marked(folder: Path) -> bool:
    for name in ("user.delegate", "trusted.delegate"):  # the second only root can see; older systemd has no other
        try:
            if os.getxattr(folder, name) == b"1":
                return True
        except OSError:
            continue
    return False
