"""Due rows by their lanes. A lane's first row is one step in an index, however many stand before it in the queue."""

from collections.abc import Collection, Sequence

import apsw
import msgspec

from supervisor.core.job import Rank, Ready
from supervisor.store.sqlite import documents
from supervisor.store.sqlite.queues import Queues
from supervisor.store.sqlite.schema import DUE, LATER, RUNNING

# SQLite has no loose index scan of its own: each step asks for the least name behind the last one.
_DUE_IN = "FROM states WHERE state = 1 AND lane IS NOT NULL AND queue = :queue"
_NAMES = f"""WITH RECURSIVE names (lane) AS (
      SELECT (SELECT min(lane) {_DUE_IN} AND lane {{behind}} :after)
      UNION ALL
      SELECT (SELECT min(lane) {_DUE_IN} AND lane > names.lane) FROM names WHERE names.lane IS NOT NULL
      LIMIT :limit)
    SELECT json_group_array(json_array(lane,
      json((SELECT json_array(urgency, seq) {_DUE_IN} AND lane = names.lane ORDER BY urgency, seq LIMIT 1))))
    FROM names WHERE lane IS NOT NULL"""
_FROM_THE_FIRST, _GO_ON = _NAMES.format(behind=">="), _NAMES.format(behind=">")

# Of each lane one row more than asked for: whether these are all. What lies before the place is checked out or in
# memory, and so little that it may be stepped over.
_PLACES = f"""SELECT json_group_array(json((
      SELECT json_group_array(json_array(seq, octet_length(payload))) FROM (
        SELECT states.seq, jobs.payload FROM states CROSS JOIN jobs ON jobs.seq = states.seq
        WHERE state = {DUE} AND lane IS NOT NULL AND queue = :queue AND lane = v.value ->> 0
          AND (urgency, states.seq) > (v.value ->> 1, v.value ->> 2)
        ORDER BY urgency, states.seq LIMIT :limit + 1))))
    FROM json_each(:lanes) AS v"""

STEP = 10_000  # seqs
_THESE = "SELECT value FROM json_each(:names)"

_decode_names = msgspec.json.Decoder(list[tuple[str, Rank]]).decode
_decode_places = msgspec.json.Decoder(list[list[tuple[int, int]]]).decode
_encode = msgspec.json.Encoder().encode


def names(connection: apsw.Connection, queue: int, after: str | None, limit: int) -> list[tuple[str, Rank]]:
    """As port.Store.lanes, of the queue with this number."""
    statement = _FROM_THE_FIRST if after is None else _GO_ON
    return _decode_names(connection.execute(statement, {"queue": queue, "after": after or "", "limit": limit}).get)


def rows(
    connection: apsw.Connection,
    queue: int,
    name: str,
    lanes: Sequence[tuple[str, Rank]],
    limit: int,
    max_bytes: int,
) -> list[tuple[list[Ready], bool]]:
    """As port.Store.lane_rows, of the queue with this number and name."""
    asked = [(lane, after.urgency, after.seq) for lane, after in lanes]
    bindings = {"queue": queue, "lanes": _encode(asked).decode(), "limit": limit}
    chosen: list[tuple[list[int], bool]] = []
    room = max_bytes
    for places in _decode_places(connection.execute(_PLACES, bindings).get):
        fitting, room = documents.fitting([size for _, size in places[:limit]], room)
        chosen.append(([seq for seq, _ in places[:fitting]], fitting == len(places)))
        if room < 0:
            break
    found = {
        row.seq: row for row in documents.ready_by_seq(connection, name, [seq for seqs, _ in chosen for seq in seqs])
    }
    return [([found[seq] for seq in seqs], complete) for seqs, complete in chosen]


def limit_keys(
    connection: apsw.Connection, queues: Queues, limited: Collection[str], after: int, last: int
) -> int | None:
    """As port.Store.limit_keys; `last` is the highest seq there is."""
    names = {"names": _encode(list(limited)).decode()}
    connection.execute(f"UPDATE queues SET keyed = 0 WHERE keyed AND name NOT IN ({_THESE})", names)
    for name in limited:
        queues.intern(name)
    # 2 while it goes on: what is retried meanwhile gets its lane, and who is interrupted begins anew.
    fresh = f"SELECT id FROM queues WHERE name IN ({_THESE}) AND keyed <> 1"
    if not after:
        connection.execute(f"UPDATE queues SET keyed = 2 WHERE id IN ({fresh})", names)
    if connection.execute(f"SELECT EXISTS ({fresh})", names).get and after < last:
        connection.execute(
            f"""UPDATE states SET lane = '' WHERE seq > :after AND seq <= :upto AND state IN ({DUE}, {LATER}, {RUNNING})
            AND lane IS NULL AND queue IN ({fresh})""",
            {**names, "after": after, "upto": after + STEP},
        )
        return after + STEP
    connection.execute(f"UPDATE queues SET keyed = 1 WHERE id IN ({fresh})", names)
    return None
