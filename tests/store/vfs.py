"""A file system between SQLite and the real one, which tells an observer of every change before it is made.

The observer may raise one of apsw's exceptions, and the change then fails with that code.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import apsw

_numbers = itertools.count(1)


class Observer(Protocol):
    def write(self, path: str, data: bytes, offset: int) -> None: ...

    def truncate(self, path: str, size: int) -> None: ...

    def sync(self, path: str) -> None: ...

    def delete(self, path: str) -> None: ...


class _File(apsw.VFSFile):
    def __init__(self, observer: Observer, name: apsw.URIFilename | str, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._observer = observer
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name

    def xWrite(self, data: bytes, offset: int) -> None:
        self._observer.write(self._path, bytes(data), offset)
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._observer.truncate(self._path, newsize)
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._observer.sync(self._path)  # and that is all: no file of a test has to outlive the machine


class _VFS(apsw.VFS):
    def __init__(self, name: str, observer: Observer) -> None:
        super().__init__(name, "")
        self._observer = observer

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:
        if name is None:
            return super().xOpen(name, flags)
        return _File(self._observer, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self._observer.delete(filename)
        super().xDelete(filename, syncdir)


@contextmanager
def observed(observer: Observer) -> Iterator[str]:
    """The name of a VFS that asks `observer`; for as long as the block lasts."""
    name = f"observed-{next(_numbers)}"
    vfs = _VFS(name, observer)
    try:
        yield name
    finally:
        vfs.unregister()


class Failing:
    """Fails the changes that `when` says, by their number since it was set, with `error`."""

    def __init__(self) -> None:
        self.error: type[apsw.Error] = apsw.IOError
        self.writes = 0
        self.syncs = 0
        self._failing_writes: range = range(0)
        self._failing_syncs: range = range(0)

    def fail_writes(self, error: type[apsw.Error], *, after: int = 0, times: int = 1 << 40) -> None:
        """All writes but the next `after` ones, `times` times."""
        self.error = error
        self.writes = 0
        self._failing_writes = range(after, after + times)

    def fail_syncs(self, error: type[apsw.Error], *, after: int = 0, times: int = 1 << 40) -> None:
        self.error = error
        self.syncs = 0
        self._failing_syncs = range(after, after + times)

    def heal(self) -> None:
        self._failing_writes = self._failing_syncs = range(0)

    def write(self, path: str, data: bytes, offset: int) -> None:
        self.writes += 1
        if self.writes - 1 in self._failing_writes:
            raise self.error(f"injected on write {self.writes}")

    def truncate(self, path: str, size: int) -> None:
        pass

    def sync(self, path: str) -> None:
        self.syncs += 1
        if self.syncs - 1 in self._failing_syncs:
            raise self.error(f"injected on sync {self.syncs}")

    def delete(self, path: str) -> None:
        pass
