"""Looking at a database file that nobody writes to: whose it is, whether it is whole, and what is in it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import apsw
import msgspec

from supervisor.errors import Unsound
from supervisor.store.port import Contents
from supervisor.store.sqlite.checkpoint import BUSY_MS
from supervisor.store.sqlite.errors import cannot_start
from supervisor.store.sqlite.schema import APPLICATION_ID, MIGRATIONS, RUNNING

GLANCE_SECS = 1.0
_ASK_EVERY = 1000  # of what SQLite counts: of a check it counts little
_COMPLAINTS = 5  # of a damaged file
_HALVES = """SELECT
    (SELECT count(*) FROM jobs), (SELECT count(*) FROM states),
    (SELECT count(*) FROM jobs AS j JOIN states AS s ON s.seq = j.seq)"""

_MISCOUNTED = """SELECT count(*) FROM (
    SELECT queue, state, n FROM counts WHERE n <> 0 EXCEPT SELECT queue, state, count(*) FROM states GROUP BY 1, 2
    UNION ALL
    SELECT * FROM (
      SELECT queue, state, count(*) FROM states GROUP BY 1, 2 EXCEPT SELECT queue, state, n FROM counts))"""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """`whole`: all of it was looked at. `newest`: when the last job was submitted, UTC microseconds.
    `log`: its bytes."""

    contents: Contents
    whole: bool
    newest: int | None
    log: int


def contents(path: Path) -> Contents:
    """Of a file that is stoker's and of a version that this one knows; whether it is whole is not looked at. Raises
    Unsound."""
    with _opened(path) as connection:
        return _contents(connection, path)


def check(path: Path, *, deep: bool) -> Contents:
    """The same, of a whole one; `deep`: each index against its table too, which takes several times as long."""
    with _opened(path) as connection:
        found = _contents(connection, path)
        pragma = "integrity_check" if deep else "quick_check"
        complaints = [text for (text,) in connection.execute(f"PRAGMA {pragma}({_COMPLAINTS})")]
        if complaints != ["ok"]:
            raise Unsound(f"{path} is damaged: {'; '.join(map(str, complaints))}")
        jobs, states, both = connection.execute(_HALVES).get
        if not jobs == states == both:
            raise Unsound(f"{path} is damaged: it has {jobs} jobs and the states of {states}, {both} of them the same")
        if connection.execute(_MISCOUNTED).get:
            raise Unsound(f"{path} is damaged: what it says of how many jobs are in which state is not so")
        return found


def examine(path: Path, *, deep: bool) -> Examined:
    """A store that may be in use, from beside its writer. Raises Unsound.

    Unless `deep`, for no longer than a second: a reader keeps the writer's log from beginning again.
    """
    log = path.with_name(f"{path.name}-wal")
    used = log.exists()  # else it was closed in order, and is opened without a trace
    with _opened(path, immutable=not used) as connection:
        found = _contents(connection, path)
        newest = connection.execute(
            "SELECT max(created_at) FROM (SELECT created_at FROM jobs ORDER BY seq DESC LIMIT 1)"
        )
        at = newest.get
        if not deep:
            until = time.monotonic() + GLANCE_SECS
            connection.set_progress_handler(lambda: time.monotonic() > until, _ASK_EVERY)
        try:
            complaints = [text for (text,) in connection.execute(f"PRAGMA quick_check({_COMPLAINTS})")]
        except apsw.InterruptError:
            complaints = []
        if complaints not in ([], ["ok"]):
            raise Unsound(f"{path} is damaged: {'; '.join(map(str, complaints))}")
        return Examined(contents=found, whole=bool(complaints), newest=at, log=log.stat().st_size if used else 0)


@contextmanager
def _opened(path: Path, *, immutable: bool = True) -> Iterator[apsw.Connection]:
    """As it lies there: `immutable` asks for no lock and makes no file beside it."""
    try:
        connection = apsw.Connection(
            f"file:{quote(str(path))}?immutable={int(immutable)}",
            flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI,
        )
        try:
            connection.set_busy_timeout(BUSY_MS)
            connection.pragma("trusted_schema", False)
            yield connection
        finally:
            connection.close()
    except apsw.NotADBError as error:
        raise Unsound(f"{path} is not a SQLite database") from error
    except apsw.CorruptError as error:  # it may be the backup that was to help: no word of restoring one
        raise Unsound(f"{path} is damaged: {error}") from error
    except apsw.Error as error:
        raise Unsound(cannot_start(error, str(path)).message) from error


def _contents(connection: apsw.Connection, path: Path) -> Contents:
    schema = connection.pragma("user_version")
    assert isinstance(schema, int)
    if not path.stat().st_size:
        raise Unsound(f"{path} is empty")
    if connection.pragma("application_id") != APPLICATION_ID or not schema:
        raise Unsound(f"{path} is a SQLite database, but not one of stoker's")
    if schema > len(MIGRATIONS):
        raise Unsound(
            f"{path} was written by a newer stoker (its schema is version {schema}, this one knows {len(MIGRATIONS)}); "
            "install that version"
        )
    jobs, running = connection.execute(
        f"SELECT ifnull(sum(n), 0), ifnull(sum(n) FILTER (WHERE state = {RUNNING}), 0) FROM counts"
    ).get
    return Contents(bytes=path.stat().st_size, schema=schema, jobs=jobs, running=running)
