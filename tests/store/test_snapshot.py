"""A copy of the database that is made while it is written to."""

import os
import stat
from pathlib import Path

import apsw
import pytest

from supervisor.errors import StoreUnavailable
from supervisor.store.sqlite import SqliteStore, open_sqlite
from supervisor.store.sqlite import snapshot as module
from supervisor.store.sqlite.inspecting import check
from supervisor.store.sqlite.snapshot import SqliteSnapshot
from tests.store.support import add, new_job, submit


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    made = open_sqlite(tmp_path / "stoker.db")
    submit(made, *(new_job(payload=b'"%s"' % (b"x" * 4000)) for _ in range(500)))
    return made


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAGES", 8)
    monkeypatch.setattr(module, "STEP_SECS", 0.0)  # no step was quick enough for a larger one


def finish(snapshot: SqliteSnapshot) -> int:
    """How many steps it took."""
    steps = 1
    while not snapshot.step().complete:
        steps += 1
    return steps


def ids(path: Path) -> set[str]:
    connection = apsw.Connection(f"file:{path}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        return {job_id for (job_id,) in connection.execute("SELECT id FROM jobs")}
    finally:
        connection.close()


@pytest.mark.usefixtures("small_steps")
def test_what_is_committed_between_two_steps_is_in_the_copy(store: SqliteStore, tmp_path: Path) -> None:
    snapshot = store.snapshot()
    began = ids(tmp_path / "stoker.db")
    late: set[str] = set()
    while not (copied := snapshot.step()).complete:
        assert 0 < copied.bytes <= copied.of
        if len(late) < 200:
            late.add(add(store, payload=b'"late"').id)
            store.tidy()
    assert check(snapshot.path, deep=True).jobs == 500 + len(late) > 510
    assert ids(snapshot.path) >= began | late
    snapshot.close()
    snapshot.remove()
    store.close()


def test_it_is_one_file_for_its_owner_alone_that_can_be_opened_where_nothing_can_be_written(
    store: SqliteStore, tmp_path: Path
) -> None:
    snapshot = store.snapshot()
    finish(snapshot)
    assert stat.S_IMODE(snapshot.path.stat().st_mode) == 0o600
    names = {entry.name for entry in tmp_path.iterdir() if entry.name.startswith(snapshot.path.name)}
    assert names == {snapshot.path.name}
    connection = apsw.Connection(str(snapshot.path), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.pragma("journal_mode") == "delete"
    connection.close()
    snapshot.close()
    snapshot.remove()
    assert not snapshot.path.exists()
    store.close()


@pytest.mark.usefixtures("small_steps")
def test_a_transaction_that_fails_makes_it_begin_again_and_a_broken_store_ends_it(store: SqliteStore) -> None:
    snapshot = store.snapshot()
    snapshot.step()
    done = snapshot.step().bytes

    def fail() -> None:
        store.begin()
        store.submit([new_job()], 1)
        store.rollback()

    def fail_all_the_time(snapshot: SqliteSnapshot) -> None:
        for _ in range(20):
            snapshot.step()
            snapshot.step()
            fail()

    fail()
    assert snapshot.step().bytes < done
    finish(snapshot)
    assert check(snapshot.path, deep=True).jobs == 500
    snapshot.close()
    endless = store.snapshot()
    with pytest.raises(StoreUnavailable, match="begin again too often"):
        fail_all_the_time(endless)
    endless.close()
    store.close()


@pytest.mark.usefixtures("small_steps")
def test_one_that_is_given_up_leaves_nothing_and_the_store_as_it_was(store: SqliteStore) -> None:
    snapshot = store.snapshot()
    snapshot.step()
    snapshot.close()
    snapshot.remove()
    assert not snapshot.path.exists()
    add(store)
    again = store.snapshot()
    finish(again)
    assert check(again.path, deep=True).jobs == 501
    again.close()
    store.close()


def test_what_a_crash_leaves_is_removed_when_the_store_is_opened_again(store: SqliteStore, tmp_path: Path) -> None:
    leftover = store.snapshot()
    store.close()
    assert leftover.path.exists()
    open_sqlite(tmp_path / "stoker.db").close()
    assert not leftover.path.exists()


def test_a_place_that_takes_no_file_is_said(store: SqliteStore, tmp_path: Path) -> None:
    (tmp_path / "stoker.db.snapshot").mkdir()
    with pytest.raises(StoreUnavailable, match=r"cannot make .*stoker\.db\.snapshot: File exists"):
        store.snapshot()
    store.close()


def test_slow_steps_become_smaller(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    snapshot = store.snapshot()
    advances = [snapshot.step().bytes for _ in range(9)]
    sizes = [after - before for before, after in zip([0, *advances], advances, strict=False)]
    assert [size // 4096 for size in sizes] == [64, 32, 16, 8, 4, 2, 1, 1, 1]
    snapshot.close()
    store.close()


def test_its_size_is_known_before(store: SqliteStore) -> None:
    snapshot = store.snapshot()
    finish(snapshot)
    assert store.size() == os.stat(snapshot.path).st_size
    snapshot.close()
    store.close()
