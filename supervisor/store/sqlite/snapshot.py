"""A copy of the database while it is being written to, by SQLite's online backup in small steps.

The source is the writer's own connection: pages that it changes between two steps are carried along into the copy, so
that a busy store never makes the copy begin again, and no read transaction stays open, which would let the log grow.
(`VACUUM INTO`, or a copy through a reader, is one long transaction.)
"""

import os
import time
from contextlib import suppress
from pathlib import Path

import apsw

from supervisor.errors import StoreUnavailable
from supervisor.store.port import Contents, Copied
from supervisor.store.sqlite.checkpoint import PAGE
from supervisor.store.sqlite.errors import translate
from supervisor.store.sqlite.inspecting import contents

STEP_SECS = 0.002  # for which whoever submits meanwhile waits
_PAGES = 64  # of the first step
_MOST_PAGES = 1024
_CACHE_KIB = 1024  # of the copy: what its last step has left to write
_RESTARTS = 5  # a failed transaction, or a foreign program that writes, makes the copy begin again
_FORMATS = 18  # where the header says how the file is written and read; 1: with a rollback journal, 2: with a log


class SqliteSnapshot:
    """port.Snapshot."""

    def __init__(self, database: Path, source: apsw.Connection) -> None:
        """Raises StoreUnavailable, and apsw's errors."""
        self.path = _place(database)
        remove_leftover(database)
        try:
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreUnavailable(f"cannot make {self.path}: {error.strerror}") from None
        try:
            self._copy = _destination(self.path)
            self._backup = self._copy.backup("main", source, "main")
        except BaseException:
            self.remove()
            raise
        self._pages = _PAGES
        self._done = 0  # pages
        self._restarts = 0

    def step(self) -> Copied:
        try:
            began = time.perf_counter()
            complete = self._backup.step(self._pages)
            self._adapt(time.perf_counter() - began)
            left, total = self._backup.remaining, self._backup.page_count
            if complete:
                self._seal()
        except apsw.Error as error:
            raise translate(error, str(self.path)) from error
        self._count_restarts(total - left)
        return Copied(bytes=(total - left) * PAGE, of=total * PAGE, complete=complete)

    def contents(self) -> Contents:
        return contents(self.path)

    def close(self) -> None:
        with suppress(apsw.Error):
            self._backup.close(True)
        with suppress(apsw.Error):
            self._copy.close(True)

    def remove(self) -> None:
        with suppress(OSError):
            self.path.unlink()

    def _adapt(self, took: float) -> None:
        """Slow disks get smaller steps; one that was quick by chance must not make the next one long."""
        if took > STEP_SECS:
            self._pages = max(1, self._pages // 2)
        elif took < STEP_SECS / 2:
            self._pages = min(_MOST_PAGES, self._pages + self._pages // 4 + 1)

    def _count_restarts(self, done: int) -> None:
        if done < self._done:
            self._restarts += 1
            if self._restarts > _RESTARTS:
                raise StoreUnavailable(
                    "the copy had to begin again too often, since transactions fail or another program writes into the "
                    "store: end that first"
                )
        self._done = done

    def _seal(self) -> None:
        """The copy is whole. It has no log, and must not ask for one: as a database with a log it could not be opened
        where it cannot be written."""
        self._backup.finish()
        self._copy.close()
        with open(self.path, "r+b") as file:
            file.seek(_FORMATS)
            file.write(b"\1\1")


def _destination(path: Path) -> apsw.Connection:
    """Until it is complete it is worth nothing, so it need not survive anything."""
    copy = apsw.Connection(str(path))
    copy.pragma("journal_mode", "OFF")
    copy.pragma("synchronous", "OFF")
    copy.pragma("cache_size", -_CACHE_KIB)
    return copy


def remove_leftover(database: Path) -> None:
    """Of a snapshot that a crash has cut short; the caller holds the store's lock."""
    with suppress(OSError):
        _place(database).unlink()


def _place(database: Path) -> Path:
    return database.with_name(f"{database.name}.snapshot")
