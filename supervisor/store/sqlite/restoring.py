"""Putting a copy in the place of the database, while no daemon has it open.

What is there is moved aside, with its log copied into it first, and never deleted. The new file takes the name in one
step, so that at no moment a starting daemon finds nothing and begins an empty store.

The copy goes on from an earlier moment, and numbers that were given after that moment are out in the world. So it gets
others, which the life it replaces cannot have given: otherwise who follows the journal would take new events for those
it has read.
"""

import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import apsw
import msgspec

from supervisor.errors import StartError, StoreUnavailable, Unsound
from supervisor.store.port import Contents
from supervisor.store.sqlite.errors import cannot_start
from supervisor.store.sqlite.inspecting import check
from supervisor.store.sqlite.lock import FileLock, InUse
from supervisor.store.sqlite.schema import APPLICATION_ID, migrate

MANY_STARTS = 1_000_000  # more than a store that nobody can read has seen since the copy was made


_HEADER_BYTES = 100
_MAGIC = b"SQLite format 3\0"


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """`aside`: where what was there is now; None: nothing was there."""

    contents: Contents
    aside: Path | None


def restore(source: int, database: Path, now: int) -> Restored:
    """Put what the descriptor `source` reads into the place of `database`; `now` is UTC microseconds.

    Raises StartError where a daemon runs, Unsound for what is no whole store of this version, StoreUnavailable where
    the disk does not take it; nothing has changed then.
    """
    copy = database.with_name(f"{database.name}.restoring")
    lock = locked(database, "before you restore")
    try:
        _copy_in(source, copy)
        try:
            contents = check(copy, deep=True)
            epoch = _quiesce(database)
            _renew(copy, epoch, now)
        except Unsound as error:  # it names the copy, which nobody knows, and which is gone by then
            raise Unsound(error.message.replace(str(copy), "the backup")) from None
        return Restored(contents=contents, aside=_swap(copy, database, now))
    except OSError as error:
        raise StoreUnavailable(f"cannot write beside {database}: {error.strerror}; nothing was restored") from None
    finally:
        for name in (copy, *(_beside(copy, suffix) for suffix in ("-wal", "-shm", "-journal"))):
            name.unlink(missing_ok=True)
        lock.release()


def locked(database: Path, why: str) -> FileLock:
    """The store's lock, for a command; raises StartError."""
    try:
        return FileLock(database)
    except InUse as error:
        raise StartError(f"a daemon has {database} open ({error.holder}): stop it {why}") from None


def _copy_in(source: int, copy: Path) -> None:
    copy.unlink(missing_ok=True)
    target = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(target, "wb") as into, open(source, "rb", closefd=False) as out:
        _check_room(source, copy.parent)
        shutil.copyfileobj(out, into, 1024 * 1024)
        into.flush()
        os.fsync(into.fileno())


def _check_room(source: int, folder: Path) -> None:
    size, free = os.fstat(source).st_size, shutil.disk_usage(folder).free
    if size > free:
        raise StoreUnavailable(f"the backup has {size} bytes, and {free} are free in {folder}: free some")


def _quiesce(database: Path) -> int | None:
    """Copy the present log into its database, so that one file is all of it. The epoch that it has reached; None where
    there is nothing, or nothing that can be read: then the log goes aside too."""
    if not _looks_sound(database):  # SQLite would delete the log of what it takes for no database
        return None
    epoch: int | None = None
    with suppress(apsw.Error):
        connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            epoch = connection.execute("SELECT epoch FROM meta").get
        finally:
            connection.close()
    log = _beside(database, "-wal")
    if epoch is not None and log.exists():
        raise StoreUnavailable(f"another program has {database} open (a sqlite3 shell?): end it first")
    return epoch


def _looks_sound(database: Path) -> bool:
    try:
        with database.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return False
    return header.startswith(_MAGIC) and header[68:72] == APPLICATION_ID.to_bytes(4, "big")


def _renew(copy: Path, epoch: int | None, now: int) -> None:
    """Bring it to this version, with epochs and numbers of events that the life of the present store has not had.

    A journal whose numbers begin with the microseconds since 1970 is ahead of any that has written less than an event
    in a microsecond, and of any that was restored before it.
    """
    try:
        connection = apsw.Connection(str(copy), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.pragma("journal_mode", "delete")  # it may be the file of a stopped daemon, which has a log
            migrate(connection, str(copy))
            with connection:
                connection.execute(
                    "UPDATE meta SET epoch = max(epoch, ifnull(?, epoch + ?))", (epoch, MANY_STARTS)
                ).fetchall()
                _renumber(connection, now)
        finally:
            connection.close()
    except apsw.Error as error:
        raise StoreUnavailable(cannot_start(error, str(copy)).message) from error


def _renumber(connection: apsw.Connection, first: int) -> None:
    """The oldest event gets the number `first`, and the others follow it as before."""
    oldest = connection.execute("SELECT min(n) FROM events").get
    if oldest is None:  # of no queue, it is never shown; but the journal goes on from its number
        connection.execute("INSERT INTO events VALUES (?, ?, 0, 0, 1, 0, NULL)", (first, first))
    elif oldest < first:
        # In two steps, since SQLite looks at each row for a number that is taken, in whatever order it meets them.
        connection.execute("UPDATE events SET n = -n")
        connection.execute("UPDATE events SET n = ? - n", (first - oldest,))


def _swap(copy: Path, database: Path, now: int) -> Path | None:
    aside: Path | None = None
    if database.exists():
        stamp = datetime.fromtimestamp(now / 1e6, UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = _free_name(database.with_name(f"{database.name}.before-restore-{stamp}"))
        for suffix in ("-wal", "-shm"):  # of one that could not be read: they must not meet the new file
            if _beside(database, suffix).exists():
                os.rename(_beside(database, suffix), _beside(aside, suffix))
        os.link(database, aside)
    os.replace(copy, database)
    _sync_folder(database.parent)
    return aside


def _free_name(wanted: Path) -> Path:
    name, number = wanted, 1
    while os.path.lexists(name):
        number += 1
        name = wanted.with_name(f"{wanted.name}-{number}")
    return name


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
