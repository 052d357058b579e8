"""Which jobs have been kept long enough."""

from collections.abc import Collection, Sequence

import apsw
import msgspec

from supervisor.core.retention import Keep
from supervisor.store.sqlite.queues import Queues
from supervisor.store.sqlite.schema import CODES_OF

# An index is used where its own condition is said in its own words: hence `state > 3`.
_TOO_OLD = """SELECT json_group_array(id) FROM (
      SELECT j.id FROM json_each(:keeps) AS k
      CROSS JOIN states AS s INDEXED BY states_ended
        ON s.queue = k.value ->> 0 AND s.state = k.value ->> 1 AND s.state > 3 AND s.finished_at <= k.value ->> 2
      CROSS JOIN jobs AS j ON j.seq = s.seq
      WHERE j.id NOT IN (SELECT value FROM json_each(:spare)) LIMIT :limit)"""
_FIRST = """SELECT * FROM (SELECT s.seq FROM states AS s INDEXED BY states_ended
      WHERE s.queue = :queue AND s.state = :state AND s.state > 3 AND s.finished_at {when} :now
      ORDER BY s.finished_at, s.seq LIMIT :limit)"""
_TOO_MANY = f"""SELECT json_group_array(id) FROM (
      {_FIRST.format(when=">")} UNION ALL {_FIRST.format(when="<=")} LIMIT :limit) AS s
    CROSS JOIN jobs AS j ON j.seq = s.seq
    WHERE j.id NOT IN (SELECT value FROM json_each(:spare))"""
_HELD = """SELECT json_group_array(n) FROM (
      SELECT c.n FROM (SELECT * FROM json_each(:keeps) ORDER BY key LIMIT -1) AS k
      CROSS JOIN counts AS c ON c.queue = k.value ->> 0 AND c.state = k.value ->> 1)"""

_decode_ids = msgspec.json.Decoder(list[str]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_encode = msgspec.json.Encoder().encode


def outlived(
    connection: apsw.Connection, queues: Queues, keeps: Sequence[Keep], spare: Collection[str], limit: int
) -> list[str]:
    """As port.Store.outlived."""
    known = [(number, CODES_OF[keep.state][0], keep) for keep in keeps if (number := queues.known(keep.queue))]
    spared = _text(list(spare))
    old = [(number, code, keep.since) for number, code, keep in known if keep.since is not None]
    found = dict.fromkeys(_too_old(connection, old, spared, limit))
    many = [(number, code, keep.most) for number, code, keep in known if keep.most is not None]
    now = max((keep.now for keep in keeps), default=0)  # a sweep has one
    for number, code, excess in _excess(connection, many):
        if len(found) >= limit:
            break
        # Those that are spared are asked for on top, or a step that met nobody else would be taken for the last.
        bounds = {"queue": number, "state": code, "now": now, "limit": min(excess, limit + len(spare))}
        bindings = {**bounds, "spare": spared}
        found |= dict.fromkeys(_decode_ids(connection.execute(_TOO_MANY, bindings).get))
    return list(found)[:limit]


def _too_old(connection: apsw.Connection, old: list[tuple[int, int, int]], spared: str, limit: int) -> list[str]:
    if not old:
        return []
    return _decode_ids(connection.execute(_TOO_OLD, {"keeps": _text(old), "spare": spared, "limit": limit}).get)


def _excess(connection: apsw.Connection, many: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Queue, state, and by how many there are too many."""
    if not many:
        return []
    held = _decode_numbers(connection.execute(_HELD, {"keeps": _text(many)}).get)
    pairs = zip(many, held, strict=True)
    return [(number, code, count - most) for (number, code, most), count in pairs if count > most]


def _text(values: object) -> str:
    return _encode(values).decode()
