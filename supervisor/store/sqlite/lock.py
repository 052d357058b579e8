"""Two daemons never share a database: whoever opens it holds a flock on a file beside it, as long as it lives."""

import contextlib
import fcntl
import os
import re
import socket
import time
from pathlib import Path

from supervisor.errors import StartError

LINGERS = 1.0  # seconds


def take_lock(fd: int) -> bool:
    """Lock the file exclusively; False where another process has it, whose pid is the first number in there. It blocks
    for a moment where that one is dead: a daemon that was killed while it started a worker leaves all its descriptors
    to the child, until that has become its program. Raises OSError."""
    until = time.monotonic() + LINGERS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if _holder_lives(fd) or time.monotonic() >= until:
                return False
            time.sleep(0.005)


def _holder_lives(fd: int) -> bool:
    """Also where nobody says who it is."""
    pid = re.search(rb"\d+", os.pread(fd, 200, 0))
    return pid is None or os.path.exists(f"/proc/{int(pid[0])}")


class InUse(StartError):
    """`holder`: what the process that has it wrote of itself."""

    def __init__(self, database: Path, holder: str) -> None:
        super().__init__(
            f"{database} is in use by another stoker daemon ({holder}); stop it, or give this one another state_dir"
        )
        self.holder = holder


class FileLock:
    """An exclusive lock, taken by the constructor and left by `release` or by the end of the process.

    A lock file of our own and not the database: closing any descriptor of the database would drop SQLite's own locks.
    It is never unlinked: another daemon may have opened it already, and would lock a file that nobody else sees.
    """

    def __init__(self, database: Path) -> None:
        """Raises InUse when the lock is taken, StartError when the file cannot be made."""
        path = database.with_name(f"{database.name}.lock")
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(f"cannot make the lock file {path}: {error.strerror}; check the folder") from None
        if not self._take():
            holder = os.pread(self._fd, 200, 0).decode(errors="replace").strip() or "a process that did not say"
            os.close(self._fd)
            raise InUse(database, holder) from None
        with contextlib.suppress(OSError):  # the disk is full: who holds it is not said, but it is held
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)

    def _take(self) -> bool:
        try:
            return take_lock(self._fd)
        except OSError:
            return False

    def release(self) -> None:
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1
