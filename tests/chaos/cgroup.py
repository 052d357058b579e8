"""A cgroup for a daemon to make its workers' in, where this machine lets us have one."""

import contextlib
import os
import time
from pathlib import Path

PATIENCE = 10.0  # seconds for the end of what is killed


def mount() -> Path | None:
    """Where cgroup v2 is to be seen, alone or beside v1."""
    rows = (row.split() for row in Path("/proc/self/mounts").read_text().splitlines())
    return next((Path(row[1]) for row in rows if row[2] == "cgroup2"), None)


def make() -> Path | None:
    """An empty one; None where we may not."""
    place = mount()
    if place is None:
        return None
    folder = place / f"stoker-chaos-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        folder.mkdir()
    except OSError:
        return None
    return folder


def can_be_made() -> bool:
    folder = make()
    if folder is not None:
        folder.rmdir()
    return folder is not None


def found_in(folder: Path) -> list[str]:
    """The cgroups below it, and the processes anywhere in it: nothing, once its daemon has ended."""
    below = [Path(name) for name, _, _ in os.walk(folder)]
    processes = [pid for one in below for pid in (one / "cgroup.procs").read_text().split()]
    return [*(str(one.relative_to(folder)) for one in below[1:]), *processes]


def remove(folder: Path) -> None:
    """With whatever lives in it."""
    (folder / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + PATIENCE
    while "populated 1" in (folder / "cgroup.events").read_text():
        assert time.monotonic() < deadline, f"the processes in {folder} do not die"
        time.sleep(0.01)
    for below, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(below)
