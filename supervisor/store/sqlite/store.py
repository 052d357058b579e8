"""The store on SQLite: one file, one writer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import apsw

from supervisor.core.identity import Holder
from supervisor.core.job import Claim, Job, NewJob, Outcome, Progress, Rank, Ready, State
from supervisor.core.retention import Keep
from supervisor.errors import StokerError
from supervisor.store.port import Changed, Filter, Promoted, Recovered, Submitted
from supervisor.store.sqlite import changes, documents, journal
from supervisor.store.sqlite import lanes as lanes_
from supervisor.store.sqlite.checkpoint import LOG_BYTES, PAGE, Checkpointer, Gate
from supervisor.store.sqlite.errors import cannot_start, translate
from supervisor.store.sqlite.lock import FileLock
from supervisor.store.sqlite.opening import create, open_reader, open_writer
from supervisor.store.sqlite.queues import Counter, Queues
from supervisor.store.sqlite.reader import SqliteReader
from supervisor.store.sqlite.record import Recorder
from supervisor.store.sqlite.retention import outlived
from supervisor.store.sqlite.schema import migrate
from supervisor.store.sqlite.snapshot import SqliteSnapshot, remove_leftover
from supervisor.store.sqlite.submit import holders, submit

_STAMPS_OF_AN_EPOCH = 2**32

P = ParamSpec("P")
R = TypeVar("R")


def _guarded(
    verb: Callable[Concatenate["SqliteStore", P], R],
) -> Callable[Concatenate["SqliteStore", P], R]:
    """After a failure nothing of the transaction is left, and the store is ready for the next one."""

    @wraps(verb)
    def guarded(store: "SqliteStore", /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(store, *args, **kwargs)
        except apsw.Error as error:
            raise store.failed(error) from error

    return guarded


class SqliteStore:
    """port.Store on one SQLite file. Made by `open_sqlite`."""

    def __init__(
        self, path: Path, connection: apsw.Connection, lock: FileLock, vfs: str | None, log_bytes: int
    ) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        self._vfs = vfs
        self._gate = Gate()
        self._checkpointer = Checkpointer(connection, self._gate, log_bytes)
        self._queues = Queues(connection)
        epoch, last_seq = connection.execute(
            "SELECT epoch, max(last_seq, ifnull((SELECT max(seq) FROM jobs), 0)) FROM meta"
        ).get
        self._seqs = Counter(last_seq)
        self._stamps = Counter(epoch * _STAMPS_OF_AN_EPOCH)
        self._recorder = Recorder(connection, self._stamps, self._queues)
        log = path.with_name(f"{path.name}-wal")
        self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        self._checkpointer.grow(log.stat().st_size if log.exists() else 0)

    def failed(self, error: apsw.Error) -> StokerError:
        """Undo whatever is open; returns what to raise instead of `error`."""
        self.rollback()
        return translate(error, str(self._path))

    @_guarded
    def recover(self, now: int, *, max_interruptions: int, not_again: Collection[str] = ()) -> Recovered:
        self.begin()
        recovered = changes.recover(self._connection, now, max_interruptions, not_again)
        self.commit()
        self._stamps.last = recovered.epoch * _STAMPS_OF_AN_EPOCH
        return recovered

    @_guarded
    def begin(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    @_guarded
    def commit(self) -> None:
        self._connection.execute("COMMIT")
        self._queues.committed()
        if self._checkpointer.overdue:  # nobody has called tidy
            self._checkpointer.tidy()

    def rollback(self) -> None:
        self._queues.rolled_back()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except apsw.Error:
            # SQLite has rolled back on its own, or it will when this file is opened again: nothing was committed.
            pass

    def tidy(self) -> None:
        self._checkpointer.tidy()

    @_guarded
    def touch(self, now: int) -> None:
        self._connection.execute("UPDATE meta SET touched_at = ?", (now,))

    @_guarded
    def submit(self, jobs: Sequence[NewJob], now: int) -> list[Submitted]:
        return submit(self._connection, self._queues, self._seqs, jobs, now)

    @_guarded
    def pending(self, queues: Collection[str]) -> dict[str, int]:
        return changes.pending(self._connection, queues)

    @_guarded
    def holders(self, jobs: Sequence[NewJob]) -> Mapping[str, Holder]:
        return holders(self._connection, self._queues, jobs)

    @_guarded
    def record(self, claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> tuple[list[bool], list[bool]]:
        return self._recorder.record(claims, outcomes)

    @_guarded
    def progress(self, reports: Sequence[Progress]) -> None:
        self._recorder.progress(reports)

    @_guarded
    def cancel(self, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
        return changes.cancel(self._connection, job_ids, now, want)

    @_guarded
    def retry(self, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
        return changes.retry(self._connection, job_ids, now, want)

    @_guarded
    def delete(self, job_ids: Sequence[str], now: int, want: Filter | None = None) -> list[Changed]:
        return changes.delete(self._connection, job_ids, now, self._seqs.last, want)

    @_guarded
    def outlived(self, keeps: Sequence[Keep], *, spare: Collection[str], limit: int) -> list[str]:
        return outlived(self._connection, self._queues, keeps, spare, limit)

    @_guarded
    def queues(self) -> list[str]:
        return [name for (name,) in self._connection.execute("SELECT name FROM queues ORDER BY name")]

    @_guarded
    def pause(self, queue: str, paused: bool) -> None:
        changes.pause(self._connection, self._queues, queue, paused)

    @_guarded
    def silence(self, queues: Collection[str]) -> None:
        journal.silence(self._connection, self._queues, queues)

    @_guarded
    def trim_events(self, *, before: int, most: int, limit: int) -> int:
        return journal.trim(self._connection, before=before, most=most, limit=limit)

    @_guarded
    def promote(self, now: int, limit: int) -> Promoted:
        return changes.promote(self._connection, now, limit)

    @_guarded
    def ready(self, queue: str, *, after: Rank | None, limit: int, max_bytes: int, lanes: bool = False) -> list[Ready]:
        number = self._queues.known(queue)
        if number is None:
            return []
        return documents.ready(self._connection, number, queue, after, limit, max_bytes, lanes=lanes)

    @_guarded
    def limit_keys(self, queues: Collection[str], after: int) -> int | None:
        return lanes_.limit_keys(self._connection, self._queues, queues, after, self._seqs.last)

    @_guarded
    def lanes(self, queue: str, *, after: str | None, limit: int) -> list[tuple[str, Rank]]:
        number = self._queues.known(queue)
        return [] if number is None else lanes_.names(self._connection, number, after, limit)

    @_guarded
    def lane_rows(
        self, queue: str, lanes: Sequence[tuple[str, Rank]], *, limit: int, max_bytes: int
    ) -> list[tuple[list[Ready], bool]]:
        number = self._queues.known(queue)
        if number is None:
            return [([], True) for _ in lanes]
        return lanes_.rows(self._connection, number, queue, lanes, limit, max_bytes)

    @_guarded
    def get(self, job_ids: Sequence[str]) -> list[Job | None]:
        return documents.jobs_by_id(self._connection, job_ids)

    @_guarded
    def states(self, job_ids: Sequence[str]) -> list[State | None]:
        return documents.states_by_id(self._connection, job_ids)

    @_guarded
    def find(self, client: str, key: str) -> str | None:
        found: str | None = self._connection.execute(
            "SELECT id FROM jobs WHERE client = ? AND key = ?", (client, key)
        ).get
        return found

    @_guarded
    def paused(self) -> Collection[str]:
        return {name for (name,) in self._connection.execute("SELECT name FROM queues WHERE paused")}

    @_guarded
    def next_at(self) -> int | None:
        return changes.next_at(self._connection)

    @_guarded
    def spare(self) -> int:
        pages = self._connection.pragma("freelist_count")
        assert isinstance(pages, int)
        return pages * PAGE

    @_guarded
    def reader(self) -> SqliteReader:
        return SqliteReader(self._path, open_reader(self._path, vfs=self._vfs), self._gate)

    @_guarded
    def size(self) -> int:
        pages = self._connection.pragma("page_count")
        assert isinstance(pages, int)
        return pages * PAGE

    @_guarded
    def snapshot(self) -> SqliteSnapshot:
        return SqliteSnapshot(self._path, self._connection)

    def close(self) -> None:
        """Roll back what is open, copy the log into the database, leave the lock. Close the readers first."""
        self.rollback()
        try:
            self._checkpointer.finish()
        except apsw.Error:
            pass  # the log stays, and the next open reads it: nothing is lost
        finally:
            self._connection.close()
            self._lock.release()


def open_sqlite(
    path: Path, *, synchronous: str = "FULL", vfs: str | None = None, log_bytes: int = LOG_BYTES
) -> SqliteStore:
    """Open the store in the file `path`, new if there is none, brought to this version's schema if it is older.

    Raises StartError: in use by another daemon, not a stoker database, written by a newer stoker, damaged, or not
    accessible; StoreUnavailable for what may pass: a full disk, an I/O error, a lock. `synchronous` below FULL loses
    what was acknowledged when the power fails; it is here for tests and measurements, as are another `vfs` and another
    size of the log.
    """
    create(path)
    lock = FileLock(path)
    remove_leftover(path)
    try:
        connection = open_writer(path, synchronous=synchronous, vfs=vfs)
        try:
            migrate(connection, str(path))
            return SqliteStore(path, connection, lock, vfs, log_bytes)
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        lock.release()
        raise cannot_start(error, str(path)) from error
    except BaseException:
        lock.release()
        raise
