"""Pages of jobs, places in line, and counts. Each function runs inside the caller's read transaction."""

from typing import cast

import apsw
import msgspec

from supervisor.store.port import PAGE_BYTES, Filter, Page, Position, QueueCounts
from supervisor.store.sqlite import filters
from supervisor.store.sqlite.documents import jobs_by_seq
from supervisor.store.sqlite.schema import (
    CANCELLED,
    DONE,
    DUE,
    EXPIRED,
    FAILED,
    LATER,
    RUNNING,
    STATE_OF,
)

NEWEST = 2**63 - 1
_FEW = 2000  # rows that are gathered through an index and sorted, rather than met on the way back from the newest

_decode_seqs = msgspec.json.Decoder(list[int]).decode
_encode = msgspec.json.Encoder().encode


def page(connection: apsw.Connection, want: Filter, *, limit: int, before: int | None, full: bool) -> Page:
    """As port.Reader.list."""
    queue = filters.queue_number(connection, want)
    if queue is None and want.queue is not None:
        return Page(jobs=(), total=0, next_seq=None)
    bindings = filters.bindings(want, queue)
    first = filters.way(want)
    if first is None and filters.timed(want):
        first = _ALL
    if first is None:
        total, source = _by_state(connection, queue, filters.codes(want))
    else:
        total, source = _by_way(connection, want, first, bindings)
    if not total:
        return Page(jobs=(), total=0, next_seq=None)
    bindings["before"] = NEWEST if before is None else before
    # The total says when the last match has been met: without it a scan would go on to the end.
    bindings["limit"] = min(limit + 1, total)
    seqs = _decode_seqs(connection.execute(f"SELECT json_group_array(seq) FROM ({source})", bindings).get)
    more = len(seqs) > limit
    seqs = seqs[:limit]
    if full:
        fitting = _fitting(connection, seqs)
        more = more or len(fitting) < len(seqs)
        seqs = fitting
    jobs = jobs_by_seq(connection, seqs, full=full)
    return Page(jobs=tuple(jobs), total=total, next_seq=seqs[-1] if more else None)


_ALL = filters.Way("s", "states AS s NOT INDEXED", "1")


def _by_way(
    connection: apsw.Connection, want: Filter, first: filters.Way, bindings: dict[str, object]
) -> tuple[int, str]:
    """How many jobs match, and the query that finds them, newest first."""
    found = f"FROM {filters.joined(want, first)} WHERE {' AND '.join([first.condition, *filters.conditions(want)])}"
    total = connection.execute(f"SELECT count(*) {found}", bindings).get
    seq = f"{first.name}.seq"
    return total, f"SELECT {seq} {found} AND {seq} < :before ORDER BY {seq} DESC LIMIT :limit"


# Each step is one look into the index: DISTINCT would read all of it.
_CLIENTS = """WITH RECURSIVE found(client) AS (
      SELECT min(client) FROM jobs INDEXED BY jobs_client WHERE client >= :prefix
      UNION ALL
      SELECT (SELECT min(client) FROM jobs INDEXED BY jobs_client WHERE client > found.client)
      FROM found WHERE substr(found.client, 1, length(:prefix)) = :prefix)
    SELECT client FROM found WHERE substr(client, 1, length(:prefix)) = :prefix"""


def clients(connection: apsw.Connection, prefix: str) -> list[str]:
    """As port.Reader.clients."""
    return [client for (client,) in connection.execute(_CLIENTS, {"prefix": prefix})]


def _conditions(queue: int | None, codes: list[int]) -> str:
    text = ""
    if queue is not None:
        text += " AND s.queue = :queue"
    if codes:
        text += f" AND s.state IN ({','.join(map(str, codes))})"
    return text


_DEAD = "states_dead WHERE s.state > 4 AND"  # an index is used where its own condition is said in its own words
_INDEXED = {
    DUE: "states_due WHERE",
    LATER: "states_later WHERE",
    RUNNING: "states_running WHERE",
    FAILED: _DEAD,
    CANCELLED: _DEAD,
    EXPIRED: _DEAD,
}


def _by_state(connection: apsw.Connection, queue: int | None, codes: list[int]) -> tuple[int, str]:
    """The same for jobs of a queue, of some states, or of both."""
    condition = _conditions(queue, codes)
    held = how_many(connection, queue, codes)
    total = sum(held.values())
    if codes and (source := indexed(held, queue)) is not None:
        return total, source
    # Back from the newest by rowid: through an index on anything else, all that match would have to be sorted first.
    return total, (
        f"SELECT s.seq FROM states AS s NOT INDEXED WHERE s.seq < :before{condition} ORDER BY s.seq DESC LIMIT :limit"
    )


def how_many(connection: apsw.Connection, queue: int | None, codes: list[int]) -> dict[int, int]:
    """By state, those left out of which there are none."""
    rows = connection.execute(
        f"SELECT state, sum(n) FROM counts AS s WHERE n > 0{_conditions(queue, codes)} GROUP BY state", {"queue": queue}
    ).fetchall()
    return dict(cast(list[tuple[int, int]], rows))


def indexed(held: dict[int, int], queue: int | None) -> str | None:
    """The query that finds these through the states' own indexes; None: the way by rowid is the shorter one."""
    if not all(code > DONE or (code in _INDEXED and n <= _FEW) for code, n in held.items()):
        return None
    parts = (
        f"SELECT * FROM (SELECT seq FROM states AS s INDEXED BY {_INDEXED[code]} s.state = {code}"
        f"{_conditions(queue, [])} AND s.seq < :before ORDER BY s.seq DESC LIMIT :limit)"
        for code in held
    )
    return f"{' UNION ALL '.join(parts)} ORDER BY seq DESC LIMIT :limit"


def _fitting(connection: apsw.Connection, seqs: list[int]) -> list[int]:
    """As many of the first as an answer may hold, at least one."""
    text = connection.execute(
        """SELECT json_group_array(ifnull(octet_length(j.payload), 0) + ifnull(octet_length(s.result), 0))
        FROM (SELECT value AS seq FROM json_each(?) ORDER BY key LIMIT -1) AS v
        CROSS JOIN jobs AS j ON j.seq = v.seq CROSS JOIN states AS s ON s.seq = v.seq""",
        (_encode(seqs).decode(),),
    ).get
    room = PAGE_BYTES
    for n, size in enumerate(_decode_seqs(text)):
        room -= size
        if room < 0 and n:
            return seqs[:n]
    return seqs


_PLACE = """SELECT s.seq, s.queue, s.urgency, s.state, s.wake_at
    FROM jobs AS j CROSS JOIN states AS s USING (seq) WHERE j.id = ?"""
_ACTIVE = f"SELECT sum(n) FROM counts WHERE queue = :queue AND state IN ({DUE}, {LATER}, {RUNNING})"
_RUNNING = f"SELECT n FROM counts WHERE queue = :queue AND state = {RUNNING}"
_ALL_DUE = f"SELECT n FROM counts WHERE queue = :queue AND state = {DUE}"
_DUE_AHEAD = """SELECT (SELECT count(*) FROM states WHERE state = 1 AND queue = :queue AND urgency < :urgency)
    + (SELECT count(*) FROM states WHERE state = 1 AND queue = :queue AND urgency = :urgency AND seq < :seq)"""
_LATER_AHEAD = """SELECT (SELECT count(*) FROM states WHERE state = 2 AND wake_at < :wake_at AND queue = :queue)
    + (SELECT count(*) FROM states WHERE state = 2 AND wake_at = :wake_at AND queue = :queue AND seq < :seq)"""


def position(connection: apsw.Connection, job_id: str) -> Position | None:
    """As port.Reader.position."""
    row = connection.execute(_PLACE, (job_id,)).get
    if row is None:
        return None
    seq, queue, urgency, state, wake_at = row
    if STATE_OF[state].final:
        return Position(ahead=0, active=0)
    bindings = {"seq": seq, "queue": queue, "urgency": urgency, "wake_at": wake_at}
    counted = {DUE: (_RUNNING, _DUE_AHEAD), LATER: (_RUNNING, _ALL_DUE, _LATER_AHEAD), RUNNING: ()}[state]
    ahead = sum(connection.execute(query, bindings).get for query in counted)
    return Position(ahead=ahead, active=connection.execute(_ACTIVE, bindings).get)


# The oldest due job, without looking at all of them: the first few of each priority, of the first few priorities.
_COUNTS = """SELECT q.name, q.paused,
    (SELECT json_group_array(n) FROM (SELECT n FROM counts WHERE queue = q.id ORDER BY state LIMIT 7)), (
      WITH RECURSIVE level (urgency) AS (
        SELECT min(urgency) FROM states WHERE state = 1 AND queue = q.id
        UNION ALL
        SELECT (SELECT min(urgency) FROM states WHERE state = 1 AND queue = q.id AND urgency > level.urgency)
        FROM level WHERE level.urgency IS NOT NULL LIMIT 32)
      SELECT min((SELECT min(run_at) FROM (
        SELECT run_at FROM states WHERE state = 1 AND queue = q.id AND urgency = level.urgency ORDER BY seq LIMIT 32)))
      FROM level)
    FROM queues AS q ORDER BY q.name"""


def counts(connection: apsw.Connection) -> tuple[QueueCounts, ...]:
    """As port.Reader.counts."""
    found = []
    rows = cast(list[tuple[str, int, str, int | None]], connection.execute(_COUNTS).fetchall())
    for name, paused, text, oldest in rows:
        due, later, running, done, failed, cancelled, expired = held = _decode_seqs(text)
        if paused or any(held):
            found.append(
                QueueCounts(
                    queue=name,
                    pending=due + later,
                    due=due,
                    running=running,
                    done=done,
                    failed=failed,
                    cancelled=cancelled,
                    expired=expired,
                    oldest_pending_at=oldest,
                    paused=bool(paused),
                )
            )
    return tuple(found)
