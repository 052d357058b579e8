"""Reads beside the writer: lists, positions and counts, on a connection that cannot write."""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import apsw

from supervisor.core.job import Job
from supervisor.core.journal import EVERY, Extent, Wanted
from supervisor.errors import StokerError
from supervisor.store.port import EventPage, Filter, Found, Page, Position, QueueCounts
from supervisor.store.sqlite import documents, finding, journal, listing
from supervisor.store.sqlite.checkpoint import Gate, deadline
from supervisor.store.sqlite.errors import translate

_MOST_SECS = 1.0  # a longer read would keep the writer's log from beginning again

T = TypeVar("T")


class SqliteReader:
    """port.Reader. Raises StoreUnavailable for a read that takes over a second."""

    def __init__(self, path: Path, connection: apsw.Connection, gate: Gate) -> None:
        self._path = path
        self._connection = connection
        self._gate = gate

    def get(self, job_id: str) -> Job | None:
        return self._read(lambda: documents.jobs_by_id(self._connection, [job_id])[0])

    def list(self, want: Filter, *, limit: int, before: int | None, full: bool) -> Page:
        return self._read(lambda: listing.page(self._connection, want, limit=limit, before=before, full=full))

    def find(self, want: Filter, *, limit: int, before: int | None) -> Found:
        return self._read(lambda: finding.find(self._connection, want, limit=limit, before=before))

    def heads(self, seqs: Sequence[int]) -> Sequence[Job]:
        return self._read(lambda: documents.jobs_by_seq(self._connection, seqs, full=False))

    def clients(self, prefix: str) -> Sequence[str]:
        return self._read(lambda: listing.clients(self._connection, prefix))

    def position(self, job_id: str) -> Position | None:
        return self._read(lambda: listing.position(self._connection, job_id))

    def counts(self) -> tuple[QueueCounts, ...]:
        return self._read(lambda: listing.counts(self._connection))

    def events(self, after: int | None, *, limit: int, want: Wanted = EVERY) -> EventPage:
        return self._read(lambda: journal.page(self._connection, after, limit, want))

    def extent(self) -> Extent:
        return self._read(lambda: journal.extent(self._connection))

    def close(self) -> None:
        self._connection.close()

    def _read(self, read: Callable[[], T]) -> T:
        """`read` in a transaction of its own. One that the writer interrupted, for the sake of its log, starts over."""
        until = time.monotonic() + _MOST_SECS
        while True:
            with self._gate.reading(self._connection):
                try:
                    deadline(self._connection, until)
                    self._connection.execute("BEGIN")
                    return read()
                except apsw.InterruptError as error:
                    if time.monotonic() > until:
                        raise self._failed(error) from error
                except apsw.Error as error:
                    raise self._failed(error) from error
                finally:
                    while self._connection.in_transaction:
                        with suppress(apsw.InterruptError):  # it may meet this statement too
                            self._connection.execute("ROLLBACK")

    def _failed(self, error: apsw.Error) -> StokerError:
        return translate(error, str(self._path))
