"""SQLite's write-ahead log: small, reused, and held in bounds whatever readers do."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from supervisor.errors import StoreUnavailable
from supervisor.store.port import Filter
from supervisor.store.sqlite import SqliteStore, open_sqlite, reader
from supervisor.store.sqlite.checkpoint import LOG_BYTES, OVERGROWN, Gate
from supervisor.store.sqlite.schema import migrate
from tests.store.support import NOW, add, new_job, submit

SMALL_LOG = 128 * 1024
PAYLOAD = b'"' + b"x" * 3000 + b'"'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stoker.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = open_sqlite(path, log_bytes=SMALL_LOG, synchronous="OFF")
    store.recover(NOW, max_interruptions=1)
    yield store
    store.close()


def log_size(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


def write(store: SqliteStore, commits: int, *, tidy: bool = True) -> None:
    for _ in range(commits):
        add(store, payload=PAYLOAD)
        if tidy:
            store.tidy()


def test_it_is_grown_at_open_and_does_not_grow_after(path: Path) -> None:
    store = open_sqlite(path)
    size = log_size(path)
    assert LOG_BYTES <= size < LOG_BYTES + (1 << 20)
    write(store, 200)
    assert log_size(path) == size
    store.close()


def test_growing_it_leaves_no_trace_in_the_database(path: Path) -> None:
    open_sqlite(path).close()
    assert path.stat().st_size < 256 * 1024
    connection = apsw.Connection(str(path))
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'ballast'").get == 0
    free = apsw.Connection(str(path.with_name("migrated.db")))
    migrate(free, "migrated.db")
    assert connection.pragma("freelist_count") == free.pragma("freelist_count")


def test_a_busy_store_reuses_it(store: SqliteStore, path: Path) -> None:
    write(store, 500)
    assert log_size(path) < 2 * SMALL_LOG
    assert path.stat().st_size > 500 * 3000


def test_it_stays_in_bounds_where_nobody_tidies(store: SqliteStore, path: Path) -> None:
    write(store, 500, tidy=False)
    assert log_size(path) < 3 * SMALL_LOG


def test_it_is_empty_after_a_clean_end(path: Path) -> None:
    store = open_sqlite(path, log_bytes=SMALL_LOG)
    write(store, 3)
    store.close()
    assert not path.with_name(f"{path.name}-wal").exists()


class Pest:
    """Reads one after the other, overlapping with itself, so that some read is always under way."""

    def __init__(self, store: SqliteStore, threads: int = 2) -> None:
        self.stop = threading.Event()
        self.rounds = 0
        self.errors: list[Exception] = []
        self._threads = [threading.Thread(target=self._read, args=(store.reader(),)) for _ in range(threads)]
        self._inside = threading.Barrier(threads + 1)
        for thread in self._threads:
            thread.start()
        self._inside.wait()

    def _read(self, mine: reader.SqliteReader) -> None:
        self._inside.wait()
        try:
            while not self.stop.is_set():
                mine._read(lambda: self._linger(mine._connection))
                self.rounds += 1
        except Exception as error:
            self.errors.append(error)
        finally:
            mine.close()

    def _linger(self, connection: apsw.Connection) -> None:
        """A read transaction of some 50 ms."""
        until = time.monotonic() + 0.05
        while time.monotonic() < until and not self.stop.is_set():
            connection.execute("SELECT count(*) FROM jobs").fetchall()

    def end(self) -> None:
        self.stop.set()
        for thread in self._threads:
            thread.join()


def test_readers_that_always_overlap_cannot_make_it_grow(store: SqliteStore, path: Path) -> None:
    pest = Pest(store)
    try:
        write(store, 400)
    finally:
        pest.end()
    assert pest.errors == []
    assert log_size(path) < (OVERGROWN + 2) * SMALL_LOG
    assert pest.rounds > 0


def test_a_reader_that_is_not_ours_can(store: SqliteStore, path: Path) -> None:
    """What the gate is for: no checkpoint can pass a read transaction that nobody may interrupt."""
    foreign = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    foreign.execute("BEGIN")
    foreign.execute("SELECT count(*) FROM jobs").fetchall()
    write(store, 100)
    grown = log_size(path)
    assert grown > 2 * OVERGROWN * SMALL_LOG
    foreign.close()
    write(store, 200)
    assert log_size(path) < grown + 2 * SMALL_LOG


def endless(connection: apsw.Connection) -> None:
    connection.execute(
        "WITH RECURSIVE n (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000) SELECT count(*) FROM n"
    ).fetchall()


def test_a_read_that_takes_too_long_is_ended(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_MOST_SECS", 0.05)
    mine = store.reader()
    with pytest.raises(StoreUnavailable, match="took too long; ask for less"):
        mine._read(lambda: endless(mine._connection))
    add(store)
    assert mine.list(Filter(), limit=5, before=None, full=False).total == 1
    mine.close()


def test_a_long_read_cannot_make_it_grow(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is interrupted, and starts over, as often as need be."""
    monkeypatch.setattr(reader, "_MOST_SECS", 60.0)
    mine = store.reader()
    began = threading.Event()
    tries: list[int] = []
    enough = threading.Event()

    def read() -> None:
        tries.append(1)
        mine._connection.execute("SELECT count(*) FROM jobs").fetchall()  # from here on it needs the log
        began.set()
        if not enough.is_set():
            endless(mine._connection)

    thread = threading.Thread(target=mine._read, args=(read,))
    thread.start()
    began.wait()
    write(store, 400)
    enough.set()
    while thread.is_alive():
        mine._connection.interrupt()
        thread.join(0.05)
    assert len(tries) > 2
    assert log_size(path) < (OVERGROWN + 2) * SMALL_LOG
    mine.close()


def test_a_read_in_the_writers_way_starts_over(store: SqliteStore) -> None:
    mine = store.reader()
    began = threading.Event()
    tries: list[int] = []

    def read() -> int:
        tries.append(1)
        began.set()
        if len(tries) == 1:
            endless(mine._connection)
        return len(tries)

    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(mine._read(read)))
    thread.start()
    began.wait()
    with store._gate.closed():
        assert answers == []
    thread.join()
    assert answers == [2]
    mine.close()


def test_nobody_passes_a_closed_gate() -> None:
    gate = Gate()
    connection = apsw.Connection(":memory:")
    passed = threading.Event()

    def pass_through() -> None:
        with gate.reading(connection):
            passed.set()

    with gate.closed():
        thread = threading.Thread(target=pass_through)
        thread.start()
        assert not passed.wait(0.05)
    assert passed.wait(5)
    thread.join()


def test_one_huge_transaction_does_not_leave_a_huge_log(path: Path) -> None:
    store = open_sqlite(path)
    submit(store, *[new_job(payload=b'"' + b"x" * 1_000_000 + b'"') for _ in range(40)])
    assert log_size(path) > 40_000_000
    store.tidy()
    write(store, 2)
    assert log_size(path) <= OVERGROWN * LOG_BYTES
    store.close()
