"""The journal's writing and reading.

What happened is told by the rows that changed: one INSERT ... SELECT for a whole batch, so that no value of an event
travels through Python. Rows lie in the order of their numbers, which are without gaps; a place in the journal, a page
and its old end are therefore ranges of the primary key. There is no index by job or queue: it would be paid for with
every event, to spare the seldom reader a scan that is bounded anyway.
"""

from collections.abc import Collection
from typing import cast

import apsw
import msgspec

from supervisor.core.job import NULL, Cause
from supervisor.core.journal import Extent, JobEvent, Kind, Wanted, begin
from supervisor.store.port import EVENTS_LOOKED_AT, EventPage
from supervisor.store.sqlite.bulk import Bulk
from supervisor.store.sqlite.queues import Queues
from supervisor.store.sqlite.schema import CANCELLED, DONE, EXPIRED, FAILED, LATER, RUNNING

# A final state's event has its number, so that SQL need not translate.
SUBMITTED, STARTED, RETRYING, RELEASED, INTERRUPTED, RETRIED, DELETED = 1, RUNNING, 8, 9, 10, 11, 12
PROGRESS = 13

_KIND_OF = {
    SUBMITTED: Kind.SUBMITTED,
    STARTED: Kind.STARTED,
    DONE: Kind.DONE,
    FAILED: Kind.FAILED,
    CANCELLED: Kind.CANCELLED,
    EXPIRED: Kind.EXPIRED,
    RETRYING: Kind.RETRYING,
    RELEASED: Kind.RELEASED,
    INTERRUPTED: Kind.INTERRUPTED,
    PROGRESS: Kind.PROGRESS,
    RETRIED: Kind.RETRIED,
    DELETED: Kind.DELETED,
}
_NUMBERS = {kind: number for number, kind in _KIND_OF.items()}

_INTO = "INSERT INTO events (at, job, queue, kind, attempt, data)"
_LOUD = "s.queue IN (SELECT id FROM queues WHERE NOT silent)"

# One that another of its own batch has replaced is cancelled by now, and was submitted all the same.
SUBMITTED_FROM = f"""{_INTO}
    SELECT :now, s.seq, s.queue, {SUBMITTED}, 0,
      CASE WHEN s.state = {LATER} OR s.state = {CANCELLED} AND s.run_at > max(:now, (
        SELECT created_at FROM jobs WHERE seq = s.seq)) THEN json_object('run_at', s.run_at) END
    FROM states AS s WHERE s.seq >= :first AND {_LOUD} ORDER BY s.seq"""

# For those that the fence let through. A row sent back does not say when; its batch does, within a moment.
RECORDED = f"""{_INTO}
    SELECT s.started_at, s.seq, s.queue, {STARTED}, s.attempt, NULL
    FROM json_each(?1) AS v CROSS JOIN states AS s ON s.seq = v.value WHERE {_LOUD}
    UNION ALL
    SELECT ifnull(s.finished_at, ?2), s.seq, s.queue,
      CASE WHEN s.state > {RUNNING} THEN s.state WHEN s.error IS NULL THEN {RELEASED} ELSE {RETRYING} END, s.attempt,
      CASE WHEN s.state = {DONE} OR s.state > {RUNNING} AND s.error IS NULL THEN NULL
        WHEN s.state > {RUNNING} THEN json_object('cause', s.error ->> '$.cause')
        WHEN s.error IS NULL THEN json_object('run_at', s.run_at)
        ELSE json_object('run_at', s.run_at, 'cause', s.error ->> '$.cause') END
    FROM json_each(?3) AS v CROSS JOIN states AS s ON s.seq = v.value WHERE {_LOUD}"""

PROGRESSED = Bulk(
    f"""{_INTO}
    SELECT v.column3, s.seq, s.queue, {PROGRESS}, s.attempt, json_object('progress', json(v.column4))
    FROM (VALUES {{rows}}) AS v CROSS JOIN states AS s ON s.seq = v.column1
    WHERE s.state = {RUNNING} AND s.attempt = v.column2 AND {_LOUD}""",
    width=4,
)

_GIVEN_UP = """(s.interruptions + 1 >= :max
      OR s.queue IN (SELECT id FROM queues WHERE name IN (SELECT value FROM json_each(:queues))))"""
RECOVERED = f"""{_INTO}
    SELECT :now, s.seq, s.queue, iif({_GIVEN_UP}, {FAILED}, {INTERRUPTED}), s.attempt,
      CASE WHEN {_GIVEN_UP} THEN json_object('cause', 'interrupted') END
    FROM states AS s WHERE s.state = {RUNNING} AND {_LOUD} ORDER BY s.seq"""

# The sign keeps SQLite from reading all states in the order that is wanted, in place of the few that are running.
RUNNING_NOW = f"""SELECT j.id, q.name, s.attempt, {_GIVEN_UP}
    FROM states AS s CROSS JOIN jobs AS j ON j.seq = s.seq CROSS JOIN queues AS q ON q.id = s.queue
    WHERE s.state = {RUNNING} ORDER BY +s.seq"""

_HAPPENED = f"""{_INTO}
    SELECT :now, s.seq, s.queue, :kind, s.attempt, :data
    FROM json_each(:seqs) AS v CROSS JOIN states AS s ON s.seq = v.value WHERE {_LOUD}"""

_DELETED = f"""{_INTO}
    SELECT :now, s.seq, s.queue, {DELETED}, s.attempt, json_object('id', j.id)
    FROM json_each(:seqs) AS v CROSS JOIN states AS s ON s.seq = v.value CROSS JOIN jobs AS j ON j.seq = v.value
    WHERE {_LOUD}"""


def happened(connection: apsw.Connection, kind: int, seqs: str, now: int, cause: Cause | None = None) -> None:
    """The same to all these jobs. `seqs` is a JSON array."""
    data = None if cause is None else msgspec.json.encode({"cause": cause}).decode()
    connection.execute(_HAPPENED, {"kind": kind, "seqs": seqs, "now": now, "data": data})


def deleted(connection: apsw.Connection, seqs: str, now: int) -> None:
    """To be told while they are still there."""
    connection.execute(_DELETED, {"seqs": seqs, "now": now})


def silence(connection: apsw.Connection, queues: Queues, names: Collection[str]) -> None:
    """As port.Store.silence."""
    for name in names:
        queues.intern(name)
    text = msgspec.json.encode(list(names)).decode()
    connection.execute("UPDATE queues SET silent = name IN (SELECT value FROM json_each(?))", (text,))
    queues.silenced()


_TRIM = """DELETE FROM events WHERE n < :first + :limit AND n < (SELECT max(n) FROM events) AND n < max(
    (SELECT max(n) FROM events) + 1 - :most,
    ifnull((SELECT n FROM events WHERE n < :first + :limit AND at >= :before ORDER BY n LIMIT 1), :first + :limit))"""


def trim(connection: apsw.Connection, *, before: int, most: int, limit: int) -> int:
    """As port.Store.trim_events."""
    first = connection.execute("SELECT min(n) FROM events").get
    if first is None:
        return 0
    connection.execute(_TRIM, {"first": first, "limit": limit, "before": before, "most": most})
    return connection.changes()


class _Data(msgspec.Struct):
    run_at: int | None = None
    cause: str | None = None
    progress: msgspec.Raw = NULL


_decode_data = msgspec.json.Decoder(_Data).decode
_NOTHING = _Data()

_EXTENT = "SELECT ifnull((SELECT min(n) FROM events), 1), ifnull((SELECT max(n) FROM events), 0)"
_PAGE = """SELECT e.n, e.at, e.kind, e.attempt, e.data, q.name, ifnull(
      (SELECT id FROM jobs WHERE seq = e.job),
      (SELECT d.data ->> '$.id' FROM events AS d INDEXED BY events_deleted WHERE d.job = e.job AND d.kind = 12))
    FROM (
      SELECT * FROM events AS e WHERE n > :after AND n <= :until {wanted} ORDER BY n LIMIT :limit
    ) AS e CROSS JOIN queues AS q ON q.id = e.queue ORDER BY e.n"""
_SEQ = """SELECT ifnull((SELECT seq FROM jobs WHERE id = :id), (
    SELECT job FROM events INDEXED BY events_deleted_id WHERE kind = 12 AND data ->> '$.id' = :id))"""


def extent(connection: apsw.Connection) -> Extent:
    """As port.Reader.extent."""
    first, last = connection.execute(_EXTENT).get
    return Extent(first, last)


def page(connection: apsw.Connection, after: int | None, limit: int, want: Wanted) -> EventPage:
    """As port.Reader.events."""
    kept = extent(connection)
    place = begin(kept, after)
    until = min(kept.last, place + EVENTS_LOOKED_AT)
    conditions, bindings = _meaning(connection, want)
    bindings |= {"after": place, "until": until, "limit": limit}
    rows = cast(list[_Row], connection.execute(_PAGE.format(wanted=conditions), bindings).fetchall())
    events = tuple(_event(row) for row in rows)
    if len(events) == limit:
        until = events[-1].n
    return EventPage(events=events, last=until, more=until < kept.last)


def _meaning(connection: apsw.Connection, want: Wanted) -> tuple[str, dict[str, object]]:
    """In SQL, with its bindings. A job or a queue that is not there has the number NULL, which nothing equals."""
    conditions = ""
    bindings: dict[str, object] = {}
    if want.job is not None:
        conditions += " AND job = :job"
        bindings["job"] = connection.execute(_SEQ, {"id": want.job}).get
    if want.queue is not None:
        conditions += " AND queue = :queue"
        bindings["queue"] = connection.execute("SELECT id FROM queues WHERE name = ?", (want.queue,)).get
    if want.kinds:
        conditions += " AND kind IN (SELECT value FROM json_each(:kinds))"
        bindings["kinds"] = msgspec.json.encode([_NUMBERS[kind] for kind in want.kinds]).decode()
    if want.sight is not None:
        those = "SELECT id FROM queues WHERE name IN (SELECT value FROM json_each(:names))"
        conditions += f" AND queue {'NOT IN' if want.sight.but else 'IN'} ({those})"
        bindings["names"] = msgspec.json.encode(sorted(want.sight.names)).decode()
    return conditions, bindings


_Row = tuple[int, int, int, int, str | None, str, str | None]


def _event(row: "_Row") -> JobEvent:
    n, at, kind, attempt, text, queue, job = row
    data = _NOTHING if text is None else _decode_data(text)
    return JobEvent(
        n=n,
        at=at,
        job=job,
        queue=queue,
        kind=_KIND_OF[kind],
        attempt=attempt,
        run_at=data.run_at,
        cause=data.cause,
        progress=None if data.progress is NULL else bytes(data.progress),
    )
