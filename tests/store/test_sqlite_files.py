"""SQLite: whose file it is, who may open it, which version it has, and what its settings are."""

import multiprocessing
import os
import stat
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import apsw
import pytest

from supervisor.errors import StartError
from supervisor.store.sqlite import open_sqlite
from supervisor.store.sqlite.bulk import LARGEST
from supervisor.store.sqlite.schema import APPLICATION_ID, MIGRATIONS, migrate
from tests.store.support import NOW, add, find, get, new_job, submit, transaction


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "stoker.db"


def foreign(path: Path, *statements: str) -> None:
    connection = apsw.Connection(str(path))
    for statement in statements:
        connection.execute(statement).fetchall()
    connection.close()


def pragma(path: Path, name: str) -> object:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.pragma(name)
    finally:
        connection.close()


def test_a_new_file_is_made_with_its_folder_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "stoker.db"
    store = open_sqlite(path)
    names = {"stoker.db", "stoker.db-wal", "stoker.db-shm", "stoker.db.lock"}
    assert {entry.name for entry in path.parent.iterdir()} == names
    for name in names:
        assert stat.S_IMODE(path.with_name(name).stat().st_mode) == 0o600
    store.close()
    assert {entry.name for entry in path.parent.iterdir()} == {"stoker.db", "stoker.db.lock"}


def test_the_file_says_whose_it_is_and_which_version(path: Path) -> None:
    open_sqlite(path).close()
    assert pragma(path, "application_id") == APPLICATION_ID
    assert pragma(path, "user_version") == len(MIGRATIONS)
    assert pragma(path, "journal_mode") == "wal"


def test_a_newer_file_is_refused_and_left_alone(path: Path) -> None:
    open_sqlite(path).close()
    foreign(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StartError, match=r"stoker\.db was written by a newer stoker .*version 99.*install"):
        open_sqlite(path)
    assert path.read_bytes() == before
    foreign(path, f"PRAGMA user_version = {len(MIGRATIONS)}")
    open_sqlite(path).close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path) -> None:
    path.write_text("these are somebody's notes\n" * 100)
    before = path.read_bytes()
    with pytest.raises(StartError, match="not a SQLite database; move it away"):
        open_sqlite(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statements",
    [("CREATE TABLE t (x)",), ("PRAGMA user_version = 1", "CREATE TABLE t (x)"), ("PRAGMA application_id = 7",)],
)
def test_another_programs_database_is_refused_and_keeps_its_tables(path: Path, statements: tuple[str, ...]) -> None:
    foreign(path, *statements)
    with pytest.raises(StartError, match="not one of stoker's; move it away"):
        open_sqlite(path)
    tables = apsw.Connection(str(path)).execute("SELECT group_concat(name) FROM sqlite_schema").get
    assert tables in ("t", None)


def test_a_damaged_file_is_a_start_error(path: Path) -> None:
    store = open_sqlite(path)
    submit(store, *[new_job() for _ in range(1000)])
    store.close()
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(StartError, match="damaged"):
        open_sqlite(path)


def test_a_folder_that_cannot_be_made_is_a_start_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="check the folder"):
        open_sqlite(tmp_path / "file" / "stoker.db")
    (tmp_path / "stoker.db").mkdir()
    with pytest.raises(StartError, match="cannot open the store"):
        open_sqlite(tmp_path / "stoker.db")


def _hold(path: Path, ready: Connection) -> None:
    store = open_sqlite(path)
    ready.send(os.getpid())
    ready.recv()
    store.close()


def test_two_daemons_never_share_a_file(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    holder = context.Process(target=_hold, args=(path, there))
    holder.start()
    there.close()
    pid = here.recv()
    with pytest.raises(StartError, match=rf"{path} is in use by another stoker daemon \(pid {pid} on .*\); stop it"):
        open_sqlite(path)
    here.send(None)
    holder.join()
    open_sqlite(path).close()


def test_the_lock_ends_with_its_process(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    holder = context.Process(target=_hold, args=(path, there))
    holder.start()
    there.close()
    here.recv()
    holder.kill()
    holder.join()
    open_sqlite(path).close()


def test_the_lock_is_left_where_opening_fails(path: Path) -> None:
    path.write_text("no database" * 1000)
    for _ in range(2):
        with pytest.raises(StartError, match="not a SQLite database"):
            open_sqlite(path)
    path.unlink()
    open_sqlite(path).close()


def test_the_same_process_cannot_open_a_file_twice_either(path: Path) -> None:
    store = open_sqlite(path)
    with pytest.raises(StartError, match="in use by another stoker daemon"):
        open_sqlite(path)
    store.close()


def test_the_settings_are_read_back(path: Path) -> None:
    store = open_sqlite(path)
    connection = store._connection
    assert connection.pragma("synchronous") == 2
    assert connection.pragma("journal_mode") == "wal"
    assert connection.pragma("wal_autocheckpoint") == 0
    assert connection.pragma("mmap_size") == 0
    assert -10_000 < int(str(connection.pragma("cache_size"))) < 0  # KiB
    assert connection.pragma("trusted_schema") == 0
    store.close()


def test_a_setting_that_does_not_take_is_a_start_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system without shared memory, where the journal stays what it was."""
    from supervisor.store.sqlite import opening

    monkeypatch.setitem(opening._SYNCHRONOUS, "FULL", 7)
    with pytest.raises(StartError, match=r"does not take PRAGMA synchronous = FULL \(it says 2\)"):
        open_sqlite(path)


def test_a_reader_cannot_write(path: Path) -> None:
    store = open_sqlite(path)
    reader = store.reader()
    with pytest.raises(apsw.ReadOnlyError):
        reader._connection.execute("DELETE FROM jobs")
    reader.close()
    store.close()


STEPS = (
    "CREATE TABLE one (x); INSERT INTO one VALUES (1)",
    "ALTER TABLE one ADD COLUMN y; UPDATE one SET y = 2",
    "CREATE TABLE three (x); INSERT INTO three SELECT x + y FROM one",
)


def test_migrations_run_in_order_from_any_version(tmp_path: Path) -> None:
    for version in range(len(STEPS) + 1):
        connection = apsw.Connection(str(tmp_path / f"{version}.db"))
        migrate(connection, "x", STEPS[:version])
        assert connection.pragma("user_version") == version
        migrate(connection, "x", STEPS)
        assert connection.pragma("user_version") == 3
        assert connection.execute("SELECT x FROM three").get == 3
        migrate(connection, "x", STEPS)
        assert connection.execute("SELECT count(*) FROM three").get == 1


def test_a_migration_that_fails_leaves_the_version_before_it(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "x.db"))
    broken = (*STEPS[:2], "CREATE TABLE three (x); INSERT INTO nowhere VALUES (1)")
    with pytest.raises(apsw.SQLError, match="nowhere"):
        migrate(connection, "x", broken)
    assert connection.pragma("user_version") == 2
    assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'three'").get == 0
    migrate(connection, "x", STEPS)
    assert connection.execute("SELECT x FROM three").get == 3


def test_jobs_of_an_older_version_are_all_there_and_have_no_backoff_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "stoker.db"
    connection = apsw.Connection(str(path))
    migrate(connection, "x", MIGRATIONS[:1])
    connection.execute("""INSERT INTO queues (id, name) VALUES (1, 'q');
        INSERT INTO jobs (seq, id, created_at, max_attempts, timeout, client, key, name, tags, payload) VALUES
          (5, 'first', 7, 3, 1.5, 'c', 'k', 'n', '["t"]', CAST('{"a":1}' AS BLOB));
        INSERT INTO jobs (seq, id, created_at, payload) VALUES (6, 'second', 8, CAST('2' AS BLOB));
        INSERT INTO states (seq, queue, urgency, state, run_at) SELECT seq, 1, 0, 1, 7 FROM jobs""")
    connection.close()
    store = open_sqlite(path)
    first, second = get(store, "first"), get(store, "second")
    assert (first.max_attempts, first.timeout, first.client, first.key, first.name) == (3, 1.5, "c", "k", "n")
    assert (first.tags, first.payload, first.created_at, first.backoff) == (("t",), b'{"a":1}', 7, None)
    assert (second.payload, second.max_attempts) == (b"2", None)
    assert store.find("c", "k") == "first"
    assert add(store).seq == 7
    store.close()


def test_the_payload_is_the_last_column_of_a_job(path: Path) -> None:
    """What stands before it is read without its overflow pages."""
    open_sqlite(path).close()
    columns = [row[1] for row in apsw.Connection(str(path)).execute("PRAGMA table_info(jobs)")]
    assert columns[-1] == "payload"


def test_the_statements_of_every_size_stay_in_the_cache(path: Path) -> None:
    """apsw prepares what is longer than 16 KiB anew each time."""
    store = open_sqlite(path)
    for _ in range(3):
        options = {"client": "c", "name": "n", "tags": ("t",), "timeout": 1.0}
        submit(store, *[new_job(key=str(n), unique=str(n), **options) for n in range(LARGEST)])
        submit(store, *[new_job() for n in range(LARGEST)])
    assert store._connection.cache_stats()["too_big"] == 0
    store.close()


def test_the_store_may_move_to_another_thread(path: Path) -> None:
    store = open_sqlite(path)
    store.recover(NOW, max_interruptions=1)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(add(store)))
    thread.start()
    thread.join()
    assert get(store, answers[0]).id == answers[0].id
    assert find(store, "nowhere") is None
    store.close()


def test_what_deleted_jobs_took_is_there_for_new_ones(path: Path) -> None:
    large, little = 1024 * 1024, 64 * 1024
    store = open_sqlite(path)
    job = add(store, payload=bytes(large))
    assert store.spare() < little
    with transaction(store):
        store.delete([job.id], NOW)
    assert large <= store.spare() < large + little
    add(store, payload=bytes(large))
    assert store.spare() < little
    store.close()
