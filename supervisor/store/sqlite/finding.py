"""Which jobs match a filter, some at a time, for whoever changes them all. Inside the caller's read transaction.

A step looks at so many rows and not more, however few of them match: a filter that means ten jobs of a million is as
many short reads, and no long one.
"""

import apsw
import msgspec

from supervisor.store.port import Filter, Found
from supervisor.store.sqlite import filters
from supervisor.store.sqlite.listing import NEWEST, how_many, indexed

LOOK = 10_000  # rows; some milliseconds

_NOTHING = Found(ids=(), next_seq=None)


class _Row(msgspec.Struct, array_like=True):
    seq: int
    id: str


_decode_rows = msgspec.json.Decoder(list[_Row]).decode


def find(connection: apsw.Connection, want: Filter, *, limit: int, before: int | None) -> Found:
    """As port.Reader.find."""
    queue = filters.queue_number(connection, want)
    if queue is None and want.queue is not None:
        return _NOTHING
    near = _near(connection, want, queue)
    if near is None:
        return _NOTHING
    met = " AND ".join(["1", *filters.conditions(want)])
    # LIMIT in the inner query alone would not do: where few match, all of the rest would be looked at.
    rows = f"""SELECT json_group_array(json_array(seq, id)) FROM (SELECT s.seq, j.id FROM ({near}) AS n
        CROSS JOIN states AS s ON s.seq = n.seq CROSS JOIN jobs AS j ON j.seq = n.seq WHERE {met}
        ORDER BY n.seq DESC LIMIT :wanted)"""
    seen = {"before": NEWEST if before is None else before, "limit": LOOK, "wanted": limit}
    bindings = {**filters.bindings(want, queue), **seen}
    found = _decode_rows(connection.execute(rows, bindings).get)
    ids = tuple(row.id for row in found)
    if len(found) == limit:
        return Found(ids=ids, next_seq=found[-1].seq)
    looked, last = connection.execute(f"SELECT count(*), min(seq) FROM ({near})", bindings).get
    return Found(ids=ids, next_seq=last if looked == LOOK else None)


def _near(connection: apsw.Connection, want: Filter, queue: int | None) -> str | None:
    """The query for the rows to look at, newest first; None: no job can match."""
    first = filters.way(want)
    if first is not None:
        seq = f"{first.name}.seq"
        return (
            f"SELECT {seq} AS seq FROM {first.table} WHERE {first.condition} AND {seq} < :before "
            f"ORDER BY {seq} DESC LIMIT :limit"
        )
    codes = filters.codes(want)
    held = how_many(connection, queue, codes)
    if not held:
        return None
    through = indexed(held, queue) if codes else None
    return through or "SELECT seq FROM states NOT INDEXED WHERE seq < :before ORDER BY seq DESC LIMIT :limit"
