"""A filter in SQL: the index that leads to the jobs it means, and the conditions that all of them meet.

The names that every statement gives the tables: `s` states, `j` jobs, `t` tags.
"""

from typing import NamedTuple

import apsw

from supervisor.core.job import Cause
from supervisor.store.port import Filter
from supervisor.store.sqlite.schema import CANCELLED, CODES_OF, FAILED

_CAUSE = f"s.state = {FAILED} AND json_extract(s.error, '$.cause') = :cause"  # in the words of its index
_REPLACED = f"s.state = {CANCELLED} AND json_extract(s.error, '$.cause') = 'replaced'"
_TAGGED = "EXISTS (SELECT 1 FROM tags WHERE tag = :tag AND seq = s.seq)"


class Way(NamedTuple):
    """A table by one of its indexes, in which its rows stand in the order of their `seq`."""

    name: str
    table: str
    condition: str


def queue_number(connection: apsw.Connection, want: Filter) -> int | None:
    """Of the filter's queue; None where it names none, or one that no job was ever in."""
    if want.queue is None:
        return None
    found: int | None = connection.execute("SELECT id FROM queues WHERE name = ?", (want.queue,)).get
    return found


def codes(want: Filter) -> list[int]:
    return sorted({code for state in want.states for code in CODES_OF[state]})


def bindings(want: Filter, queue: int | None) -> dict[str, object]:
    """For the parameters of what the others return; `queue` is its number."""
    return {
        "queue": queue,
        "tag": want.tag,
        "client": want.client,
        "name": want.name,
        "cause": want.cause,
        "created_after": want.created_after,
        "created_before": want.created_before,
        "finished_after": want.finished_after,
        "finished_before": want.finished_before,
    }


def way(want: Filter) -> Way | None:
    """The index that leads to the fewest rows, as a rule; None: nothing but queue, states and times narrow it."""
    if want.tag is not None:
        return Way("t", "tags AS t", "t.tag = :tag")
    if want.client is not None:
        return Way("j", "jobs AS j INDEXED BY jobs_client", "j.client = :client")
    if want.name is not None:
        return Way("j", "jobs AS j INDEXED BY jobs_name", "j.name = :name")
    if want.cause is not None:
        index = "states_replaced" if want.cause is Cause.REPLACED else "states_cause"
        return Way("s", f"states AS s INDEXED BY {index}", _caused(want.cause))
    return None


def _caused(cause: Cause) -> str:
    return _REPLACED if cause is Cause.REPLACED else _CAUSE


def joined(want: Filter, first: Way) -> str:
    """The tables that its conditions speak of, beginning with the one by which they are entered."""
    others = {"s": "states", "j": "jobs"} if _of_jobs(want) else {"s": "states"}
    others.pop(first.name, None)
    joins = [f"CROSS JOIN {table} AS {name} ON {name}.seq = {first.name}.seq" for name, table in others.items()]
    return " ".join([first.table, *joins])


def timed(want: Filter) -> bool:
    times = (want.created_after, want.created_before, want.finished_after, want.finished_before)
    return any(time is not None for time in times)


def _of_jobs(want: Filter) -> bool:
    of_jobs = (want.client, want.name, want.created_after, want.created_before)
    return any(value is not None for value in of_jobs)


def conditions(want: Filter) -> list[str]:
    """All but the tag's."""
    found: list[str] = []
    if want.queue is not None:
        found.append("s.queue = :queue")
    if want.states:
        found.append(f"s.state IN ({','.join(map(str, codes(want)))})")
    if want.client is not None:
        found.append("j.client = :client")
    if want.name is not None:
        found.append("j.name = :name")
    if want.cause is not None:
        found.append(_caused(want.cause))
    for column in ("j.created_at", "s.finished_at"):
        name = column[2:].removesuffix("_at")
        if getattr(want, f"{name}_after") is not None:
            found.append(f"{column} >= :{name}_after")
        if getattr(want, f"{name}_before") is not None:
            found.append(f"{column} < :{name}_before")
    return found


def matches(want: Filter) -> str:
    """An expression: 1 for a row of `s` and `j` that matches, else 0."""
    found = conditions(want) + ([_TAGGED] if want.tag is not None else [])
    return f"ifnull({' AND '.join(found)}, 0)" if found else "1"
