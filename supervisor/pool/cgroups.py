"""A cgroup for each worker, where the daemon may make one: no process can leave it by forking, detaching or clearing
its environment, the kernel kills it as one, and it can bound the memory of all of its processes together.

Only cgroup v2 does that. stoker makes cgroups where that was left to it, and nowhere else: in its own cgroup when
systemd (`Delegate=yes`) or an owner other than root says that it may, or in a folder that an operator has made for it.
"""

import contextlib
import errno
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import structlog

from supervisor.errors import StartError
from supervisor.pool import cgroup_home
from supervisor.pool.cgroup_home import why, write

log = structlog.get_logger("stoker.pool")

PATIENCE = 10.0  # seconds for the kill of what an earlier daemon left
LOOK_AGAIN = 0.01  # seconds


class Cgroup:
    """One worker's. `limited`: the kernel holds its memory under a limit. What cannot be asked for want of a descriptor
    raises OSError where somebody's life hangs on the answer; a figure is None then."""

    def __init__(self, folder: Path, *, limited: bool = False, stuck: Callable[[Path], None] | None = None) -> None:
        self.folder = folder
        self.limited = limited
        self._stuck = stuck

    @property
    def entrance(self) -> Path:
        """A process that writes 0 to this file is in, and what it forks from then on."""
        return self.folder / "cgroup.procs"

    def attach(self, pid: int) -> None:
        """Move a process in; what it forks from now on is in here too. Raises OSError."""
        write(self.folder / "cgroup.procs", str(pid))

    def kill(self) -> None:
        """SIGKILL to every process in it, those being forked included. Does not wait. Raises OSError."""
        with contextlib.suppress(FileNotFoundError):
            write(self.folder / "cgroup.kill", "1")

    def populated(self) -> bool:
        """Whether anything lives in it; zombies do not. Raises OSError."""
        try:
            return _named(self.folder / "cgroup.events", "populated") == 1
        except FileNotFoundError:
            return False

    def pids(self) -> list[int]:
        """Of what lives in it. Raises OSError."""
        found = []
        for folder in self._folders():
            with contextlib.suppress(FileNotFoundError):
                found += [int(line) for line in (folder / "cgroup.procs").read_text().split()]
        return found

    def oom_kills(self) -> int:
        """How many of its processes the kernel has killed for want of memory."""
        with contextlib.suppress(OSError):
            return _named(self.folder / "memory.events", "oom_kill") or 0
        return 0

    def reached_its_limit(self) -> bool:
        """Whether it came to its own limit; False: where memory was short, it was that of those above it."""
        with contextlib.suppress(OSError):
            return bool(_named(self.folder / "memory.events", "oom"))
        return False

    def peak(self) -> int | None:
        """The most memory in bytes that it ever had, as the limit counts it: with the files it has cached. It stays
        below the limit that it wanted to pass. None where the kernel does not tell: before Linux 5.19, or without
        the memory controller."""
        with contextlib.suppress(OSError):
            return int((self.folder / "memory.peak").read_text())
        return None

    def usage(self) -> int | None:
        """Resident memory in bytes: what is its processes' own and what they have mapped, each page counted once.
        Without the files they have merely read, which fill any limit and are given back before anything is killed.
        None without the memory controller."""
        with contextlib.suppress(OSError):
            anon = _named(self.folder / "memory.stat", "anon")
            mapped = _named(self.folder / "memory.stat", "file_mapped")
            return None if anon is None or mapped is None else anon + mapped
        return None

    def remove(self) -> None:
        """Once nothing lives in it, with what its processes may have made below it. Best effort: one that cannot be
        removed now is tried again when the next one is made."""
        try:
            for folder in reversed(self._folders()):
                with contextlib.suppress(FileNotFoundError):
                    folder.rmdir()
        except OSError:
            if self._stuck is not None:
                self._stuck(self.folder)

    def _folders(self) -> list[Path]:
        """Itself and all below, from the top down."""
        return [Path(folder) for folder, _, _ in os.walk(self.folder)]


class Cgroups:
    """The workers' cgroups of one daemon: folders of `folder`, named after the daemon's `instance`, so that two may
    share it, and after pool and slot, for people. `memory`: they can bound memory."""

    def __init__(self, folder: Path, instance: str, *, memory: bool) -> None:
        self.folder = folder
        self.memory = memory
        self._prefix = f"worker-{instance}-"
        self._serial = itertools.count(1)
        self._stuck: list[Path] = []
        self._told: set[int | None] = set()

    @classmethod
    def find(cls, setting: Path | Literal["auto", "off"], instance: str) -> "Cgroups | None":
        """Where the configuration's `daemon.cgroup` leads; None: workers get no cgroup, and the log says why.

        "auto" moves the daemon into a leaf of its cgroup, since one that has processes can give no controller to
        those below it. Call it before there are workers, which would be moved along.
        """
        if setting == "off":
            return None
        try:
            folder = cgroup_home.delegated() if setting == "auto" else cgroup_home.given(setting)
            want = cgroup_home.enable_memory(folder)
        except (cgroup_home.Unfit, OSError) as unfit:
            if setting == "auto":
                log.info("cgroups_not_used", reason=str(unfit))
            else:
                log.warning("cgroups_not_used", reason=f"daemon.cgroup: {unfit}")
            return None
        log.info("cgroups_used", folder=str(folder), memory="limited by the kernel" if want is None else want)
        return cls(folder, instance, memory=want is None)

    def create(self, name: str, memory_limit: int | None) -> Cgroup | None:
        """A new cgroup for the worker `name` (POOL.SLOT), its memory at most `memory_limit` bytes without any swap,
        where that can be had. What the kernel kills for want of memory, it kills as a whole. None: it cannot be made,
        which the log says once for each reason."""
        self._remove_stuck()
        try:
            folder = self._make(name)
            limited = self.memory and _limit_memory(folder, memory_limit)
        except OSError as error:
            if error.errno not in self._told:
                self._told.add(error.errno)
                log.warning("cgroup_not_made", worker=name, folder=str(self.folder), error=why(error))
            return None
        return Cgroup(folder, limited=limited, stuck=self._stuck.append)

    def end_previous(self) -> int:
        """Kill what an earlier daemon of this instance left, and remove it; how many processes there were. Raises
        StartError if some do not die: a job must not start again beside its predecessor."""
        left = [Cgroup(self.folder / name) for name in os.listdir(self.folder) if name.startswith(self._prefix)]
        ended = {pid for cgroup in left for pid in cgroup.pids()}
        for cgroup in left:
            cgroup.kill()
        deadline = time.monotonic() + PATIENCE
        while living := [cgroup for cgroup in left if cgroup.populated()]:
            if time.monotonic() > deadline:
                pids = ", ".join(str(pid) for cgroup in living for pid in cgroup.pids())
                raise StartError(
                    f"workers of the previous run do not die (pids {pids}): end them by hand, then start again"
                )
            time.sleep(LOOK_AGAIN)
        for cgroup in left:
            cgroup.remove()
        return len(ended)

    def _make(self, name: str) -> Path:
        while True:
            folder = self.folder / f"{self._prefix}{name}.{next(self._serial)}"
            with contextlib.suppress(FileExistsError):  # one that an earlier daemon could not remove
                folder.mkdir()
                return folder

    def _remove_stuck(self) -> None:
        stuck, self._stuck[:] = self._stuck[:], []
        for folder in stuck:
            Cgroup(folder, stuck=self._stuck.append).remove()


def _limit_memory(folder: Path, limit: int | None) -> bool:
    """Whether there is a limit now."""
    with contextlib.suppress(OSError):
        # Also without a limit of its own: half a worker is none, and a count of kills would not say whom it hit.
        write(folder / "memory.oom.group", "1")
    if limit is None:
        return False
    try:
        write(folder / "memory.max", str(limit))
    except OSError:
        return False
    with contextlib.suppress(OSError):  # there is no such file without swap
        write(folder / "memory.swap.max", "0")
    return True


def _named(file: Path, name: str) -> int | None:
    """The number after `name` in a file of names and numbers. Raises OSError, FileNotFoundError if the cgroup is gone
    or has no such file."""
    try:
        text = file.read_text()
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed between open and read
            raise FileNotFoundError(error.errno, str(file)) from None
        raise
    return next((int(line.partition(" ")[2]) for line in text.splitlines() if line.startswith(f"{name} ")), None)
