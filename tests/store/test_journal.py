"""Every backend: the journal of what happened to jobs."""

from pathlib import Path
from typing import Any

import pytest

from supervisor.core.access import Sight
from supervisor.core.job import Cause, Claim, OnConflict, Progress, State
from supervisor.core.journal import Extent, JobEvent, Kind, Wanted, begin
from supervisor.errors import Gone
from supervisor.store import port
from supervisor.store.memory import reader as memory_reader
from supervisor.store.port import Store
from supervisor.store.sqlite import journal as sqlite_journal
from tests.store.support import (
    MAX_INTERRUPTIONS,
    NOW,
    Backend,
    SqliteBackend,
    add,
    claim,
    ended,
    ending,
    error,
    finish,
    get,
    new_job,
    running,
    submit,
    transaction,
)


def events(store: Store, after: int | None = None, **wanted: Any) -> list[JobEvent]:
    reader = store.reader()
    page = reader.events(after, limit=1000, want=Wanted(**wanted))
    reader.close()
    assert not page.more
    return list(page.events)


def kinds(store: Store, **wanted: Any) -> list[Kind]:
    return [event.kind for event in events(store, **wanted)]


def trim(store: Store, *, before: int = 0, most: int = 1000, limit: int = 1000) -> int:
    with transaction(store):
        return store.trim_events(before=before, most=most, limit=limit)


def silence(store: Store, *queues: str) -> None:
    with transaction(store):
        store.silence(queues)


def test_a_job_that_goes_well_is_submitted_started_and_done(store: Store) -> None:
    job = ended(store)
    told = {"job": job.id, "queue": "q"}
    assert events(store) == [
        JobEvent(n=1, at=NOW, kind=Kind.SUBMITTED, attempt=0, **told),
        JobEvent(n=2, at=NOW, kind=Kind.STARTED, attempt=1, **told),
        JobEvent(n=3, at=NOW + 10, kind=Kind.DONE, attempt=1, **told),
    ]


def test_a_claim_and_its_outcome_in_one_batch_are_told_in_their_order(store: Store) -> None:
    first, second = submit(store, new_job(), new_job())
    claims = [Claim(seq=job.seq, attempt=1, started_at=NOW) for job in (first, second)]
    finish(store, ending(first), claims=claims)
    assert kinds(store, job=first.id) == [Kind.SUBMITTED, Kind.STARTED, Kind.DONE]
    assert kinds(store, job=second.id) == [Kind.SUBMITTED, Kind.STARTED]


def test_a_batch_that_speaks_twice_of_a_job_is_told_in_its_order(store: Store) -> None:
    job = add(store)
    outcomes = [ending(job, State.PENDING), ending(job)]
    with transaction(store):
        claims = [Claim(seq=job.seq, attempt=1, started_at=NOW)]
        assert store.record(claims, outcomes) == ([True], [True, False])
    assert kinds(store) == [Kind.SUBMITTED, Kind.STARTED, Kind.RELEASED]


def test_what_goes_back_says_when_it_runs_again_and_what_failed_says_why(store: Store) -> None:
    job = running(store)
    finish(store, ending(job, State.PENDING, run_at=NOW + 60))
    released = events(store)[-1]
    assert (released.kind, released.run_at, released.cause) == (Kind.RELEASED, NOW + 60, None)
    failing = running(store, queue="r")
    finish(store, ending(failing, State.PENDING, run_at=NOW + 70, error=error()))
    retrying = events(store)[-1]
    assert (retrying.kind, retrying.run_at, retrying.cause) == (Kind.RETRYING, NOW + 70, "error")
    finish(store, ending(running(store), State.FAILED, error=error()))
    failed = events(store)[-1]
    assert (failed.kind, failed.run_at, failed.cause) == (Kind.FAILED, None, "error")


def test_progress_is_kept_and_told_of_the_attempt_that_runs_only(backend: Backend) -> None:
    store = backend.open()
    job, waiting = running(store), add(store)
    for seq, attempt, share in ((job.seq, 1, b"0.1"), (job.seq, 2, b"0.2"), (waiting.seq, 0, b"0.3"), (99, 1, b"0.4")):
        brief = b'{"progress":%b}' % share
        report = Progress(seq=seq, attempt=attempt, at=NOW + 5, whole=brief[:-1] + b',"data":"large"}', brief=brief)
        with transaction(store):
            store.progress([report])
    assert get(store, job).progress == b'{"progress":0.1,"data":"large"}'
    assert get(store, waiting).progress is None
    (told,) = [event for event in events(store) if event.kind is Kind.PROGRESS]
    assert (told.job, told.at, told.attempt, told.progress) == (job.id, NOW + 5, 1, b'{"progress":0.1}')
    store = backend.crash()
    assert get(store, job).progress == b'{"progress":0.1,"data":"large"}'


def test_a_job_for_later_says_when(store: Store) -> None:
    add(store, run_at=NOW + 5)
    (told,) = events(store)
    assert (told.kind, told.run_at) == (Kind.SUBMITTED, NOW + 5)


def test_a_job_that_was_there_already_is_not_told_again(store: Store) -> None:
    add(store, unique="u")
    assert not add(store, unique="u").created
    assert kinds(store) == [Kind.SUBMITTED]


def test_what_the_fence_stops_is_not_told(store: Store) -> None:
    job = running(store)
    assert claim(store, job, attempt=1) == [False]
    assert finish(store, ending(job, attempt=7)) == [False]
    assert kinds(store) == [Kind.SUBMITTED, Kind.STARTED]


def test_cancel_retry_expiry_and_deletion_are_told(store: Store) -> None:
    job = add(store, expires_at=NOW + 50)
    with transaction(store):
        store.cancel([job.id, job.id], NOW + 1)
        store.retry([job.id], NOW + 2)
        store.cancel([job.id], NOW + 3)
        store.delete([job.id], NOW + 4)
    told = [(event.kind, event.at, event.job) for event in events(store)[1:]]
    kinds = (Kind.CANCELLED, Kind.RETRIED, Kind.CANCELLED, Kind.DELETED)
    assert told == [(kind, NOW + after, job.id) for after, kind in enumerate(kinds, 1)]
    expiring = add(store, expires_at=NOW + 50)
    with transaction(store):
        store.promote(NOW + 60, 10)
        store.promote(NOW + 60, 10)
    assert [(event.kind, event.at) for event in events(store, job=expiring.id)] == [
        (Kind.SUBMITTED, NOW),
        (Kind.EXPIRED, NOW + 60),
    ]


def test_the_daemons_death_is_told_of_every_job_that_ran(backend: Backend) -> None:
    store = backend.open()
    job = add(store)
    for attempt in range(1, MAX_INTERRUPTIONS + 1):
        claim(store, job, attempt=attempt)
        store = backend.crash()
    told = [(event.kind, event.cause) for event in events(store) if event.kind is not Kind.STARTED]
    again = [(Kind.INTERRUPTED, None)] * (MAX_INTERRUPTIONS - 1)
    assert told == [(Kind.SUBMITTED, None), *again, (Kind.FAILED, "interrupted")]


def test_a_deleted_jobs_events_still_have_its_id(store: Store) -> None:
    job = ended(store)
    with transaction(store):
        store.delete([job.id], NOW)
    assert {event.job for event in events(store)} == {job.id}
    assert kinds(store, job=job.id) == [Kind.SUBMITTED, Kind.STARTED, Kind.DONE, Kind.DELETED]


def test_what_is_rolled_back_has_not_happened_and_leaves_no_gap(backend: Backend) -> None:
    store = backend.open()
    add(store)
    store.begin()
    store.submit([new_job()], NOW)
    store.rollback()
    store.begin()
    store.submit([new_job()], NOW)
    store = backend.crash()
    add(store)
    assert [event.n for event in events(store)] == [1, 2]


def test_a_silent_queue_is_not_told_of(backend: Backend) -> None:
    store = backend.open()
    silence(store, "q")
    ended(store, queue="q")
    loud = ended(store, queue="r")
    assert {event.job for event in events(store)} == {loud.id}
    store = backend.crash()
    ended(store, queue="q")
    job = add(store, queue="q")
    with transaction(store):
        store.cancel([job.id], NOW)
    assert len(events(store)) == 3


def test_places_pages_and_what_they_want(store: Store) -> None:
    jobs = [ended(store, queue=queue) for queue in ("q", "r", "q")]
    reader = store.reader()
    page = reader.events(None, limit=4)
    assert ([event.n for event in page.events], page.last, page.more) == ([1, 2, 3, 4], 4, True)
    page = reader.events(page.last, limit=5)
    assert ([event.n for event in page.events], page.last, page.more) == ([5, 6, 7, 8, 9], 9, False)
    page = reader.events(9, limit=5)
    assert (page.events, page.last, page.more) == ((), 9, False)
    assert [event.n for event in reader.events(1, limit=2, want=Wanted(job=jobs[2].id)).events] == [7, 8]
    assert [event.n for event in reader.events(0, limit=9, want=Wanted(queue="r")).events] == [4, 5, 6]
    of_kinds = reader.events(0, limit=9, want=Wanted(kinds=(Kind.DONE, Kind.SUBMITTED))).events
    assert [event.n for event in of_kinds] == [1, 3, 4, 6, 7, 9]
    both = Wanted(job=jobs[1].id, queue="r", kinds=(Kind.STARTED,))
    assert [event.n for event in reader.events(0, limit=9, want=both).events] == [5]
    assert reader.events(0, limit=9, want=Wanted(job=jobs[1].id, queue="q")).events == ()
    assert reader.events(0, limit=9, want=Wanted(queue="nobody")).events == ()
    assert reader.events(0, limit=9, want=Wanted(job="nobody")).events == ()
    reader.close()


def test_what_is_out_of_sight_is_passed_over(store: Store) -> None:
    for queue in ("q", "r", "s", "q"):
        ended(store, queue=queue)
    for sight, numbers in (
        (Sight(frozenset("q"), but=True), [4, 5, 6, 7, 8, 9]),
        (Sight(frozenset("qs"), but=False), [1, 2, 3, 7, 8, 9, 10, 11, 12]),
        (Sight(frozenset(), but=False), []),
        (Sight(frozenset({"nobody"}), but=True), list(range(1, 13))),
    ):
        assert [event.n for event in events(store, sight=sight)] == numbers
    assert [event.n for event in events(store, sight=Sight(frozenset("q"), but=True), kinds=(Kind.DONE,))] == [6, 9]
    assert events(store, sight=Sight(frozenset("q"), but=True), queue="q") == []


def test_a_full_page_of_what_is_wanted_ends_with_its_last_event(store: Store) -> None:
    for queue in "qrqr":
        add(store, queue=queue)
    reader = store.reader()
    for want in (Wanted(queue="q"), Wanted(kinds=(Kind.SUBMITTED,)), Wanted()):
        page = reader.events(0, limit=1, want=want)
        assert ([event.n for event in page.events], page.last, page.more) == ([1], 1, True)
        rest = reader.events(page.last, limit=9, want=want)
        assert len(rest.events) == (1 if want.queue else 3)
    reader.close()


def test_a_page_looks_at_so_many_events_and_says_how_far_it_came(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (port, memory_reader, sqlite_journal):
        monkeypatch.setattr(module, "EVENTS_LOOKED_AT", 4)
    ended(store)
    ended(store)
    wanted = ended(store, queue="r")
    reader = store.reader()
    page = reader.events(0, limit=9, want=Wanted(job=wanted.id))
    assert (page.events, page.last, page.more) == ((), 4, True)
    page = reader.events(4, limit=9, want=Wanted(job=wanted.id))
    assert ([event.n for event in page.events], page.last, page.more) == ([7, 8], 8, True)
    reader.close()


def test_the_old_end_is_trimmed_by_age_and_by_count_in_steps_and_the_newest_event_stays(store: Store) -> None:
    for at in (1, 2, 3, 10, 4):
        submit(store, new_job(), now=NOW + at)
    assert trim(store, before=NOW) == 0
    assert trim(store, before=NOW + 5, limit=2) == 2
    assert trim(store, before=NOW + 5) == 1  # the fourth is younger, and what lies behind it stays with it
    assert [event.n for event in events(store)] == [4, 5]
    assert trim(store, most=2) == 0
    assert trim(store, most=0) == 1
    assert trim(store, before=NOW + 99, most=0) == 0
    assert [event.n for event in events(store)] == [5]
    add(store)
    assert [event.n for event in events(store)] == [5, 6]


def test_a_place_before_the_oldest_event_is_gone_and_so_is_one_that_was_never_reached(store: Store) -> None:
    reader = store.reader()
    assert reader.events(0, limit=9).events == ()
    with pytest.raises(Gone, match="another store"):
        reader.events(1, limit=9)
    submit(store, *[new_job() for _ in range(5)])
    trim(store, most=2)
    assert [event.n for event in reader.events(3, limit=9).events] == [4, 5]
    assert [event.n for event in reader.events(None, limit=9).events] == [4, 5]
    with pytest.raises(Gone, match="oldest that is kept is 4") as gone:
        reader.events(2, limit=9)
    assert gone.value.data == {"first": 4}
    with pytest.raises(Gone):
        reader.events(6, limit=9)
    reader.close()


def test_begin_takes_what_follows_without_a_gap() -> None:
    assert begin(Extent(1, 0), None) == 0
    assert begin(Extent(4, 9), None) == 3
    assert begin(Extent(4, 9), 3) == 3
    assert begin(Extent(4, 9), 9) == 9


def test_a_batch_costs_one_statement_and_none_while_every_queue_is_silent(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path)
    store = backend.open()
    for silent, expected in ((False, 1), (True, 0)):
        jobs = submit(store, *[new_job() for _ in range(300)])
        silence(store, *(["q"] if silent else []))
        statements: list[str] = []
        backend.trace(statements)
        with transaction(store):
            claims = [Claim(seq=job.seq, attempt=1, started_at=NOW) for job in jobs]
            store.record(claims, [ending(job) for job in jobs[:200]])
        backend.trace(None)
        assert sum("INTO events" in statement for statement in statements) == expected
    backend.close()


def test_a_replaced_job_is_told_as_cancelled_and_why_also_within_one_batch(store: Store) -> None:
    old = add(store, unique="u")
    between, new = submit(
        store,
        new_job(unique="u", on_conflict=OnConflict.REPLACE, run_at=NOW + 5),
        new_job(unique="u", on_conflict=OnConflict.REPLACE),
        now=NOW + 1,
    )
    told = [(event.kind, event.run_at, event.cause) for event in events(store, job=old.id)]
    assert told == [(Kind.SUBMITTED, None, None), (Kind.CANCELLED, None, Cause.REPLACED)]
    told = [(event.kind, event.run_at, event.cause) for event in events(store, job=between.id)]
    assert told == [(Kind.SUBMITTED, NOW + 5, None), (Kind.CANCELLED, None, Cause.REPLACED)]
    assert kinds(store, job=new.id) == [Kind.SUBMITTED]
    assert [event.n for event in events(store)] == [1, 2, 3, 4, 5]
