"""A cgroup for each worker, where the daemon may make one."""

from pathlib import Path
from typing import Literal


class Cgroup:
    """One worker's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def attach(self, pid: int) -> None:
        raise NotImplementedError

    limited = False

    def kill(self) -> None:
        raise NotImplementedError

    def oom_kills(self) -> int:
        raise NotImplementedError

    def peak(self) -> int | None:
        raise NotImplementedError

    def remove(self) -> None:
        raise NotImplementedError


class Cgroups:
    """The workers' cgroups of one daemon."""

    @classmethod
    def find(cls, setting: Path | Literal["auto", "off"], instance: str) -> "Cgroups | None":
        return None

    def create(self, name: str, memory_limit: int | None) -> Cgroup | None:
        raise NotImplementedError
