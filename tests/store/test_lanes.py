"""Every backend: due jobs by their keys."""

from pathlib import Path

import pytest

from supervisor.config.model import QueueConfig
from supervisor.core.job import Rank, Ready, State
from supervisor.core.keys import NO_KEYS, lane_of
from supervisor.store.limits import limit_keys
from supervisor.store.port import Store
from supervisor.store.sqlite import lanes, open_sqlite
from tests.store.support import (
    NOW,
    Backend,
    add,
    claim,
    ended,
    ending,
    finish,
    get,
    new_job,
    ready,
    submit,
    transaction,
)

FIRST = Rank(-(2**63), 0)
A, B, C = lane_of("a", None), lane_of("a", 'b"\\'), lane_of(None, "\U0001f600")
KEYED = [QueueConfig(name=name, concurrency_per_key=1) for name in ("q", "r")]


def names(store: Store, queue: str = "q", after: str | None = None, limit: int = 100) -> list[tuple[str, Rank]]:
    return store.lanes(queue, after=after, limit=limit)


def rows(
    store: Store, *lanes: tuple[str, Rank], queue: str = "q", limit: int = 100, max_bytes: int = 1 << 20
) -> list[tuple[list[str], bool]]:
    found = store.lane_rows(queue, lanes, limit=limit, max_bytes=max_bytes)
    return [([row.id for row in some], complete) for some, complete in found]


def test_a_queue_without_jobs_has_no_lanes(store: Store) -> None:
    assert names(store, "unknown") == []
    assert rows(store, (A, FIRST), (NO_KEYS, FIRST), queue="unknown") == [([], True), ([], True)]


def test_lanes_come_in_the_order_of_their_names_with_the_place_of_their_first_row(store: Store) -> None:
    low, high, plain, other = submit(
        store, new_job(lane=B), new_job(lane=B, priority=3), new_job(lane=NO_KEYS), new_job(lane=C)
    )
    add(store, lane=A, queue="r")
    add(store, lane=A, run_at=NOW + 100)
    expected = [(NO_KEYS, Rank(0, plain.seq)), (B, Rank(-3, high.seq)), (C, Rank(0, other.seq))]
    assert names(store) == sorted(expected)
    claim(store, high)
    assert dict(names(store))[B] == Rank(0, low.seq)


def test_lanes_can_be_read_some_at_a_time(store: Store) -> None:
    wanted = sorted([NO_KEYS, *(lane_of(f"k{n}", None) for n in range(10))])
    submit(store, *[new_job(lane=lane) for lane in wanted for _ in range(3)])
    seen: list[str] = []
    after = None
    while some := names(store, after=after, limit=3):
        assert len(some) <= 3
        seen += [lane for lane, _ in some]
        after = seen[-1]
    assert seen == wanted
    assert len(names(store, limit=len(wanted))) == len(wanted)


def test_rows_of_a_lane_come_in_claim_order_behind_a_place(store: Store) -> None:
    first, second, third, urgent = submit(
        store, new_job(lane=A), new_job(lane=A), new_job(lane=A), new_job(lane=A, priority=1)
    )
    add(store, lane=B)
    assert rows(store, (A, FIRST)) == [([urgent.id, first.id, second.id, third.id], True)]
    assert rows(store, (A, Rank(0, first.seq))) == [([second.id, third.id], True)]
    assert rows(store, (A, Rank(-1, urgent.seq)), limit=2) == [([first.id, second.id], False)]
    assert rows(store, (A, Rank(0, third.seq)), (C, FIRST)) == [([], True), ([], True)]
    assert rows(store, (A, FIRST), limit=4) == [([urgent.id, first.id, second.id, third.id], True)]


def test_lanes_are_cut_short_once_the_payloads_pass_the_bytes(store: Store) -> None:
    payload = b'"' + b"x" * 98 + b'"'
    jobs = submit(store, *[new_job(lane=lane, payload=payload) for lane in (A, A, A, B)])
    wanted = [(A, FIRST), (B, FIRST)]
    assert rows(store, *wanted, max_bytes=150) == [([jobs[0].id, jobs[1].id], False)]
    assert rows(store, *wanted, max_bytes=300) == [([job.id for job in jobs[:3]], True), ([jobs[3].id], True)]
    assert rows(store, *wanted, max_bytes=0) == [([jobs[0].id], False)]


def test_a_row_says_its_lane_and_is_whole(store: Store) -> None:
    def told(row: Ready) -> tuple[object, ...]:
        return row.id, row.lane, bytes(row.payload), row.timeout, row.rank, row.queue

    job = add(store, lane=B, timeout=1.5, priority=2)
    [[row], _] = store.lane_rows("q", [(B, FIRST)], limit=5, max_bytes=99)[0]
    assert told(row) == (job.id, B, b'{"n":1}', 1.5, Rank(-2, job.seq), "q")
    [read] = ready(store, lanes=True)
    assert told(read) == told(row)
    found = get(store, job)
    assert (found.rate_key, found.concurrency_key) == ("a", 'b"\\')


def test_a_job_keeps_its_lane_through_attempts_retries_and_a_crash(backend: Backend) -> None:
    store = backend.open()
    job = add(store, lane=A)
    claim(store, job)
    finish(store, ending(job, State.PENDING))
    assert rows(store, (A, FIRST)) == [([job.id], True)]
    claim(store, job, attempt=2)
    store = backend.crash()
    assert rows(store, (A, FIRST)) == [([job.id], True)]
    with transaction(store):
        store.cancel([job.id], NOW)
    assert rows(store, (A, FIRST)) == [([], True)]
    with transaction(store):
        store.retry([job.id], NOW)
    assert rows(store, (A, FIRST)) == [([job.id], True)]


def test_jobs_from_before_a_queue_limited_keys_get_the_lane_of_those_without(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "STEP", 2)
    store = backend.open()
    due, later, keyed = submit(store, new_job(), new_job(run_at=NOW + 5), new_job(lane=A))
    old = ended(store, State.FAILED)
    add(store, queue="other")
    submit(store, *[new_job() for _ in range(5)])
    limit_keys(store, KEYED)
    with transaction(store):
        store.promote(NOW + 5, 10)
        store.retry([old.id], NOW)
    found = rows(store, (NO_KEYS, FIRST))[0][0]
    assert found[:2] == [due.id, later.id]
    assert old.id in found
    assert len(found) == 8
    assert [lane for lane, _ in names(store)] == [NO_KEYS, A]
    limit_keys(store, KEYED)  # there is nothing to do any more
    assert len(rows(store, (NO_KEYS, FIRST))[0][0]) == 8
    assert keyed.id in rows(store, (A, FIRST))[0][0]


def test_a_queue_can_stop_limiting_keys_and_begin_again(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "stoker.db")
    limit_keys(store, KEYED)
    limit_keys(store, [])
    job = add(store)
    assert names(store) == []
    limit_keys(store, KEYED)
    assert names(store) == [(NO_KEYS, Rank(0, job.seq))]
    store.close()


def test_a_queue_begins_to_limit_keys_while_its_jobs_run_and_others_are_retried(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "STEP", 1)
    job, old = add(store), ended(store, State.FAILED)
    claim(store, job)
    with transaction(store):
        after = store.limit_keys(["q", "r"], 0)
    with transaction(store):
        store.retry([old.id], NOW)  # behind what has been gone through already
    while after is not None:
        with transaction(store):
            after = store.limit_keys(["q", "r"], after)
    finish(store, ending(job, State.PENDING))
    assert {*rows(store, (NO_KEYS, FIRST))[0][0]} == {job.id, old.id}
