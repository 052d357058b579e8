"""Every backend: reading due jobs ahead."""

import random

from supervisor.core.job import Rank, Ready, State
from supervisor.store.port import Store
from tests.store.support import (
    NOW,
    add,
    claim,
    ended,
    ending,
    finish,
    new_job,
    raw,
    ready,
    ready_ids,
    running,
    submit,
    transaction,
)


def test_an_unknown_queue_has_nothing(store: Store) -> None:
    assert ready(store, "unknown") == []


def test_a_ready_row_has_all_that_a_checkout_needs(store: Store) -> None:
    payload = b'{"path":"\xc3\xa4 \\"x\\".png","n":[1,2.50,null]}'
    job = add(
        store, queue='th"umbs\n', payload=payload, priority=3, timeout=0.1 + 0.2, max_attempts=7, expires_at=NOW + 9
    )
    claim(store, job, attempt=4)
    finish(store, ending(job, State.PENDING, attempt=4, charged=1, crashes=2, interruptions=3))
    (row,) = ready(store, 'th"umbs\n')
    assert (row.seq, row.id, row.queue) == (job.seq, job.id, 'th"umbs\n')
    assert raw(row.payload) == payload
    assert (row.priority, row.timeout, row.max_attempts, row.expires_at) == (3, 0.1 + 0.2, 7, NOW + 9)
    assert (row.attempt, row.charged, row.crashes, row.interruptions) == (4, 1, 2, 3)
    assert row.rank == Rank(-3, job.seq)


def test_what_a_submit_left_out_is_none(store: Store) -> None:
    add(store)
    (row,) = ready(store)
    assert (row.timeout, row.max_attempts, row.expires_at, row.attempt, row.priority) == (None, None, None, 0, 0)


def test_any_json_survives_the_way_through(store: Store) -> None:
    payloads = [b"null", b"true", b"-0.0", b"1e999", b'""', b"[]", b"{}", b'"\\ud83d\\ude00\\u0000"', b"1" * 400]
    payloads.append(b"[" * 200 + b"]" * 200)
    submit(store, *[new_job(payload=payload) for payload in payloads])
    assert [raw(row.payload) for row in ready(store)] == payloads


def test_higher_priority_first_then_in_order_of_submission(store: Store) -> None:
    jobs = [new_job(priority=random.Random(n).choice([-5, 0, 5, 2**40])) for n in range(60)]
    submit(store, *jobs)
    expected = sorted(jobs, key=lambda job: -job.priority)  # stable
    assert ready_ids(store) == [job.id for job in expected]


def test_only_due_pending_jobs_of_the_queue_are_ready(store: Store) -> None:
    wanted = add(store)
    add(store, run_at=NOW + 1000)
    add(store, queue="other")
    running(store)
    for state in (State.DONE, State.FAILED, State.CANCELLED):
        ended(store, state)
    assert ready_ids(store) == [wanted.id]


def test_a_limit_is_kept_and_after_goes_on_behind_it(store: Store) -> None:
    submit(store, *[new_job(priority=n % 3) for n in range(50)])
    whole = ready(store)
    seen: list[Ready] = []
    after = None
    while rows := ready(store, after=after, limit=7):
        assert len(rows) <= 7
        assert len(seen) < 50
        seen += rows
        after = rows[-1].rank
    assert [row.id for row in seen] == [row.id for row in whole]


def test_after_needs_no_row_of_that_rank(store: Store) -> None:
    low, high, last = submit(store, new_job(priority=1), new_job(priority=9), new_job(priority=1))
    assert ready_ids(store, after=Rank(-5, 0)) == [low.id, last.id]
    assert ready_ids(store, after=Rank(-1, low.seq)) == [last.id]
    assert ready_ids(store, after=Rank(-9, high.seq)) == [low.id, last.id]
    assert ready_ids(store, after=Rank(-1, last.seq)) == []
    assert ready_ids(store, after=Rank(-100, 0)) == [high.id, low.id, last.id]


def test_reading_stops_once_the_payloads_pass_the_bytes(store: Store) -> None:
    jobs = submit(store, *[new_job(payload=b'"' + b"x" * 98 + b'"') for _ in range(10)])
    assert len(ready(store, max_bytes=250)) == 3
    assert len(ready(store, max_bytes=299)) == 3
    assert len(ready(store, max_bytes=300)) == 4
    assert ready_ids(store, max_bytes=250) == [job.id for job in jobs[:3]]
    assert len(ready(store, max_bytes=250, limit=2)) == 2
    assert len(ready(store, max_bytes=250, after=Rank(0, jobs[8].seq))) == 1


def test_at_least_one_row_however_large(store: Store) -> None:
    big = add(store, payload=b'"' + b"x" * 100_000 + b'"')
    add(store)
    assert ready_ids(store, max_bytes=1) == [big.id]
    assert ready_ids(store, max_bytes=0) == [big.id]


def test_the_open_transaction_is_seen(store: Store) -> None:
    store.begin()
    (job,) = store.submit([new_job()], NOW)
    assert ready_ids(store) == [job.id]
    store.rollback()
    assert ready_ids(store) == []


def test_a_job_due_again_keeps_its_place(store: Store) -> None:
    first, second = submit(store, new_job(), new_job())
    claim(store, first)
    finish(store, ending(first, State.PENDING))
    assert ready_ids(store) == [first.id, second.id]
    with transaction(store):
        store.cancel([first.id], NOW)
        store.retry([first.id], NOW)
    assert ready_ids(store) == [first.id, second.id]
