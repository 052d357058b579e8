"""SQLite: what a verb costs does not depend on backlog, on future jobs or on history."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from supervisor.core.job import Cause, Claim, OnConflict, Progress, Rank, State
from supervisor.core.retention import Keep
from supervisor.store.port import Filter, Store
from supervisor.store.sqlite import SqliteStore, finding, open_sqlite
from tests.store.support import NOW, add, ending, error, finish, new_job, ready, running, submit, transaction

# Jobs' tables, and the names that statements give them; not the rows that a call brings along.
WHOLE_TABLE = re.compile(r"^SCAN (states|jobs|tags|attempts|counts|events|s|j|p|t|h|a|e)\b(?!.* INDEX states_running)")


@contextmanager
def traced(store: SqliteStore) -> Iterator[dict[str, Any]]:
    """The statements that are executed, each with its bindings."""
    seen: dict[str, Any] = {}

    def remember(cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        seen.setdefault(sql, bindings)
        return True

    store._connection.exec_trace = remember
    try:
        yield seen
    finally:
        store._connection.exec_trace = None


def every_verb(store: Store) -> None:
    store.recover(NOW, max_interruptions=2, not_again=("q",))
    with transaction(store):
        optioned = new_job(client="c", key="k", unique="u", tags=("t",), expires_at=NOW + 99)
        first, second = store.submit([optioned, new_job(run_at=NOW + 5, expires_at=NOW + 9)], NOW)
        (third,) = store.submit([new_job()], NOW)
        heir = new_job(unique="w", on_conflict=OnConflict.REPLACE)
        store.submit([new_job(unique="w"), heir], NOW)
        claims = [Claim(seq=job.seq, attempt=30, started_at=NOW) for job in (first, third)]
        store.record(claims, [ending(first, State.FAILED, attempt=30, error=error()), ending(second)])
        store.progress([Progress(seq=third.seq, attempt=30, at=NOW, whole=b"{}", brief=b"{}")])
        store.retry([first.id], NOW)
        store.cancel([first.id], NOW)
        store.delete([first.id], NOW)
        everything = {name: NOW for name in Filter.__struct_fields__ if "_" in name}
        want = Filter(queue="q", states=(State.FAILED,), tag="t", client="c", name="n", cause=Cause.ERROR, **everything)
        store.cancel([second.id], NOW, want)
        store.retry([second.id], NOW, want)
        store.delete([second.id], NOW, want)
        store.promote(NOW + 5, 10)
        store.pause("q", True)
        store.touch(NOW)
        store.silence(["q"])
        store.trim_events(before=NOW, most=1, limit=2)
        store.get([second.id])
        store.find("c", "k")
        store.pending(["q", "r"])
        store.queues()
        store.outlived([Keep(queue="q", state=State.DONE, since=NOW, most=0)], spare=(), limit=9)
        store.holders([new_job(client="c", key="k", unique="u")])
        store.paused()
        store.ready("q", after=Rank(0, 1), limit=3, max_bytes=4)
        store.ready("q", after=Rank(0, 1), limit=3, max_bytes=4, lanes=True)
        store.lanes("q", after=None, limit=3)
        store.lanes("q", after="a", limit=3)
        store.lane_rows("q", [("", Rank(0, 1)), ("a", Rank(0, 1))], limit=3, max_bytes=4)
        store.limit_keys(["q"], 0)


def test_no_verb_of_the_writer_reads_a_whole_table(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "stoker.db")
    with traced(store) as statements:
        every_verb(store)
    checked = 0
    for sql, bindings in statements.items():
        if sql not in ("BEGIN IMMEDIATE", "COMMIT"):
            rows = store._connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings).fetchall()
            plan = [str(row[3]) for row in rows]
            assert not [step for step in plan if WHOLE_TABLE.match(step)], sql
            checked += 1
    assert checked > 30
    store.close()


@contextmanager
def counted(store: Any) -> Iterator[list[int]]:
    """The work of each statement, in steps of SQLite's virtual machine: the same on any machine."""
    steps: list[int] = []
    store._connection.trace_v2(
        apsw.SQLITE_TRACE_PROFILE,
        lambda event: steps.append(event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]),
    )
    try:
        yield steps
    finally:
        store._connection.trace_v2(0)


def read_ahead(store: Store) -> None:
    assert len(ready(store, limit=20)) == 20


def look_up_lanes(store: Store) -> None:
    assert [name for name, _ in store.lanes("keyed", after=None, limit=3)] == ["a", "b", "c"]


def read_a_lane(store: Store) -> None:
    [(rows, complete)] = store.lane_rows("keyed", [("b", Rank(-(2**63), 0))], limit=20, max_bytes=1 << 20)
    assert (len(rows), complete) == (20, False)


def run(store: Store) -> None:
    rows = ready(store, limit=20)
    claims = [Claim(seq=row.seq, attempt=row.attempt + 1, started_at=NOW) for row in rows]
    assert all(finish(store, *[ending(row, attempt=row.attempt + 1) for row in rows], claims=claims))


def add_keyed(store: Store) -> None:
    assert submit(store, *[new_job(client="c", key=new_job().id, unique=new_job().id) for _ in range(20)])[0].created


def cancel(store: Store) -> None:
    with transaction(store):
        assert store.cancel([row.id for row in ready(store, limit=5)], NOW)[0].changed


def promote(store: Store) -> None:
    submit(store, *[new_job(run_at=NOW + 1) for _ in range(20)])
    with transaction(store):
        assert store.promote(NOW + 1, 20).queues == ("q",)


def sweep(store: Store) -> None:
    kept = [Keep(queue="q", state=state, since=NOW - 1, most=10**9) for state in State if state.final]
    assert store.outlived(kept, spare=(), limit=20) == []


def fill(store: Store, pending: int, future: int, history: int) -> None:
    with transaction(store):
        done = store.submit([new_job(client="c", key=new_job().id) for _ in range(history)], NOW)
        claims = [Claim(seq=job.seq, attempt=1, started_at=NOW) for job in done]
        store.record(claims, [ending(job) for job in done])
        store.submit([new_job(run_at=NOW + 1000 + n, expires_at=NOW + 10**9) for n in range(future)], NOW)
        store.submit([new_job(priority=n % 3) for n in range(pending)], NOW)


def cost(folder: Path, verb: Callable[[Store], None], pending: int, future: int, history: int) -> int:
    folder.mkdir()
    store = open_sqlite(folder / "stoker.db", synchronous="OFF")
    fill(store, pending, future, history)
    submit(store, *[new_job(queue="keyed", lane="abcd"[n % 4], priority=n % 3) for n in range(pending)])
    add(store)
    with counted(store) as steps:
        verb(store)
    store.close()
    return sum(steps)


VERBS = [read_ahead, look_up_lanes, read_a_lane, run, add_keyed, cancel, promote, sweep]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_a_verb_costs_the_same_in_a_full_store(tmp_path: Path, verb: Callable[[Store], None]) -> None:
    little = cost(tmp_path / "little", verb, 100, 0, 0)
    much = cost(tmp_path / "much", verb, 6000, 6000, 6000)
    assert much < little * 1.1 + 20


WANTS = [
    Filter(tag="t"),
    Filter(client="mine"),
    Filter(name="n"),
    Filter(cause=Cause.TIMEOUT),
    Filter(queue="q", states=(State.FAILED,)),
    Filter(queue="r", states=(State.PENDING,)),
]


@pytest.mark.parametrize("want", WANTS, ids=str)
def test_the_few_that_match_are_found_and_listed_without_reading_the_others(tmp_path: Path, want: Filter) -> None:
    costs = []
    for many in (100, 6000):
        store = open_sqlite(tmp_path / f"{many}.db", synchronous="OFF")
        mine = [running(store, tags=("t",), client="mine", name="n") for _ in range(3)]
        fill(store, many, many, many)
        assert finish(store, *[ending(job, State.FAILED, error=error(cause=Cause.TIMEOUT)) for job in mine])
        waiting = [add(store, queue="r") for _ in range(3)]
        reader = store.reader()
        with counted(reader) as steps:
            ids = reader.find(want, limit=10, before=None).ids
            page = reader.list(want, limit=10, before=None, full=False)
        assert [*reversed(ids)] == [job.id for job in (waiting if want.queue == "r" else mine)]
        assert tuple(job.id for job in page.jobs) == ids
        costs.append(sum(steps))
        reader.close()
        store.close()
    assert costs[1] < costs[0] * 1.1 + 20


def test_a_step_of_a_search_is_short_however_few_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "LOOK", 500)
    store = open_sqlite(tmp_path / "stoker.db", synchronous="OFF")
    fill(store, 9000, 0, 0)
    reader = store.reader()
    want = Filter(queue="q", states=(State.PENDING,), created_before=NOW)
    before, costs = None, []
    while True:
        with counted(reader) as steps:
            found = reader.find(want, limit=10, before=before)
        assert found.ids == ()
        costs.append(sum(steps))
        before = found.next_seq
        if before is None:
            break
    assert len(costs) == 9000 // 500 + 1
    assert max(costs) < 500 * 40
    reader.close()
    store.close()


def test_reading_on_behind_a_row_costs_the_same_however_deep(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "stoker.db", synchronous="OFF")
    fill(store, 9000, 0, 0)
    rows = ready(store, limit=9000, max_bytes=1 << 30)
    assert len(rows) == 9000
    costs = []
    for row in (rows[5], rows[2900], rows[5900], rows[8900]):
        with counted(store) as steps:
            assert len(ready(store, after=row.rank, limit=20)) == 20
        costs.append(sum(steps))
    assert max(costs) < min(costs) * 1.3
    store.close()
