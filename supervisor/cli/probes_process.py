"""The part of `stoker doctor` that looks at a running daemon from outside: its cgroup, its limits, its clock."""

import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from supervisor.cli.probes import Finding

CGROUPS = Path("/sys/fs/cgroup")
JUMP_SECS = 5.0
FEW_FILES = 4096
DAEMONS_LEAF = "/daemon"


def process(status: Mapping[str, object]) -> Iterator[Finding]:
    """By what it says of itself; what cannot be seen from here is left out."""
    pid = status.get("pid")
    yield from _clock(status)
    if not isinstance(pid, int):
        return
    proc = Path(f"/proc/{pid}")
    try:
        if b"serve" not in (proc / "cmdline").read_bytes():  # in its own pid namespace it has another number
            return
        own = (proc / "cgroup").read_text()
        limits = (proc / "limits").read_text()
    except OSError:  # another pid namespace, or hidepid
        return
    yield from _files(limits)
    yield _cgroup(own)


def _clock(status: Mapping[str, object]) -> Iterator[Finding]:
    """The daemon's uptime is measured by a clock that nobody sets."""
    try:
        started = datetime.fromisoformat(str(status["started_at"])).timestamp()
        uptime = float(str(status["uptime_secs"]))
    except (KeyError, ValueError):
        return
    jumped = time.time() - started - uptime
    if abs(jumped) > JUMP_SECS:
        how = "forward" if jumped > 0 else "back"
        yield Finding(
            "clock",
            "warn",
            f"it was set {how} by {abs(jumped):.0f} s since the daemon's start: waits and delays are off by as much",
            "let something keep it steadily (systemd-timesyncd, chrony)",
        )
    else:
        yield Finding("clock", "ok", "steady since the daemon's start")


def _files(limits: str) -> Iterator[Finding]:
    line = next((line for line in limits.splitlines() if line.startswith("Max open files")), "")
    fields = line.split()
    if len(fields) < 5 or not fields[4].isdigit():
        return
    hard = int(fields[4])
    if hard < FEW_FILES:
        yield Finding(
            "limits",
            "warn",
            f"the daemon may have {hard} open files, which few connections and workers use up",
            f"LimitNOFILE={FEW_FILES * 16} in its unit, or ulimit -n before it is started",
        )
    else:
        yield Finding("limits", "ok", f"{hard} open files")


def _cgroup(own: str) -> Finding:
    path = next((line[3:] for line in own.splitlines() if line.startswith("0::")), None)
    if path is None:
        return Finding(
            "cgroups",
            "warn",
            "this machine has no cgroup version 2: workers' trees are ended as far as /proc shows them",
            "boot with systemd.unified_cgroup_hierarchy=1",
        )
    top = path.removesuffix(DAEMONS_LEAF)
    folder = CGROUPS / top.lstrip("/")
    if top == path:
        return Finding(
            "cgroups",
            "warn",
            f"the daemon has no part of the tree of its own ({path}): what a worker leaves behind may be missed",
            "Delegate=yes in its unit, or daemon.cgroup in the configuration",
        )
    try:
        controllers = (folder / "cgroup.subtree_control").read_text().split()
    except OSError:
        return Finding("cgroups", "ok", f"delegated: {top}")
    if "memory" not in controllers:
        return Finding(
            "cgroups",
            "warn",
            f"{top} has no memory controller: memory_limit is not held by the kernel, only looked after",
            "Delegate=yes (or Delegate=memory pids) in the unit, and no cgroup_disable=memory at boot",
        )
    return Finding("cgroups", "ok", f"delegated: {top}, with {' '.join(sorted(controllers))}")
