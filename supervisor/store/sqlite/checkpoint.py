"""The write-ahead log: small, reused from its start, and never growing without end.

A log that is overwritten in place costs a commit one sync of data; one that grows costs the file system's journal too
(twice the median). So it is grown once at open, copied into the database whenever it has reached its size, and then
begins again at its start, provided that no reader still needs it. Those readers are our own, so they can be asked to
wait a moment.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import apsw

PAGE = 4096
LOG_BYTES = 4 * 1024 * 1024
BUSY_MS = 500  # how long programs that are not ours, a sqlite3 shell or a backup, may hold a lock
OVERGROWN = 4  # times its size: then readers are held back

_SPILL = 16  # pages; a cache so small that a transaction spills into the log before it commits
_POLITE_SECS = 0.1  # how long readers may finish in peace before they are interrupted (and start over)
_AGAIN_SECS = 0.02
_READ_SECS = 1.0


class Gate:
    """Through which readers pass, and which the writer can close for a moment."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: list[apsw.Connection] = []
        self._closed = False

    @contextmanager
    def reading(self, connection: apsw.Connection) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)
            self._inside.append(connection)
        try:
            yield
        finally:
            with self._changed:
                self._inside.remove(connection)
                self._changed.notify_all()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Nobody is inside, except a read that neither ends nor can be interrupted within a second."""
        with self._changed:
            self._closed = True
            until = time.monotonic() + _READ_SECS
            self._changed.wait_for(lambda: not self._inside, _POLITE_SECS)
            while self._inside and time.monotonic() < until:
                for connection in self._inside:
                    connection.interrupt()  # reaches a statement that runs, and not one about to: hence again
                self._changed.wait(_AGAIN_SECS)
        try:
            yield
        finally:
            with self._changed:
                self._closed = False
                self._changed.notify_all()


class Checkpointer:
    """Keeps one connection's log in bounds. `tidy` belongs after a commit; SQLite's own checkpoints must be off.

    Written pages are counted by SQLite's statistics: a hook on each commit would be a call back into Python, and so a
    second wait for the interpreter's lock within every commit.
    """

    def __init__(self, connection: apsw.Connection, gate: Gate, log_bytes: int) -> None:
        self._connection = connection
        self._gate = gate
        self._log_bytes = log_bytes
        self._full = max(1, log_bytes // PAGE)
        self._pages = 0  # written since the last checkpoint

    @property
    def overdue(self) -> bool:
        self._count()
        return self._pages >= 2 * self._full

    def _count(self) -> None:
        self._pages += self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE, True)[0]

    def tidy(self) -> None:
        """Copy the log into the database if it is time.

        What fails now is tried again when as much has been written once more: the commit it follows is on disk either
        way, and a disk that stays broken makes itself known to the next one.
        """
        self._count()
        if self._pages < self._full:
            return
        self._pages = 0
        with suppress(apsw.Error):
            in_log, _ = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if in_log >= OVERGROWN * self._full:
                self._restart()

    def _restart(self) -> None:
        """With our own readers out. One that is not ours is not waited for: it may stay for hours."""
        with self._gate.closed():
            self._connection.set_busy_timeout(0)
            try:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)
            finally:
                self._connection.set_busy_timeout(BUSY_MS)

    def grow(self, size: int) -> None:
        """Bring a log of `size` bytes to its full length: a transaction larger than the page cache spills into the
        log, and its rollback leaves nothing behind but the length."""
        if size >= self._log_bytes:
            return
        cache = self._connection.pragma("cache_size")
        self._connection.pragma("cache_size", _SPILL)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("CREATE TABLE ballast (x)")
            self._connection.execute("INSERT INTO ballast VALUES (zeroblob(?))", (self._log_bytes + 2 * _SPILL * PAGE,))
        except apsw.FullError:
            pass  # it is for speed only
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._connection.pragma("cache_size", cache)
            self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE, True)

    def finish(self) -> None:
        """At a clean end: everything into the database, and the log empty."""
        with self._gate.closed():
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)


def deadline(connection: apsw.Connection, until: float) -> None:
    """Interrupt whatever this connection executes after `until` (monotonic), asking once per some milliseconds of
    work."""
    connection.set_progress_handler(lambda: time.monotonic() > until, 100_000)
