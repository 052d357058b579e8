"""From a path to two kinds of connections whose settings have been read back and found as asked for."""

import os
from pathlib import Path

import apsw

from supervisor.errors import StartError
from supervisor.store.sqlite.checkpoint import BUSY_MS, LOG_BYTES, OVERGROWN, PAGE

_WRITER_CACHE_KIB = 8 * 1024
_READER_CACHE_KIB = 2 * 1024
_SYNCHRONOUS = {"OFF": 0, "NORMAL": 1, "FULL": 2, "EXTRA": 3}


def open_writer(path: Path, *, synchronous: str, vfs: str | None) -> apsw.Connection:
    """The one connection that writes. Raises StartError when a setting does not take, apsw's errors otherwise."""
    connection = apsw.Connection(str(path), vfs=vfs, statementcachesize=200)
    try:
        connection.set_busy_timeout(BUSY_MS)
        connection.pragma("page_size", PAGE)  # of a new file; before its first write, which the change to WAL is
        connection.pragma("cache_size", -_WRITER_CACHE_KIB)
        connection.pragma("journal_size_limit", OVERGROWN * LOG_BYTES)  # after one huge transaction, back to this
        _harden(connection)
        _insist(connection, path, "journal_mode", "wal", "wal")
        _insist(connection, path, "synchronous", synchronous, _SYNCHRONOUS[synchronous])
        connection.wal_autocheckpoint(0)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, *, vfs: str | None) -> apsw.Connection:
    """A connection that cannot write."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("query_only", True)
    connection.pragma("cache_size", -_READER_CACHE_KIB)
    _harden(connection)
    return connection


def _harden(connection: apsw.Connection) -> None:
    connection.pragma("mmap_size", 0)  # an I/O error under a map is a SIGBUS, and mapped pages count as our memory
    connection.pragma("temp_store", "MEMORY")
    connection.pragma("trusted_schema", False)


def create(path: Path) -> None:
    """Payloads may be private: a new file is its owner's alone, and SQLite gives its log the mode of its database."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StartError(f"cannot open the store {path}: {error.strerror}; check the folder and its owner") from None


def _insist(connection: apsw.Connection, path: Path, name: str, wanted: str, expected: object) -> None:
    connection.pragma(name, wanted)
    found = connection.pragma(name)
    if found != expected:
        raise StartError(
            f"{path} does not take PRAGMA {name} = {wanted} (it says {found}); "
            "put the store on a local file system that supports it"
        )
