"""Every backend: claims and outcomes, and the fence before them."""

import pytest
from msgspec import Raw

from supervisor.core.job import Cause, Claim, JobError, State
from supervisor.store.port import Filter, Store
from tests.store.support import (
    NOW,
    Backend,
    add,
    attempt,
    claim,
    ended,
    ending,
    error,
    find,
    finish,
    get,
    new_job,
    raw,
    ready,
    ready_ids,
    running,
    submit,
    transaction,
)

FINAL = [State.DONE, State.FAILED, State.CANCELLED]


def test_a_claim_makes_a_job_running(store: Store) -> None:
    job = add(store)
    assert claim(store, job, attempt=4, at=NOW + 3) == [True]
    found = get(store, job)
    assert (found.state, found.attempt, found.started_at, found.finished_at) == (State.RUNNING, 4, NOW + 3, None)
    assert ready_ids(store) == []


def test_a_claim_of_a_running_job_is_stopped(store: Store) -> None:
    job = running(store)
    assert claim(store, job, attempt=1) == [False]
    assert claim(store, job, attempt=2, at=NOW + 1) == [False]
    assert (get(store, job).attempt, get(store, job).started_at) == (1, NOW)


@pytest.mark.parametrize("state", FINAL)
def test_a_claim_of_a_final_job_is_stopped(store: Store, state: State) -> None:
    job = ended(store, state)
    assert claim(store, job, attempt=2) == [False]
    assert get(store, job).state is state


def test_a_claim_with_an_attempt_that_is_not_higher_is_stopped(store: Store) -> None:
    job = running(store)
    finish(store, ending(job, State.PENDING))
    assert claim(store, job, attempt=1) == [False]
    assert claim(store, job, attempt=2) == [True]


def test_a_claim_of_a_deleted_job_is_stopped(store: Store) -> None:
    job = add(store)
    with transaction(store):
        store.delete([job.id], NOW)
    assert claim(store, job) == [False]
    assert find(store, job) is None


def test_a_claim_takes_a_job_that_is_not_due(store: Store) -> None:
    job = add(store, run_at=NOW + 1000)
    assert claim(store, job) == [True]
    assert store.next_at() is None


def test_a_claimed_job_no_longer_waits_for_the_clock(store: Store) -> None:
    job = add(store, expires_at=NOW + 1000)
    assert store.next_at() == NOW + 1000
    claim(store, job)
    assert store.next_at() is None
    with transaction(store):
        assert store.promote(NOW + 2000, 10).expired == ()
    assert get(store, job).state is State.RUNNING


@pytest.mark.parametrize("state", FINAL)
def test_a_final_outcome_is_recorded_whole(store: Store, state: State) -> None:
    job = running(store)
    told = error() if state is State.FAILED else None
    result = b'{"size":[1,2.50]}' if state is State.DONE else None
    outcome = ending(
        job,
        state,
        started_at=NOW + 1,
        finished_at=NOW + 20,
        charged=2,
        crashes=1,
        interruptions=3,
        result=result,
        error=told,
        progress=b'{"progress":0.5}',
    )
    assert finish(store, outcome) == [True]
    found = get(store, job)
    assert (found.state, found.result, found.error, found.progress) == (state, result, told, b'{"progress":0.5}')
    assert (found.started_at, found.finished_at) == (NOW + 1, NOW + 20)
    assert (found.charged, found.crashes, found.interruptions) == (2, 1, 3)


def test_a_result_of_null_is_a_result(store: Store) -> None:
    job = running(store)
    finish(store, ending(job, result=b"null", progress=b"null"))
    assert (get(store, job).result, get(store, job).progress) == (b"null", b"null")


def test_an_error_comes_back_as_it_was(store: Store) -> None:
    job = running(store)
    told = JobError(
        cause=Cause.EXITED,
        message='it said "é\x00\U0001f600"\n',
        exit_code=None,
        signal="SIGSEGV",
        stderr="line 1\nline 2\n",
        retry=False,
        details=Raw(b'{"a":[1.0]}'),
    )
    finish(store, ending(job, State.FAILED, error=told))
    found = get(store, job)
    for kept in (found.error, found.attempts[0].error):
        assert kept is not None
        assert raw(kept.details) == b'{"a":[1.0]}'
        for field in ("cause", "message", "exit_code", "signal", "stderr", "retry"):
            assert getattr(kept, field) == getattr(told, field)


def test_a_second_outcome_of_an_attempt_is_stopped(store: Store) -> None:
    job = running(store)
    assert finish(store, ending(job, result=b"1")) == [True]
    assert finish(store, ending(job, result=b"2")) == [False]
    assert finish(store, ending(job, State.FAILED, error=error())) == [False]
    assert (get(store, job).state, get(store, job).result, get(store, job).attempts) == (State.DONE, b"1", ())


def test_a_second_outcome_in_the_same_call_is_stopped(store: Store) -> None:
    job = running(store)
    other = running(store)
    outcomes = [ending(job, result=b"1"), ending(other), ending(job, State.FAILED, error=error())]
    assert finish(store, *outcomes) == [True, True, False]
    assert (get(store, job).result, get(store, job).attempts) == (b"1", ())


def test_an_outcome_of_an_older_attempt_is_stopped(store: Store) -> None:
    job = running(store)
    finish(store, ending(job, State.PENDING))
    assert finish(store, ending(job)) == [False]
    claim(store, job, attempt=2)
    assert finish(store, ending(job, attempt=1)) == [False]
    assert finish(store, ending(job, attempt=3)) == [False]
    assert get(store, job).state is State.RUNNING
    assert finish(store, ending(job, attempt=2)) == [True]


def test_an_outcome_of_a_job_that_was_never_claimed_is_stopped(store: Store) -> None:
    job = add(store)
    assert finish(store, ending(job, attempt=0), ending(job, attempt=1)) == [False, False]
    assert get(store, job).state is State.PENDING


def test_an_outcome_of_another_epoch_is_stopped(backend: Backend) -> None:
    job = running(backend.open())
    store = backend.crash()
    assert finish(store, ending(job)) == [False]
    assert claim(store, job, attempt=2) == [True]
    assert finish(store, ending(job)) == [False]
    assert finish(store, ending(job, attempt=2)) == [True]


def test_one_call_may_claim_and_finish(store: Store) -> None:
    job = add(store)
    with transaction(store):
        answers = store.record([Claim(seq=job.seq, attempt=3, started_at=NOW)], [ending(job, attempt=3)])
    assert answers == ([True], [True])
    found = get(store, job)
    assert (found.state, found.attempt, found.started_at, found.finished_at) == (State.DONE, 3, NOW, NOW + 10)
    assert ready_ids(store) == []


def test_one_call_may_claim_and_give_back(store: Store) -> None:
    job = add(store)
    with transaction(store):
        store.record([Claim(seq=job.seq, attempt=1, started_at=NOW)], [ending(job, State.PENDING)])
    found = get(store, job)
    assert (found.state, found.attempt, found.finished_at) == (State.PENDING, 1, None)
    assert [(row.id, row.attempt) for row in ready(store)] == [(job.id, 1)]


def test_where_the_claim_is_stopped_so_is_its_outcome(store: Store) -> None:
    cancelled, fine = add(store), add(store)
    with transaction(store):
        store.cancel([cancelled.id], NOW)
        claims = [Claim(seq=job.seq, attempt=1, started_at=NOW) for job in (cancelled, fine)]
        answers = store.record(claims, [ending(cancelled), ending(fine)])
    assert answers == ([False, True], [False, True])
    assert (get(store, cancelled).state, get(store, cancelled).attempt) == (State.CANCELLED, 0)


def test_a_claim_and_its_outcome_need_a_higher_attempt(store: Store) -> None:
    job = running(store)
    finish(store, ending(job, State.PENDING))
    for number in (0, 1):
        with transaction(store):
            answers = store.record([Claim(seq=job.seq, attempt=number, started_at=NOW)], [ending(job, attempt=number)])
        assert answers == ([False], [False])
    assert get(store, job).state is State.PENDING


def test_a_claim_and_an_outcome_of_different_attempts_do_not_meet(store: Store) -> None:
    job = add(store)
    with transaction(store):
        answers = store.record([Claim(seq=job.seq, attempt=2, started_at=NOW)], [ending(job, attempt=1)])
    assert answers == ([True], [False])
    assert (get(store, job).state, get(store, job).attempt) == (State.RUNNING, 2)


def test_two_claims_of_one_job_in_a_call_are_one(store: Store) -> None:
    job, other = add(store), add(store)
    claims = [Claim(seq=seq, attempt=n, started_at=NOW) for seq, n in ((job.seq, 1), (job.seq, 2), (other.seq, 1))]
    with transaction(store):
        answers = store.record(claims, [ending(job, attempt=1), ending(job, attempt=2), ending(other)])
    assert answers == ([True, False, True], [True, False, True])
    assert get(store, job).attempt == 1


@pytest.mark.parametrize("count", [5, 300])
def test_every_row_of_a_batch_gets_its_own_answer(store: Store, count: int) -> None:
    """Each kind of row: claimed and finished at once, claimed only, finished only; and each kind stopped."""
    jobs = submit(store, *[new_job() for _ in range(count * 6)])
    both, both_not, claimed, claimed_not, finished, finished_not = (jobs[n::6] for n in range(6))
    with transaction(store):
        store.cancel([job.id for job in both_not + claimed_not], NOW)
    claim(store, *finished, *finished_not)
    finish(store, *[ending(job) for job in finished_not])
    with transaction(store):
        taken = [job for job in jobs if job in (*both, *both_not, *claimed, *claimed_not)]
        ends = [job for job in jobs if job in (*both, *both_not, *finished, *finished_not)]
        claims, outcomes = store.record(
            [Claim(seq=job.seq, attempt=1, started_at=NOW) for job in taken], [ending(job) for job in ends]
        )
    assert claims == [job in (*both, *claimed) for job in taken]
    assert outcomes == [job in (*both, *finished) for job in ends]


def test_a_batch_of_outcomes_carries_each_its_own_values(store: Store) -> None:
    jobs = submit(store, *[new_job() for _ in range(300)])
    claims = [Claim(seq=job.seq, attempt=n + 1, started_at=NOW + n) for n, job in enumerate(jobs)]
    outcomes = [
        ending(job, attempt=n + 1, started_at=NOW + n, finished_at=NOW + 2 * n, result=b"%d" % n, charged=n % 7)
        for n, job in enumerate(jobs)
    ]
    assert finish(store, *outcomes, claims=claims) == [True] * 300
    for n, job in enumerate(store.get([job.id for job in jobs])):
        assert job is not None
        assert (job.attempt, job.started_at, job.finished_at) == (n + 1, NOW + n, NOW + 2 * n)
        assert (job.result, job.charged) == (b"%d" % n, n % 7)


def test_nothing_to_record_is_nothing(store: Store) -> None:
    with transaction(store):
        assert store.record([], []) == ([], [])


def test_a_pending_outcome_without_run_at_is_due_at_once(store: Store) -> None:
    job = running(store)
    finish(store, ending(job, State.PENDING, finished_at=NOW + 10, charged=1))
    found = get(store, job)
    assert (found.state, found.run_at, found.finished_at, found.charged) == (State.PENDING, NOW + 10, None, 1)
    assert ready_ids(store) == [job.id]


def test_a_pending_outcome_with_run_at_waits_for_it(store: Store) -> None:
    job = running(store)
    finish(store, ending(job, State.PENDING, finished_at=NOW + 10, run_at=NOW + 500))
    assert ready_ids(store) == []
    assert (get(store, job).run_at, store.next_at()) == (NOW + 500, NOW + 500)
    with transaction(store):
        assert store.promote(NOW + 500, 10).queues == ("q",)
    assert ready_ids(store) == [job.id]


def test_a_pending_outcome_whose_run_at_has_come_is_due(store: Store) -> None:
    job = running(store)
    finish(store, ending(job, State.PENDING, finished_at=NOW + 10, run_at=NOW + 10))
    assert ready_ids(store) == [job.id]


@pytest.mark.parametrize("run_at", [None, NOW + 500, NOW + 5000])
def test_a_job_given_back_can_still_expire(store: Store, run_at: int | None) -> None:
    job = running(store, expires_at=NOW + 1000)
    finish(store, ending(job, State.PENDING, run_at=run_at))
    assert store.next_at() == min(run_at or NOW + 1000, NOW + 1000)
    with transaction(store):
        assert store.promote(NOW + 1000, 10).expired == (job.id,)
    assert get(store, job).state is State.EXPIRED


def test_a_failed_attempt_is_kept_and_a_good_one_clears_the_error(store: Store) -> None:
    job = running(store)
    finish(store, ending(job, State.PENDING, error=error("first"), pid=42, charged=1, progress=b"1"))
    found = get(store, job)
    assert (found.error, found.attempts) == (error("first"), (attempt(1, error("first"), pid=42),))
    claim(store, job, attempt=2)
    assert get(store, job).error == error("first")
    finish(store, ending(job, attempt=2, charged=1))
    found = get(store, job)
    assert (found.error, found.progress, found.attempts) == (None, None, (attempt(1, error("first"), pid=42),))


def test_the_newest_twenty_attempts_are_kept(store: Store) -> None:
    job, other = add(store), running(store)
    finish(store, ending(other, State.PENDING, error=error("other")))
    for number in range(2, 50, 2):  # a released one between any two: numbers have gaps
        claim(store, job, attempt=number)
        finish(store, ending(job, State.PENDING, attempt=number, error=error(str(number))))
    assert [kept.attempt for kept in get(store, job).attempts] == list(range(10, 50, 2))
    assert [kept.error.message for kept in get(store, job).attempts] == [str(n) for n in range(10, 50, 2)]
    assert len(get(store, other).attempts) == 1


def test_an_outcome_that_was_stopped_leaves_no_attempt(store: Store) -> None:
    job, other = running(store), running(store)
    finish(store, ending(job))
    outcomes = [ending(job, State.FAILED, error=error()), ending(other, State.FAILED, error=error())]
    assert finish(store, *outcomes) == [False, True]
    assert get(store, job).attempts == ()
    assert len(get(store, other).attempts) == 1


def test_a_record_that_is_rolled_back_leaves_nothing(store: Store) -> None:
    job = add(store)
    store.begin()
    store.record([Claim(seq=job.seq, attempt=1, started_at=NOW)], [ending(job, State.FAILED, error=error())])
    assert get(store, job).state is State.FAILED
    store.rollback()
    found = get(store, job)
    assert (found.state, found.attempt, found.attempts) == (State.PENDING, 0, ())
    assert store.reader().list(Filter(states=(State.FAILED,)), limit=5, before=None, full=False).total == 0


def test_a_large_result_is_kept_whole(store: Store) -> None:
    result = b'"' + b"x" * 2_000_000 + b'"'
    job = running(store, payload=result)
    finish(store, ending(job, result=result))
    assert (get(store, job).payload, get(store, job).result) == (result, result)
