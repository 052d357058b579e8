"""Small files that are always whole: the old one or the new one, whenever the machine stops."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from supervisor.errors import StoreUnavailable

PART = ".part"  # behind the name of a file that is being written


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Written beside, synced, renamed, and its folder synced: when this returns, it stays. Two may not write the same
    file at once. Raises StoreUnavailable, and then the file is what it was."""
    part = path.with_name(path.name + PART)
    with saying(path):
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
            try:
                write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
            os.replace(part, path)
        except OSError:
            with suppress(OSError):
                os.unlink(part)
            raise
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """What was created, renamed or removed in it stays so. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes, offset: int = 0) -> None:
    """At `offset`. Raises OSError, and then some of it may have been written."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(fd, rest, offset)
        rest, offset = rest[written:], offset + written


@contextmanager
def saying(path: Path) -> Iterator[None]:
    """An OSError in the block becomes StoreUnavailable, with the name of the file that could not be written."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(f"cannot write {path}: {error.strerror}", errno=error.errno) from error
