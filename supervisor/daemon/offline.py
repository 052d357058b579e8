"""The store without a daemon: copied, checked, put back. What the command line does where no daemon answers.

Root does it as the owner of the state directory. So what it makes belongs to the daemon's user, and a link that this
user has planted there leads root nowhere.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from supervisor.config.model import Config
from supervisor.config.places import database_path
from supervisor.errors import StartError, Unsound
from supervisor.store.port import Contents, Copied
from supervisor.store.sqlite import inspecting, restoring
from supervisor.store.sqlite.errors import cannot_start
from supervisor.store.sqlite.inspecting import Examined
from supervisor.store.sqlite.restoring import Restored
from supervisor.store.sqlite.snapshot import SqliteSnapshot

__all__ = [
    "Contents",
    "Examined",
    "Restored",
    "acting",
    "backup",
    "check",
    "check_alone",
    "examine",
    "is_there",
    "restore",
]


def is_there(config: Config) -> bool:
    """Whether there is a store to copy, as far as this user can see."""
    try:
        return database_path(config).exists()
    except PermissionError:
        return False


def backup(config: Config, target: int, tell: Callable[[Copied], None]) -> Contents:
    """Write a copy of the store to the descriptor `target`. Raises StartError where a daemon has it."""
    database = database_path(config)
    with _as_owner(database.parent):
        lock = restoring.locked(database, "or let it answer: it does not at its socket")
        try:
            return _copy_out(database, target, tell)
        finally:
            lock.release()


def check(file: Path, *, deep: bool = False) -> Contents:
    """What is in a backup that is whole; raises Unsound."""
    check_alone(file)
    return inspecting.check(file, deep=deep)


def check_alone(file: Path) -> None:
    """Raises Unsound for the file of a store that was not ended in order: some of it is in another file."""
    log = file.with_name(f"{file.name}-wal")
    if log.exists() and log.stat().st_size:
        raise Unsound(
            f"a part of {file} is still in {log.name} beside it: take a backup with `stoker backup`, or make it "
            f"one file with `sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'`"
        )


def examine(config: Config, *, deep: bool) -> Examined:
    """The store where it lies, a daemon at work or not; nothing is written. Raises Unsound."""
    return inspecting.examine(database_path(config), deep=deep)


def restore(config: Config, source: int, now: int) -> Restored:
    """As store.sqlite.restoring.restore, in the state directory of the configuration, which is made if need be."""
    database = database_path(config)
    try:
        database.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StartError(f"daemon.state_dir: cannot use {database.parent}: {error.strerror}") from None
    with _as_owner(database.parent):
        return restoring.restore(source, database, now)


def _copy_out(database: Path, target: int, tell: Callable[[Copied], None]) -> Contents:
    try:
        connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error as error:
        raise cannot_start(error, str(database)) from error
    try:
        snapshot = SqliteSnapshot(database, connection)
        try:
            while not (copied := snapshot.step()).complete:
                tell(copied)
            contents = snapshot.contents()
            with open(snapshot.path, "rb") as out, open(target, "wb", closefd=False) as into:
                shutil.copyfileobj(out, into, 1024 * 1024)
            return contents
        finally:
            snapshot.close()
            snapshot.remove()
    except apsw.Error as error:
        raise cannot_start(error, str(database)) from error
    finally:
        connection.close()


@contextmanager
def _as_owner(folder: Path) -> Iterator[None]:
    """Root is the folder's owner meanwhile; anybody else must be, or must be able to write there."""
    try:
        owner = os.stat(folder)
    except OSError as error:
        raise StartError(f"cannot use {folder}: {error.strerror}; run the command as root or as its owner") from None
    if os.geteuid() != 0 or owner.st_uid == 0:
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise StartError(f"{folder} cannot be written by this user: run the command as root or as its owner")
        yield
        return
    with acting(owner.st_uid, owner.st_gid):
        reachable = os.access(folder, os.W_OK | os.X_OK, effective_ids=True)
        if reachable:
            yield
    if (
        not reachable
    ):  # under DynamicUser= it is in a folder that only root can enter, and while it is stopped nobody is
        try:
            yield
        finally:
            _hand_over(folder, owner)


@contextmanager
def acting(user: int, group: int) -> Iterator[None]:
    """Root is this user meanwhile."""
    groups, before = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(group)
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(before)
        os.setgroups(groups)


def _hand_over(folder: Path, owner: os.stat_result) -> None:
    for entry in os.scandir(folder):
        if entry.stat(follow_symlinks=False).st_uid == 0:
            os.chown(entry.path, owner.st_uid, owner.st_gid, follow_symlinks=False)
