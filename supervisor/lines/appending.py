"""Files that only grow, by whole lines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from supervisor.errors import Unsound
from supervisor.lines.whole import saying, sync_folder, write_all


class AppendFile:
    """Open for appending, by one program at a time. `size` is what is whole of it: what failed half-way is cut off."""

    def __init__(self, path: Path, fd: int, size: int) -> None:
        self.path = path
        self.size = size
        self._fd = fd
        self._synced = size
        self._torn = False

    @classmethod
    def open(
        cls, path: Path, kept: int = 0, valid: Callable[[bytes], bool] = lambda line: False, *, mode: int = 0o600
    ) -> tuple[AppendFile, list[bytes]]:
        """The file, made where there is none, and the lines that were adopted, each with its "\\n".

        Its first `kept` bytes are known to be good; of what is behind them the complete lines are adopted up to the
        first that is not `valid`, and the rest is cut off. What is there when this returns is on the disk. Raises
        Unsound for a file that has fewer bytes than `kept`, and StoreUnavailable.
        """
        with saying(path):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
            try:
                present = os.fstat(fd).st_size
                if present < kept:
                    raise Unsound(f"{path} has {present} bytes, and {kept} were written: the rest of it is lost")
                adopted = _adopt(fd, kept, valid)
                size = kept + sum(map(len, adopted))
                if present > size:
                    os.ftruncate(fd, size)
                os.fsync(fd)
                sync_folder(path.parent)
            except BaseException:
                os.close(fd)
                raise
        return cls(path, fd, size), adopted

    def append(self, data: bytes) -> None:
        """Whole lines, not yet synced. Raises StoreUnavailable, and then nothing of them is there."""
        with saying(self.path):
            if self._torn:
                self._cut(self.size)
            try:
                write_all(self._fd, data, self.size)
            except OSError:
                self._torn = True
                self._try_to_cut(self.size)
                raise
            self.size += len(data)

    def sync(self) -> None:
        """What was appended is on the disk. Raises StoreUnavailable, and then all since the last sync is gone: what
        the disk has of it nobody knows, and asking again would get a better answer than the truth."""
        if self._synced == self.size:
            return
        with saying(self.path):
            try:
                os.fdatasync(self._fd)
            except OSError:
                self._torn = True
                self.size = self._synced
                self._try_to_cut(self.size)
                raise
            self._synced = self.size

    def take_back(self, size: int) -> None:
        """What was appended behind `size`, synced or not, is not there any more."""
        if size < self.size:
            self.size, self._synced, self._torn = size, min(size, self._synced), True
            self._try_to_cut(size)

    @property
    def removed(self) -> bool:
        """Whether nobody finds it any more: what is appended goes nowhere."""
        return os.fstat(self._fd).st_nlink == 0

    def close(self) -> None:
        os.close(self._fd)

    def _try_to_cut(self, size: int) -> None:
        try:
            self._cut(size)
        except OSError:
            return  # before the next append, then

    def _cut(self, size: int) -> None:
        os.ftruncate(self._fd, size)
        self._torn = False


def _adopt(fd: int, kept: int, valid: Callable[[bytes], bool]) -> list[bytes]:
    adopted: list[bytes] = []
    with open(fd, "rb", closefd=False) as file:
        file.seek(kept)
        for line in file:
            if not line.endswith(b"\n") or not valid(line):
                break
            adopted.append(line)
    return adopted
