"""Every backend: what a start finds after whatever end."""

import pytest

from supervisor.core.job import Cause, State
from supervisor.store.port import Cut, Store
from tests.store.support import (
    MAX_INTERRUPTIONS,
    NOW,
    Backend,
    add,
    claim,
    ended,
    ending,
    error,
    find,
    finish,
    get,
    new_job,
    ready_ids,
    running,
    submit,
    transaction,
)


def test_each_start_raises_the_epoch(backend: Backend) -> None:
    store = backend.open()
    for before in (1, 2, 3):
        recovered = store.recover(NOW, max_interruptions=MAX_INTERRUPTIONS)
        assert recovered.epoch == before + 1
    store = backend.crash()
    assert store.recover(NOW, max_interruptions=MAX_INTERRUPTIONS).epoch == 6


def test_a_running_job_is_due_again_with_one_interruption_more(backend: Backend) -> None:
    job = running(backend.open(), expires_at=NOW + 1000)
    store = backend.crash()
    found = get(store, job)
    assert (found.state, found.run_at, found.finished_at) == (State.PENDING, NOW, None)
    assert (found.attempt, found.interruptions, found.charged, found.crashes) == (1, 1, 0, 0)
    assert found.attempts == ()
    assert ready_ids(store) == [job.id]
    assert store.next_at() == NOW + 1000
    assert claim(store, job, attempt=2) == [True]


def test_recover_tells_what_it_found(store: Store) -> None:
    jobs = submit(store, *[new_job() for _ in range(5)])
    claim(store, *jobs[:3])
    finish(store, ending(jobs[2], State.PENDING, interruptions=MAX_INTERRUPTIONS - 1))
    claim(store, jobs[2], attempt=2)
    recovered = store.recover(NOW + 7, max_interruptions=MAX_INTERRUPTIONS)
    assert (recovered.requeued, recovered.failed) == (2, 1)
    first, second, third = jobs[:3]
    assert recovered.jobs == (
        Cut(first.id, "q", 1, False),
        Cut(second.id, "q", 1, False),
        Cut(third.id, "q", 2, True),
    )
    again = store.recover(NOW + 7, max_interruptions=MAX_INTERRUPTIONS)
    assert (again.requeued, again.failed, again.jobs) == (0, 0, ())


def test_a_job_that_is_interrupted_too_often_fails(backend: Backend) -> None:
    store = backend.open()
    job = add(store, unique="u")
    for attempt in range(1, MAX_INTERRUPTIONS + 1):
        assert claim(store, job, attempt=attempt) == [True]
        store = backend.crash()
    found = get(store, job)
    assert (found.state, found.finished_at, found.interruptions) == (State.FAILED, NOW, MAX_INTERRUPTIONS)
    assert found.error is not None
    assert found.error.cause is Cause.INTERRUPTED
    assert not found.error.retry
    assert str(MAX_INTERRUPTIONS) in found.error.message
    (kept,) = found.attempts
    assert (kept.attempt, kept.started_at, kept.finished_at, kept.pid) == (MAX_INTERRUPTIONS, NOW, NOW, None)
    assert kept.error == found.error
    assert ready_ids(store) == []
    assert add(store, unique="u").created


def test_in_some_queues_a_job_that_was_running_fails_at_once(backend: Backend) -> None:
    store = backend.open()
    other, waiting = running(store, queue="r"), add(store)
    mine = [running(store), running(store, queue="s")]
    store = backend.crash(not_again={"q", "s", "a queue without a job"})
    assert get(store, other).state is State.PENDING
    assert get(store, waiting).interruptions == 0
    for job in mine:
        found = get(store, job)
        assert (found.state, found.finished_at, found.interruptions, found.charged) == (State.FAILED, NOW, 1, 0)
        assert found.error is not None
        assert (found.error.cause, found.error.retry) == (Cause.INTERRUPTED, False)
        assert 'on_daemon_crash = "fail"' in found.error.message
        (kept,) = found.attempts
        assert (kept.attempt, kept.started_at, kept.finished_at, kept.error) == (1, NOW, NOW, found.error)
    assert ready_ids(store) == [waiting.id]
    assert ready_ids(store, "s") == []
    with transaction(store):
        assert store.retry([mine[0].id], NOW)[0].changed
    assert ready_ids(store) == [waiting.id, mine[0].id]


def test_recover_counts_those_it_failed_for_their_queues_sake(store: Store) -> None:
    claim(store, *submit(store, new_job(), new_job(queue="r"), new_job(queue="r")))
    recovered = store.recover(NOW, max_interruptions=MAX_INTERRUPTIONS, not_again=("r",))
    assert (recovered.requeued, recovered.failed) == (1, 2)


@pytest.mark.parametrize("not_again", [(), ("q",)])
def test_the_newest_twenty_attempts_are_kept_also_of_a_job_that_is_given_up(
    backend: Backend, not_again: tuple[str, ...]
) -> None:
    store = backend.open()
    job = add(store)
    for number in range(1, 24):
        assert claim(store, job, attempt=number) == [True]
        again = ending(job, State.PENDING, attempt=number, error=error(), interruptions=MAX_INTERRUPTIONS - 1)
        assert finish(store, again) == [True]
    assert claim(store, job, attempt=24) == [True]
    found = get(backend.crash(not_again), job)
    assert found.state is State.FAILED
    assert [kept.attempt for kept in found.attempts] == list(range(5, 25))


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.CANCELLED])
def test_what_was_final_stays_as_it_was(backend: Backend, state: State) -> None:
    store = backend.open()
    job = ended(store, state)
    before = get(store, job)
    assert get(backend.crash(), job) == before


def test_what_was_committed_survives_a_crash_and_nothing_else(backend: Backend) -> None:
    store = backend.open()
    kept, busy = add(store), running(store)
    failed = running(store)
    finish(store, ending(failed, State.FAILED, error=error()))
    before = store.get([kept.id, failed.id])
    store.begin()
    (lost,) = store.submit([new_job()], NOW)
    store.record([], [ending(busy)])
    store.delete([failed.id], NOW)
    store = backend.crash()
    assert store.get([kept.id, failed.id]) == before
    assert find(store, lost) is None
    assert get(store, busy).state is State.PENDING


def test_a_clean_end_loses_nothing(backend: Backend) -> None:
    store = backend.open()
    jobs = submit(store, *[new_job(run_at=NOW + n % 2, tags=("t",)) for n in range(20)])
    before = store.get([job.id for job in jobs])
    counts = store.reader().counts()
    store = backend.open()
    assert store.get([job.id for job in jobs]) == before
    assert store.reader().counts() == counts
