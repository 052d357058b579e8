"""Every backend: cancel, retry, delete, pause."""

import pytest

from supervisor.core.job import Cause, State
from supervisor.store.port import Changed, Filter, Store
from tests.store.support import (
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

NOWHERE = Changed(before=None, changed=False)


def cancel(store: Store, *job_ids: str, now: int = NOW) -> list[Changed]:
    with transaction(store):
        return store.cancel(job_ids, now)


def retry(store: Store, *job_ids: str, now: int = NOW) -> list[Changed]:
    with transaction(store):
        return store.retry(job_ids, now)


def delete(store: Store, *job_ids: str) -> list[Changed]:
    with transaction(store):
        return store.delete(job_ids, NOW)


def answer(before: State, changed: bool, conflict: str | None = None) -> Changed:
    return Changed(before=before, changed=changed, queue="q", conflict=conflict)


@pytest.mark.parametrize("run_at", [NOW, NOW + 1000])
def test_cancel_ends_a_pending_job(store: Store, run_at: int) -> None:
    job = add(store, run_at=run_at, expires_at=NOW + 2000)
    assert cancel(store, job.id, now=NOW + 5) == [answer(State.PENDING, True)]
    found = get(store, job)
    assert (found.state, found.finished_at, found.attempt) == (State.CANCELLED, NOW + 5, 0)
    assert ready_ids(store) == []
    assert store.next_at() is None


def test_cancel_leaves_running_and_final_jobs(store: Store) -> None:
    jobs = [running(store), ended(store), ended(store, State.FAILED)]
    expected = [answer(State.RUNNING, False), answer(State.DONE, False), answer(State.FAILED, False)]
    before = store.get([job.id for job in jobs])
    assert cancel(store, *(job.id for job in jobs)) == expected
    assert store.get([job.id for job in jobs]) == before


def test_cancel_answers_each_in_order(store: Store) -> None:
    job, other = add(store), add(store)
    answers = cancel(store, "nowhere", job.id, job.id, other.id)
    pending = answer(State.PENDING, True)
    assert answers == [NOWHERE, pending, answer(State.CANCELLED, False), pending]


def test_many_are_cancelled_at_once(store: Store) -> None:
    jobs = submit(store, *[new_job() for _ in range(700)])
    assert cancel(store, *(job.id for job in jobs)) == [answer(State.PENDING, True)] * 700
    (counts,) = store.reader().counts()
    assert (counts.pending, counts.cancelled) == (0, 700)


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED, State.EXPIRED])
def test_retry_makes_a_job_pending_again(store: Store, state: State) -> None:
    if state is State.EXPIRED:
        job = add(store, expires_at=NOW + 1)
        with transaction(store):
            store.promote(NOW + 1, 10)
    else:
        job = running(store, expires_at=NOW + 1)
        told = error() if state is State.FAILED else None
        outcome = ending(job, state, error=told, charged=5, crashes=2, interruptions=1, progress=b"1")
        finish(store, outcome)
    before = get(store, job)
    assert before.state is state
    assert retry(store, job.id, now=NOW + 99) == [answer(state, True)]
    found = get(store, job)
    assert (found.state, found.run_at, found.expires_at) == (State.PENDING, NOW + 99, None)
    assert (found.charged, found.crashes, found.interruptions) == (0, 0, 0)
    assert (found.error, found.result, found.finished_at, found.progress) == (None, None, None, None)
    assert (found.attempt, found.attempts, found.seq) == (before.attempt, before.attempts, before.seq)
    assert ready_ids(store) == [job.id]
    assert store.next_at() is None
    assert claim(store, job, attempt=before.attempt + 1) == [True]


def test_retry_leaves_live_and_done_jobs(store: Store) -> None:
    jobs = [add(store), running(store), ended(store)]
    before = store.get([job.id for job in jobs])
    expected = [answer(State.PENDING, False), answer(State.RUNNING, False), answer(State.DONE, False)]
    assert retry(store, *(job.id for job in jobs), now=NOW + 9) == expected
    assert store.get([job.id for job in jobs]) == before


def test_retry_answers_each_in_order(store: Store) -> None:
    job = ended(store, State.FAILED)
    assert retry(store, "nowhere", job.id, job.id) == [
        NOWHERE,
        answer(State.FAILED, True),
        answer(State.PENDING, False),
    ]


def test_retry_is_in_conflict_while_unique_is_held(store: Store) -> None:
    failed = ended(store, State.FAILED, unique="u")
    holder = running(store, unique="u")
    assert retry(store, failed.id) == [answer(State.FAILED, False, conflict=holder.id)]
    assert get(store, failed).state is State.FAILED
    finish(store, ending(holder))
    assert retry(store, failed.id) == [answer(State.FAILED, True)]


def test_of_two_retries_in_one_call_one_gets_unique(store: Store) -> None:
    first, second = ended(store, State.FAILED, unique="u"), ended(store, State.CANCELLED, unique="u")
    elsewhere = ended(store, State.FAILED, unique="u", queue="other")
    assert retry(store, first.id, second.id, elsewhere.id) == [
        answer(State.FAILED, True),
        answer(State.CANCELLED, False, conflict=first.id),
        Changed(before=State.FAILED, changed=True, queue="other"),
    ]


def test_delete_removes_everything_of_a_job(store: Store) -> None:
    job = running(store, client="c", key="k", tags=("t", "u"), unique="x")
    finish(store, ending(job, State.FAILED, error=error()))
    assert delete(store, job.id) == [answer(State.FAILED, True)]
    assert find(store, job) is None
    reader = store.reader()
    for want in (Filter(), Filter(tag="t"), Filter(client="c"), Filter(states=(State.FAILED,)), Filter(queue="q")):
        page = reader.list(want, limit=10, before=None, full=False)
        assert (page.jobs, page.total) == ((), 0)
    assert reader.counts() == ()
    again = add(store, client="c", key="k", unique="x", tags=("t",))
    assert again.created
    assert get(store, again).attempts == ()


@pytest.mark.parametrize("run_at", [NOW, NOW + 1000])
def test_delete_removes_a_pending_job(store: Store, run_at: int) -> None:
    job = add(store, run_at=run_at)
    assert delete(store, job.id) == [answer(State.PENDING, True)]
    assert ready_ids(store) == []
    assert store.next_at() is None


def test_delete_leaves_a_running_job(store: Store) -> None:
    job = running(store)
    assert delete(store, job.id) == [answer(State.RUNNING, False)]
    assert get(store, job).state is State.RUNNING


def test_delete_answers_each_in_order(store: Store) -> None:
    job, other = add(store), ended(store)
    assert delete(store, "nowhere", job.id, job.id, other.id) == [
        NOWHERE,
        answer(State.PENDING, True),
        NOWHERE,
        answer(State.DONE, True),
    ]


def test_pause_is_remembered(backend: Backend) -> None:
    store = backend.open()
    with transaction(store):
        store.pause("q", True)
        store.pause("other", True)
        store.pause("other", False)
        store.pause("never", False)
    assert set(store.paused()) == {"q"}
    store = backend.crash()
    assert set(store.paused()) == {"q"}
    assert [(counts.queue, counts.paused) for counts in store.reader().counts()] == [("q", True)]
    with transaction(store):
        store.pause("q", False)
    assert set(store.paused()) == set()
    assert store.reader().counts() == ()


def test_pause_is_rolled_back_like_the_rest(store: Store) -> None:
    store.begin()
    store.pause("q", True)
    store.rollback()
    assert set(store.paused()) == set()
    with transaction(store):
        store.pause("q", True)
    assert set(store.paused()) == {"q"}


def test_a_paused_queue_still_takes_jobs_and_shows_them(store: Store) -> None:
    with transaction(store):
        store.pause("q", True)
    job = add(store)
    assert ready_ids(store) == [job.id]
    assert store.reader().counts()[0].paused


def test_touch_is_a_write(store: Store) -> None:
    with transaction(store):
        store.touch(NOW)


WANTED = (
    Filter(tag="t"),
    Filter(client="c"),
    Filter(name="n"),
    Filter(created_after=NOW, created_before=NOW + 1),
    Filter(queue="q", tag="t", client="c", name="n"),
)


@pytest.mark.parametrize("want", WANTED, ids=str)
def test_with_a_filter_those_that_do_not_match_are_left_alone(store: Store, want: Filter) -> None:
    def pair() -> tuple[str, str]:
        mine = new_job(tags=("s", "t"), client="c", name="n")
        other = new_job(tags=("s",), client="d", name="m", created_at=NOW + 1)
        return tuple(job.id for job in submit(store, mine, other))  # type: ignore[return-value]

    mine, other = pair()
    with transaction(store):
        assert store.cancel([mine, other, "nowhere"], NOW, want) == [
            answer(State.PENDING, True),
            answer(State.PENDING, False),
            NOWHERE,
        ]
    cancel(store, other)
    with transaction(store):
        assert store.retry([other, mine], NOW, want) == [answer(State.CANCELLED, False), answer(State.CANCELLED, True)]
    with transaction(store):
        assert store.delete([mine, other], NOW, want) == [answer(State.PENDING, True), answer(State.CANCELLED, False)]
    assert (find(store, mine), get(store, other).state) == (None, State.CANCELLED)


def test_a_job_that_has_changed_since_it_was_found_is_left_alone(store: Store) -> None:
    """Retried meanwhile: it is not a dead letter any more, and not to be deleted with those."""
    why = error(cause=Cause.TIMEOUT)
    jobs = [running(store) for _ in range(2)]
    finish(store, *[ending(job, State.FAILED, error=why) for job in jobs])
    want = Filter(queue="q", states=(State.FAILED,), cause=Cause.TIMEOUT, finished_after=NOW)
    found = store.reader().find(want, limit=10, before=None).ids
    assert found == (jobs[1].id, jobs[0].id)
    retry(store, jobs[0].id)
    with transaction(store):
        assert store.delete(found, NOW, want) == [answer(State.FAILED, True), answer(State.PENDING, False)]


def test_with_a_filter_of_a_queue_that_never_was_nothing_matches(store: Store) -> None:
    job = add(store)
    with transaction(store):
        assert store.delete([job.id], NOW, Filter(queue="nowhere")) == [answer(State.PENDING, False)]


def test_of_two_dead_letters_with_one_unique_value_only_one_is_retried(store: Store) -> None:
    jobs = [ended(store, State.FAILED, unique="u") for _ in range(3)]
    want = Filter(states=(State.FAILED,))
    with transaction(store):
        first, *rest = store.retry([job.id for job in jobs], NOW, want)
    assert first == answer(State.FAILED, True)
    assert rest == [answer(State.FAILED, False, conflict=jobs[0].id)] * 2
