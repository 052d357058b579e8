"""What a run works with: where, how much, and the interpreter of the workers."""

import os
import sys
import tempfile
from pathlib import Path

import msgspec

from tests.workers import HERE, command

WORKERS = 4
ECHO = command("echo")
# What somebody without a pool would write.
ECHO_PLAINLY = [sys.executable, str(HERE / "echo.py")]


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured. Every figure is the median of `rounds`."""

    rounds: int = 5
    reference_secs: float = 1.0
    syncs: int = 1000
    spawns: int = 20
    drain: int = 100_000
    submit: int = 100_000
    latency: int = 1000
    counted: int = 300  # jobs whose syncs are counted
    few: int = 1000
    many: int = 1_000_000
    slice: int = 20_000  # of a backlog: submitted, and drained
    sleep: float = 10.0  # seconds of a subscriber
    lines: int = 100_000  # of a file, through warm workers
    spawned_lines: int = 100  # of one with a worker started for each


FULL = Sizes()
QUICK = Sizes(
    rounds=3,
    reference_secs=0.3,
    syncs=200,
    spawns=5,
    drain=20_000,
    submit=20_000,
    latency=300,
    many=100_000,
    slice=10_000,
    sleep=3.0,
    lines=50_000,
    spawned_lines=50,
)
TINY = Sizes(
    rounds=1,
    reference_secs=0.02,
    syncs=5,
    spawns=1,
    drain=300,
    submit=1100,
    latency=5,
    counted=5,
    few=50,
    many=2000,
    slice=200,
    sleep=0.0,
    lines=100,
    spawned_lines=2,
)  # shows that everything still runs, and nothing else


class Setting(msgspec.Struct, frozen=True):
    """`folder` is on a disk: syncs of a tmpfs cost nothing, and show nothing."""

    folder: Path
    sizes: Sizes

    def new_folder(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))


def file_system(folder: Path) -> str:
    """The type of the file system that `folder` is on."""
    place = os.path.realpath(folder)
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, found, *_ = line.split()
        inside = place == mount or place.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def default_folder() -> Path:
    """A folder for temporary files that is on a disk, else the current one."""
    for candidate in (tempfile.gettempdir(), "/var/tmp"):
        if os.access(candidate, os.W_OK) and file_system(Path(candidate)) not in ("tmpfs", "ramfs"):
            return Path(candidate)
    return Path.cwd()
