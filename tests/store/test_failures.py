"""SQLite on a disk that fails: what is answered, what is kept, and that it works again afterwards."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from supervisor.core.job import Claim, State
from supervisor.errors import StoreUnavailable
from supervisor.store.port import Store
from supervisor.store.sqlite import SqliteStore, open_sqlite
from tests.store.support import (
    MAX_INTERRUPTIONS,
    NOW,
    add,
    ending,
    error,
    find,
    finish,
    get,
    new_job,
    ready_ids,
    running,
    submit,
    transaction,
)
from tests.store.vfs import Failing, observed

SMALL_LOG = 64 * 1024


@pytest.fixture
def disk() -> Failing:
    return Failing()


@pytest.fixture
def vfs(disk: Failing) -> Iterator[str]:
    with observed(disk) as name:
        yield name


@pytest.fixture
def store(tmp_path: Path, vfs: str, disk: Failing) -> Iterator[SqliteStore]:
    store = open_sqlite(tmp_path / "stoker.db", vfs=vfs, log_bytes=SMALL_LOG)
    store.recover(NOW, max_interruptions=MAX_INTERRUPTIONS)
    yield store
    disk.heal()
    store.close()


def intact(path: Path) -> bool:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return bool(connection.pragma("integrity_check") == "ok")
    finally:
        connection.close()


ERRORS: list[tuple[type[apsw.Error], str]] = [
    (apsw.FullError, "the disk is full"),
    (apsw.IOError, "the disk reported an error"),
    (apsw.ReadOnlyError, "cannot be written"),
    (apsw.CantOpenError, "cannot be opened"),
    (apsw.NoMemError, "no memory"),
]


@pytest.mark.parametrize(("kind", "words"), ERRORS)
@pytest.mark.parametrize("where", ["write", "sync"])
def test_a_failed_commit_is_refused_with_the_reason_and_leaves_nothing(
    store: SqliteStore, disk: Failing, tmp_path: Path, kind: type[apsw.Error], words: str, where: str
) -> None:
    kept = add(store)
    (disk.fail_writes if where == "write" else disk.fail_syncs)(kind)
    store.begin()
    (lost,) = store.submit([new_job(queue="new")], NOW)
    with pytest.raises(StoreUnavailable, match=words) as caught:
        store.commit()
    assert str(tmp_path / "stoker.db") in caught.value.message
    store.rollback()
    disk.heal()
    assert find(store, lost) is None
    assert ready_ids(store) == [kept.id]
    again = add(store, queue="new")
    assert ready_ids(store, "new") == [again.id]


def test_the_failure_of_any_single_write_or_sync_loses_nothing(store: SqliteStore, disk: Failing) -> None:
    """Submits, claims, outcomes and checkpoints, each change of the disk failing once in turn."""
    expected: dict[str, State] = {}
    refused = 0
    for n in range(120):
        (disk.fail_writes if n % 2 else disk.fail_syncs)(apsw.IOError, after=n % 11, times=1)
        try:
            with transaction(store):
                answers = store.submit([new_job(payload=b'"' + b"x" * 3000 + b'"') for _ in range(3)], NOW)
                claims = [Claim(seq=one.seq, attempt=1, started_at=NOW) for one in answers[:2]]
                store.record(claims, [ending(answers[0], State.FAILED, error=error())])
        except StoreUnavailable:
            refused += 1
            assert store.get([one.id for one in answers]) == [None] * 3
        else:
            states = (State.FAILED, State.RUNNING, State.PENDING)
            expected |= dict(zip((one.id for one in answers), states, strict=True))
            store.tidy()
    disk.heal()
    assert 20 < refused < 100
    assert {job.id: job.state for job in store.get(list(expected)) if job} == expected
    (counts,) = store.reader().counts()
    assert counts.pending + counts.running + counts.failed == len(expected)


def test_an_outcome_held_back_lands_when_the_disk_works_again(store: SqliteStore, disk: Failing) -> None:
    job = running(store)
    disk.fail_writes(apsw.FullError)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            finish(store, ending(job))
    disk.heal()
    assert finish(store, ending(job)) == [True]
    assert get(store, job).state is State.DONE


VERBS: list[Callable[[Store, str], object]] = [
    lambda store, job_id: store.submit([new_job()], NOW),
    lambda store, job_id: store.cancel([job_id], NOW),
    lambda store, job_id: store.delete([job_id], NOW),
    lambda store, job_id: store.pause("other", True),
    lambda store, job_id: store.promote(NOW + 10, 10),
    lambda store, job_id: store.touch(NOW),
    lambda store, job_id: store.silence(["q"]),
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_leaves_the_store_usable(
    store: SqliteStore, disk: Failing, verb: Callable[[Store, str], object]
) -> None:
    job = add(store, run_at=NOW + 10)
    disk.fail_writes(apsw.FullError)
    with pytest.raises(StoreUnavailable), transaction(store):
        verb(store, job.id)
    assert get(store, job).state is State.PENDING
    disk.heal()
    with transaction(store):
        verb(store, job.id)


def test_a_checkpoint_that_fails_fails_no_commit_and_is_caught_up_on(
    store: SqliteStore, disk: Failing, tmp_path: Path
) -> None:
    log = tmp_path / "stoker.db-wal"
    jobs = [add(store, payload=b'"' + b"x" * 10_000 + b'"') for _ in range(14)]  # more than the log should hold
    assert log.stat().st_size > SMALL_LOG
    while not is_due(store):  # a commit may have just seen to it
        jobs.append(add(store, payload=b'"' + b"x" * 10_000 + b'"'))
    disk.fail_writes(apsw.FullError)
    store.tidy()
    assert disk.writes > 0
    disk.heal()
    size = log.stat().st_size
    for _ in range(30):
        jobs.append(add(store, payload=b'"' + b"x" * 10_000 + b'"'))
        store.tidy()
    assert log.stat().st_size < size + 2 * SMALL_LOG
    assert None not in store.get([job.id for job in jobs])


def is_due(store: SqliteStore) -> bool:
    checkpointer = store._checkpointer
    checkpointer._count()
    return checkpointer._pages >= checkpointer._full


def test_a_file_that_another_program_has_locked_is_refused_with_the_reason(store: SqliteStore, tmp_path: Path) -> None:
    other = apsw.Connection(str(tmp_path / "stoker.db"))
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another program holds a lock"):
        store.begin()
    other.execute("ROLLBACK")
    other.close()
    assert add(store).created


def test_a_statement_that_sqlite_refuses_is_not_called_a_matter_of_the_disk(store: SqliteStore) -> None:
    job = new_job()
    submit(store, job)
    store.begin()
    with pytest.raises(Exception, match="a bug in stoker") as caught:
        store.submit([new_job(), job], NOW)  # the id twice
    assert not isinstance(caught.value, StoreUnavailable)
    store.rollback()
    assert len(ready_ids(store)) == 1


def test_a_disk_that_fails_at_start_may_work_later(tmp_path: Path, vfs: str, disk: Failing) -> None:
    disk.fail_writes(apsw.IOError)
    with pytest.raises(StoreUnavailable, match=r"cannot open the store .*the disk reported an error"):
        open_sqlite(tmp_path / "stoker.db", vfs=vfs)
    disk.heal()
    store = open_sqlite(tmp_path / "stoker.db", vfs=vfs)
    store.close()


def test_any_failure_during_the_first_start_leaves_a_file_that_starts(tmp_path: Path, vfs: str, disk: Failing) -> None:
    failed = 0
    for n in range(60):
        path = tmp_path / str(n) / "stoker.db"
        (disk.fail_writes if n % 2 else disk.fail_syncs)(apsw.IOError, after=n // 2, times=1)
        try:
            open_sqlite(path, vfs=vfs, log_bytes=SMALL_LOG).close()
        except StoreUnavailable:
            failed += 1
        disk.heal()
        store = open_sqlite(path, vfs=vfs, log_bytes=SMALL_LOG)
        store.recover(NOW, max_interruptions=1)
        assert add(store).created
        store.close()
    assert failed > 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def fill(store: Store) -> tuple[list[str], str]:
    """Submit until that is refused; returns what was accepted, and the refusal."""
    accepted: list[str] = []
    while True:
        try:
            accepted.append(add(store, payload=b'"' + b"x" * 900 + b'"').id)
        except StoreUnavailable as refusal:
            return accepted, refusal.message
        store.tidy()


def test_on_a_full_disk_submits_are_refused_and_nothing_is_lost(small_disk: Path) -> None:
    path = small_disk / "stoker.db"
    store = open_sqlite(path, log_bytes=256 * 1024)
    store.recover(NOW, max_interruptions=MAX_INTERRUPTIONS)
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (1 << 20))
    busy = running(store)
    accepted, refusal = fill(store)
    assert "the disk is full" in refusal
    assert "SQLITE_FULL" in refusal
    assert len(accepted) > 100
    outcome = ending(busy, result=b'"' + b"y" * 200_000 + b'"')
    with pytest.raises(StoreUnavailable):
        finish(store, outcome)
    assert get(store, busy).state is State.RUNNING
    assert None not in store.get(accepted)

    ballast.unlink()
    assert finish(store, outcome) == [True]
    accepted.append(add(store).id)
    store.tidy()
    store.close()
    assert intact(path)
    store = open_sqlite(path)
    assert None not in store.get(accepted)
    assert get(store, busy).result == outcome.result
    store.close()
