"""A file system between SQLite and the real one, which tells an observer of every change before it is made.

The observer may raise one of apsw's exceptions, and the change then fails with that code. One that has the methods of
`Watcher` too hears of reads and of opened files as well.
"""

import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import apsw

_numbers = itertools.count(1)


class Observer(Protocol):
    def write(self, path: str, data: bytes, offset: int) -> None: ...

    def truncate(self, path: str, size: int) -> None: ...

    def sync(self, path: str) -> None: ...

    def delete(self, path: str) -> None: ...


@runtime_checkable
class Watcher(Protocol):
    def read(self, path: str, amount: int, offset: int) -> None: ...

    def open(self, path: str) -> None: ...


class _File(apsw.VFSFile):
    def __init__(self, observer: Observer, name: apsw.URIFilename | str, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._observer = observer
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name

    def xRead(self, amount: int, offset: int) -> bytes:
        if isinstance(self._observer, Watcher):
            self._observer.read(self._path, amount, offset)
        return super().xRead(amount, offset)

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
        if isinstance(self._observer, Watcher):
            self._observer.open(name.filename() if isinstance(name, apsw.URIFilename) else name)
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
    """Fails the calls that it is told to, by their number since it was told, with `error`."""

    def __init__(self) -> None:
        self.error: type[apsw.Error] = apsw.IOError
        self._counts: Counter[str] = Counter()
        self._failing: dict[str, range] = {}

    @property
    def writes(self) -> int:
        return self._counts["write"]

    @property
    def syncs(self) -> int:
        return self._counts["sync"]

    def fail(self, what: str, error: type[apsw.Error], *, after: int = 0, times: int = 1 << 40) -> None:
        """All calls of `what` (read, write, sync, truncate, open, delete) but the next `after` ones, `times` times."""
        self.error = error
        self._counts[what] = 0
        self._failing[what] = range(after, after + times)

    def fail_writes(self, error: type[apsw.Error], *, after: int = 0, times: int = 1 << 40) -> None:
        self.fail("write", error, after=after, times=times)

    def fail_syncs(self, error: type[apsw.Error], *, after: int = 0, times: int = 1 << 40) -> None:
        self.fail("sync", error, after=after, times=times)

    def heal(self) -> None:
        self._failing.clear()

    def failed(self, what: str) -> int:
        """How many calls have failed since it was told."""
        failing = self._failing.get(what, range(0))
        return max(0, min(self._counts[what], failing.stop) - failing.start)

    def read(self, path: str, amount: int, offset: int) -> None:
        self._call("read")

    def write(self, path: str, data: bytes, offset: int) -> None:
        self._call("write")

    def truncate(self, path: str, size: int) -> None:
        self._call("truncate")

    def sync(self, path: str) -> None:
        self._call("sync")

    def delete(self, path: str) -> None:
        self._call("delete")

    def open(self, path: str) -> None:
        self._call("open")

    def _call(self, what: str) -> None:
        self._counts[what] += 1
        if self._counts[what] - 1 in self._failing.get(what, ()):
            raise self.error(f"injected on {what} {self._counts[what]}")
