"""A copy takes the place of the store: what is accepted, what becomes of the present one, and what is new about it."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from supervisor.core.job import State
from supervisor.core.journal import Extent
from supervisor.errors import Gone, StartError, StoreUnavailable, Unsound
from supervisor.store.sqlite import SqliteStore, open_sqlite, restoring
from supervisor.store.sqlite.inspecting import check
from supervisor.store.sqlite.restoring import MANY_STARTS, Restored, restore
from supervisor.store.sqlite.schema import _VERSION_1, APPLICATION_ID, MIGRATIONS
from tests.store.support import NOW, add, find, running

LATER = NOW + 10**12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "stoker.db"


def opened(path: Path) -> SqliteStore:
    store = open_sqlite(path)
    store.recover(NOW, max_interruptions=3)
    return store


def copy_of(store: SqliteStore, file: Path) -> Path:
    snapshot = store.snapshot()
    while not snapshot.step().complete:
        pass
    shutil.copyfile(snapshot.path, file)
    snapshot.close()
    snapshot.remove()
    return file


def put_back(file: Path, path: Path, now: int = LATER) -> Restored:
    fd = os.open(file, os.O_RDONLY)
    try:
        return restore(fd, path, now)
    finally:
        os.close(fd)


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_the_store_is_again_as_it_was_and_what_came_since_is_beside_it(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    kept = add(store)
    backup = copy_of(store, tmp_path / "backup")
    late = add(store)
    store.close()
    done = put_back(backup, path)
    assert (done.contents.jobs, done.contents.running) == (1, 0)
    assert done.aside is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(path.parent) == {"stoker.db", "stoker.db.lock", done.aside.name}
    store = opened(path)
    assert find(store, kept) is not None
    assert find(store, late) is None
    store.close()
    back = put_back(done.aside, path)
    assert back.aside not in (None, done.aside)
    store = opened(path)
    assert find(store, late) is not None
    store.close()


def test_what_only_the_log_of_a_killed_daemon_holds_goes_aside_with_its_store(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    backup = copy_of(store, tmp_path / "backup")
    add(store)
    killed = tmp_path / "killed" / "stoker.db"
    killed.parent.mkdir()
    for suffix in ("", "-wal"):
        shutil.copyfile(f"{path}{suffix}", f"{killed}{suffix}")
    store.close()
    aside = put_back(backup, killed).aside
    assert aside is not None
    assert names(killed.parent) == {"stoker.db", "stoker.db.lock", aside.name}
    assert check(aside, deep=True).jobs == 1
    assert check(killed, deep=True).jobs == 0


def test_it_works_where_nothing_was_before(path: Path, tmp_path: Path) -> None:
    store = opened(tmp_path / "other" / "stoker.db")
    job = add(store)
    backup = copy_of(store, tmp_path / "backup")
    store.close()
    path.parent.mkdir()
    assert put_back(backup, path).aside is None
    store = opened(path)
    assert find(store, job) is not None
    store.close()


def test_a_store_that_cannot_be_read_goes_aside_with_its_log(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    add(store)
    backup = copy_of(store, tmp_path / "backup")
    store.close()
    path.write_bytes(b"x" * 10_000)
    path.with_name("stoker.db-wal").write_bytes(b"its log")
    aside = put_back(backup, path).aside
    assert aside is not None
    assert aside.read_bytes() == b"x" * 10_000
    assert aside.with_name(f"{aside.name}-wal").read_bytes() == b"its log"
    store = opened(path)
    store.close()


def test_jobs_that_ran_when_the_copy_was_made_are_told_and_go_back(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    job = running(store)
    backup = copy_of(store, tmp_path / "backup")
    store.close()
    assert put_back(backup, path).contents.running == 1
    store = opened(path)
    found = find(store, job)
    assert found is not None
    assert (found.state, found.interruptions) == (State.PENDING, 1)
    store.close()


def test_its_epoch_is_ahead_of_the_one_it_replaces(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    backup = copy_of(store, tmp_path / "backup")
    store.close()
    for _ in range(5):
        store = open_sqlite(path)
        last = store.recover(NOW, max_interruptions=3).epoch
        store.close()
    put_back(backup, path)
    store = open_sqlite(path)
    assert store.recover(NOW, max_interruptions=3).epoch == last + 1
    store.close()
    path.unlink()  # and where nobody knows how often that one was started, of any it could have had
    put_back(backup, path)
    store = open_sqlite(path)
    assert store.recover(NOW, max_interruptions=3).epoch > MANY_STARTS
    store.close()


@pytest.mark.parametrize("before", [0, 3])
def test_who_followed_the_journal_is_told_that_it_is_another_one(path: Path, tmp_path: Path, before: int) -> None:
    store = opened(path)
    for _ in range(before):
        add(store)
    backup = copy_of(store, tmp_path / "backup")
    for _ in range(5):
        add(store)
    reader = store.reader()
    places = [event.n for event in reader.events(None, limit=100).events]
    reader.close()
    store.close()
    put_back(backup, path)
    store = opened(path)
    reader = store.reader()
    for _ in range(20):  # more than the place has been behind
        add(store)
    for place in places:
        with pytest.raises(Gone):
            reader.events(place, limit=10)
    page = reader.events(None, limit=100)
    assert len(page.events) == before + 20
    assert page.last == reader.extent().last
    follow = reader.events(page.events[-3].n, limit=10)
    assert [event.n for event in follow.events] == [page.last - 1, page.last]
    reader.close()
    store.close()


def test_a_journal_that_was_restored_before_is_another_one_too(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    add(store)
    backup = copy_of(store, tmp_path / "backup")
    store.close()
    put_back(backup, path, LATER)
    store = opened(path)
    reader = store.reader()
    first = reader.extent()
    again = copy_of(store, tmp_path / "again")
    add(store)
    reader.close()
    store.close()
    put_back(again, path, LATER + 1_000_000)
    store = opened(path)
    reader = store.reader()
    assert first == Extent(LATER, LATER)
    assert reader.extent().first == LATER + 1_000_000
    reader.close()
    store.close()


def test_a_store_that_is_in_use_stays(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    backup = copy_of(store, tmp_path / "backup")
    before = names(path.parent)
    with pytest.raises(StartError, match=r"a daemon has .*stoker\.db open \(pid \d+ .*\): stop it before you restore"):
        put_back(backup, path)
    assert names(path.parent) == before
    store.close()


def test_a_store_that_a_shell_has_open_stays(path: Path, tmp_path: Path) -> None:
    store = opened(path)
    add(store)
    backup = copy_of(store, tmp_path / "backup")
    program = (
        "import sqlite3, sys; shell = sqlite3.connect(sys.argv[1]); "
        "print(*shell.execute('SELECT count(*) FROM jobs')); sys.stdin.read()"
    )
    argv = [sys.executable, "-c", program, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        store.close()
        with pytest.raises(StoreUnavailable, match=r"another program has .* open"):
            put_back(backup, path)
        shell.communicate()
    assert names(path.parent) == {"stoker.db", "stoker.db.lock"}
    assert check(path, deep=True).jobs == 1


def test_a_disk_that_fails_in_the_last_step_leaves_the_present_store(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(path)
    job = add(store)
    backup = copy_of(opened(tmp_path / "empty" / "stoker.db"), tmp_path / "backup")
    store.close()

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(restoring.os, "replace", fails)
    with pytest.raises(StoreUnavailable, match="Input/output error; nothing was restored"):
        put_back(backup, path)
    store = opened(path)
    assert find(store, job) is not None
    store.close()


def spoil(file: Path, statement: str) -> None:
    connection = apsw.Connection(str(file))
    connection.execute(statement).fetchall()
    connection.close()


def text(file: Path) -> None:
    file.write_text("somebody's notes\n" * 1000)


def empty(file: Path) -> None:
    file.write_bytes(b"")


def somebody_elses(file: Path) -> None:
    file.unlink()
    spoil(file, "CREATE TABLE t (x)")


def newer(file: Path) -> None:
    spoil(file, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")


def half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def a_page_of_garbage(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.seek(3 * 4096)
        opened.write(os.urandom(4096))


def an_index_that_lacks_a_row(file: Path) -> None:
    spoil(
        file,
        "PRAGMA writable_schema = ON; "
        "UPDATE sqlite_schema SET sql = replace(sql, 'WHERE state > 4', 'WHERE state > 0') WHERE name = 'states_dead'",
    )


def a_job_without_state(file: Path) -> None:
    spoil(file, "DELETE FROM states WHERE seq = 1")


def miscounted(file: Path) -> None:
    spoil(file, "UPDATE counts SET n = n + 1 WHERE state = 1")


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (text, "the backup is not a SQLite database"),
        (empty, "the backup is empty"),
        (somebody_elses, "not one of stoker's"),
        (newer, f"a newer stoker .its schema is version {len(MIGRATIONS) + 1}, .*install that version"),
        (half, "the backup"),
        (a_page_of_garbage, "damaged"),
        (an_index_that_lacks_a_row, "damaged: .*states_dead"),
        (a_job_without_state, "damaged: it has 40 jobs and the states of 39"),
        (miscounted, "damaged: what it says of how many"),
    ],
)
def test_what_is_no_whole_store_is_refused_and_changes_nothing(
    path: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    complaint: str,
) -> None:
    store = opened(path)
    for _ in range(40):
        add(store)
    backup = copy_of(store, tmp_path / "backup")
    store.close()
    damage(backup)
    before = path.read_bytes()
    with pytest.raises(Unsound, match=complaint) as refused:
        put_back(backup, path)
    assert "restoring" not in refused.value.message
    assert path.read_bytes() == before
    assert names(path.parent) == {"stoker.db", "stoker.db.lock"}


def test_the_file_of_a_stopped_daemon_can_be_restored_too(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other" / "stoker.db"
    store = opened(other)
    job = add(store)
    store.close()
    path.parent.mkdir()
    put_back(other, path)
    store = opened(path)
    assert find(store, job) is not None
    store.close()


def test_a_copy_of_an_older_version_is_brought_to_this_one(path: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    spoil(old, f"{_VERSION_1}; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1")
    path.parent.mkdir()
    assert put_back(old, path).contents.schema == 1
    assert check(path, deep=True).schema == len(MIGRATIONS)
    opened(path).close()
