"""What is written to: a file that can be cut back, or a pipe, a terminal, or a device, which cannot."""

import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import Protocol
from zlib import crc32

from supervisor.errors import StokerError, StoreUnavailable, Unsound
from supervisor.lines.appending import AppendFile
from supervisor.mapping.answers import OutputFailed, ReaderGone
from supervisor.mapping.journal import CannotResume, Kept

LINGERS = 1.0  # seconds
BLOCK = 1024 * 1024  # bytes of what an earlier run has written


class OutputInUse(StokerError):
    """Another run writes there."""

    code = "output_in_use"


class Sink(Protocol):
    """All of these block. They raise ReaderGone; what else goes wrong is OutputFailed or, where nothing that was
    appended by halves is left, StoreUnavailable."""

    @property
    def kept(self) -> Kept:
        """What is there, and whole, where it can be gone on with."""

    def append(self, data: bytes) -> None:
        """Whole lines."""

    def sync(self) -> None:
        """What was appended stays, where that can be had."""


class Stream:
    """Written to as it comes: stdout, a pipe, a device."""

    def __init__(self, fd: int, name: str) -> None:
        self.kept = Kept()
        self._fd = fd
        self._name = name

    def append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:  # somebody who has it too made it so
                _wait_until_writable(self._fd)
            except BrokenPipeError:
                raise ReaderGone(f"nobody reads {self._name} any more") from None
            except OSError as error:
                raise OutputFailed(f"cannot write {self._name}: {error.strerror}") from None

    def sync(self) -> None:
        """Others may write the same file: when it is on the disk is their matter."""


class File:
    """A regular file of this run alone, locked as long as it is open."""

    def __init__(self, path: Path) -> None:
        """Locks it, made where there is none; what is in it stays. Raises OutputInUse and OutputFailed."""
        self.path = path
        self._lock = _open(path)
        self._file: AppendFile | None = None
        self._crc32 = 0
        try:
            _take(self._lock, path)
            self.present = os.fstat(self._lock).st_size
        except BaseException:
            os.close(self._lock)
            raise

    def check(self, kept: Kept) -> None:
        """That it begins with those. Nothing is changed. Raises CannotResume and OutputFailed."""
        if self.present < kept.size:
            what = f"has {self.present} bytes, and its journal says {kept.size}"
        elif self._sum(kept.size) != kept.crc32:
            what = f"was changed: the {kept.size} bytes that its journal knows are other ones"
        else:
            return
        raise CannotResume(
            f"{self.path} {what}: it is not the file of that run any more; bring that back, or remove it and the "
            "journal to begin anew"
        )

    def _sum(self, size: int) -> int:
        crc, offset = 0, 0
        while offset < size:
            try:
                data = os.pread(self._lock, min(size - offset, BLOCK), offset)
            except OSError as error:
                raise OutputFailed(f"cannot read {self.path}: {error.strerror}") from None
            if not data:
                break
            crc, offset = crc32(data, crc), offset + len(data)
        return crc

    def begin(self, kept: Kept) -> None:
        """Cut it back to those. Raises CannotResume where it has fewer, and OutputFailed."""
        self._crc32 = kept.crc32
        try:
            self._file, _ = AppendFile.open(self.path, kept.size, mode=0o666)
        except Unsound as error:
            raise CannotResume(error.message) from None
        except StoreUnavailable as error:
            raise OutputFailed(error.message) from None

    @property
    def kept(self) -> Kept:
        assert self._file is not None
        return Kept(self._file.size, self._crc32)

    def append(self, data: bytes) -> None:
        assert self._file is not None
        self._file.append(data)
        self._crc32 = crc32(data, self._crc32)

    def sync(self) -> None:
        assert self._file is not None
        self._file.sync()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        os.close(self._lock)


def is_plain(path: Path) -> bool:
    """A regular file, or nothing yet. Raises OutputFailed."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise OutputFailed(f"cannot use {path}: {error.strerror}") from None


def open_stream(path: Path) -> Stream:
    """Anything but a regular file: a named pipe waits for its reader here."""
    try:
        return Stream(os.open(path, os.O_WRONLY | os.O_CLOEXEC), str(path))
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror}") from None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise OutputFailed(f"cannot write {path}: {error.strerror}") from None


def _take(fd: int, path: Path) -> None:
    """It takes a moment where a run has just been killed while it started a worker: that has all its descriptors until
    it has become its program."""
    until = time.monotonic() + LINGERS
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise OutputInUse(
                    f"{path} is being written by another `stoker map`; wait for that, or write another file"
                ) from None
            time.sleep(0.01)
        except OSError as error:
            if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
                return None  # a file system without locks: nobody can be kept out there
            raise OutputFailed(f"cannot lock {path}: {error.strerror}") from None


def _wait_until_writable(fd: int) -> None:
    from select import POLLOUT, poll

    waiting = poll()
    waiting.register(fd, POLLOUT)
    waiting.poll()
