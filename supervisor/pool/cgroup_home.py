"""The folder that the workers' cgroups go in: found, fit for it, and given the memory controller."""

import contextlib
import errno
import os
from pathlib import Path

from supervisor.pool.delegation import LEAF, TOLD, delegated_place, own_place


class Unfit(Exception):
    """Why no cgroups can be made."""


def delegated() -> Path:
    """The daemon's own cgroup, the daemon now in its leaf."""
    own = own_place()
    if own is None:
        raise Unfit("this process has no cgroup v2 that it can see")
    # A user's systemd (252) delegates without a mark: there the unit says it.
    told = os.environ.get(TOLD) == "yes"
    folder = own.folder if told else delegated_place(own, os.geteuid())
    if folder is None:
        raise Unfit(f"{own.folder} is not delegated to stoker: its systemd unit needs Delegate=yes")
    _check(folder)
    leaf = folder / LEAF
    try:
        leaf.mkdir(exist_ok=True)
        write(leaf / "cgroup.procs", str(os.getpid()))
    except OSError as error:
        with contextlib.suppress(OSError):
            leaf.rmdir()
        raise Unfit(f"cannot move to {leaf}: {why(error)}") from None
    return folder


def given(folder: Path) -> Path:
    """The folder that the configuration names, if workers can be moved there."""
    _check(folder)
    own = own_place()
    # The kernel wants the file of the cgroup above both, the old one and the new.
    above = [Path(os.path.commonpath([folder.resolve(), own.folder]))] if own is not None else []
    for needed in (folder, *(one / "cgroup.procs" for one in (*above, folder))):
        if not os.access(needed, os.W_OK, effective_ids=True):
            raise Unfit(f"workers cannot be moved to {folder}: that needs write access to {needed}")
    return folder


def _check(folder: Path) -> None:
    if not (folder / "cgroup.controllers").is_file():
        raise Unfit(f"{folder} is no cgroup of version 2")
    if (folder / "cgroup.events").exists() and not (folder / "cgroup.kill").exists():  # the top has neither
        raise Unfit("this kernel cannot kill a cgroup as one (Linux 5.14 can)")
    with contextlib.suppress(FileNotFoundError):
        kind = (folder / "cgroup.type").read_text().strip()
        if kind != "domain":
            raise Unfit(f"{folder} is for threads ({kind}), not for processes")


def enable_memory(folder: Path) -> str | None:
    """None: the cgroups in `folder` can bound memory. Else why not."""
    if "memory" in (folder / "cgroup.subtree_control").read_text().split():
        return None
    if "memory" not in (folder / "cgroup.controllers").read_text().split():
        return f"not limited: {folder} has no memory controller"
    try:
        write(folder / "cgroup.subtree_control", "+memory")
    except OSError as error:
        reason = "there are processes in it" if error.errno == errno.EBUSY else why(error)
        return f"not limited: the memory controller cannot be enabled in {folder}: {reason}"
    return None


def write(file: Path, text: str) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def why(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else str(error)
