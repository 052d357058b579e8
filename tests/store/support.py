"""Making jobs and moving them about, for the tests of the store."""

import itertools
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from msgspec import Raw

from supervisor.core.job import Attempt, Cause, Claim, Job, JobError, NewJob, Outcome, Ready, State
from supervisor.store.memory import Disk, MemoryStore
from supervisor.store.port import Store, Submitted
from supervisor.store.sqlite import SqliteStore, open_sqlite

NOW = 1_700_000_000_000_000
MAX_INTERRUPTIONS = 3

_numbers = itertools.count(1)


class Backend(Protocol):
    """Something that keeps jobs over a reopening."""

    def open(self, not_again: Collection[str] = ()) -> Store:
        """Open, and recover."""
        ...

    def crash(self, not_again: Collection[str] = ()) -> Store:
        """End what is open without a word, its open transaction lost, and open again."""
        ...

    def close(self) -> None: ...


class MemoryBackend:
    def __init__(self) -> None:
        self._disk = Disk()

    def open(self, not_again: Collection[str] = ()) -> Store:
        store = MemoryStore(self._disk)
        store.recover(NOW, max_interruptions=MAX_INTERRUPTIONS, not_again=not_again)
        return store

    def crash(self, not_again: Collection[str] = ()) -> Store:
        return self.open(not_again)

    def close(self) -> None:
        pass


class SqliteBackend:
    """Each crash copies the files as they are, and the copy is what is opened next."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self._folder = folder
        self._options = options
        self._lives = 0
        self._store: SqliteStore | None = None

    @property
    def path(self) -> Path:
        return self._folder / str(self._lives) / "stoker.db"

    def open(self, not_again: Collection[str] = ()) -> Store:
        self.close()
        self._store = open_sqlite(self.path, **self._options)
        self._store.recover(NOW, max_interruptions=MAX_INTERRUPTIONS, not_again=not_again)
        return self._store

    def crash(self, not_again: Collection[str] = ()) -> Store:
        before = self.path
        self._lives += 1
        self.path.parent.mkdir()
        for name in ("stoker.db", "stoker.db-wal"):
            shutil.copyfile(before.with_name(name), self.path.with_name(name))
        store = self.open(not_again)
        shutil.rmtree(before.parent)
        return store

    def trace(self, statements: list[str] | None) -> None:
        """Add each statement that is executed from now on; None: no more of it."""
        assert self._store is not None

        def remember(cursor: object, sql: str, bindings: object) -> bool:
            assert statements is not None
            statements.append(sql)
            return True

        self._store._connection.exec_trace = None if statements is None else remember

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None


@contextmanager
def transaction(store: Store) -> Iterator[Store]:
    store.begin()
    try:
        yield store
    except BaseException:
        store.rollback()
        raise
    store.commit()


def new_id() -> str:
    """In the form of a UUIDv7, rising."""
    number = next(_numbers)
    return f"01890000-0000-7000-8000-{number:012x}"


def new_job(**changes: Any) -> NewJob:
    values: dict[str, Any] = {
        "id": new_id(),
        "queue": "q",
        "payload": b'{"n":1}',
        "created_at": NOW,
        "run_at": NOW,
    }
    return NewJob(**values | changes)


def submit(store: Store, *jobs: NewJob, now: int = NOW) -> list[Submitted]:
    with transaction(store):
        return store.submit(jobs, now)


def add(store: Store, **changes: Any) -> Submitted:
    """Submit one job."""
    (answer,) = submit(store, new_job(**changes))
    return answer


def claim(store: Store, *jobs: Submitted | Ready | Job, attempt: int = 1, at: int = NOW) -> list[bool]:
    with transaction(store):
        claims = [Claim(seq=job.seq, attempt=attempt, started_at=at) for job in jobs]
        return store.record(claims, [])[0]


def ending(job: Submitted | Ready | Job, state: State = State.DONE, *, attempt: int = 1, **changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "seq": job.seq,
        "attempt": attempt,
        "state": state,
        "started_at": NOW,
        "finished_at": NOW + 10,
        "charged": 0,
        "crashes": 0,
        "interruptions": 0,
    }
    if state is State.DONE:
        values["result"] = b'"fine"'
    return Outcome(**values | changes)


def finish(store: Store, *outcomes: Outcome, claims: Sequence[Claim] = ()) -> list[bool]:
    with transaction(store):
        return store.record(claims, outcomes)[1]


def running(store: Store, **changes: Any) -> Submitted:
    """A job at its first attempt."""
    job = add(store, **changes)
    assert claim(store, job) == [True]
    return job


def ended(store: Store, state: State = State.DONE, **changes: Any) -> Submitted:
    """A job that ended after its first attempt."""
    job = running(store, **changes)
    assert finish(store, ending(job, state)) == [True]
    return job


def error(message: str = "no such file", *, cause: Cause = Cause.ERROR, **changes: Any) -> JobError:
    return JobError(cause=cause, message=message, **changes)


def attempt(number: int, told: JobError, **changes: Any) -> Attempt:
    values: dict[str, Any] = {"started_at": NOW, "finished_at": NOW + 10, "pid": None}
    return Attempt(attempt=number, error=told, **values | changes)


def get(store: Store, job: str | Submitted) -> Job:
    found = find(store, job)
    assert found is not None
    return found


def find(store: Store, job: str | Submitted) -> Job | None:
    return store.get([job if isinstance(job, str) else job.id])[0]


def ready(store: Store, queue: str = "q", **changes: Any) -> list[Ready]:
    values: dict[str, Any] = {"after": None, "limit": 100, "max_bytes": 1 << 20}
    return store.ready(queue, **values | changes)


def ready_ids(store: Store, queue: str = "q", **changes: Any) -> list[str]:
    return [row.id for row in ready(store, queue, **changes)]


def raw(value: Raw | None) -> bytes | None:
    """Raws compare by identity; their bytes do not."""
    return None if value is None else bytes(value)
