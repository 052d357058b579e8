"""Every backend: what the wall clock does to jobs, in whichever direction it goes."""

from supervisor.core.job import State
from supervisor.store.port import Promoted, Store
from tests.store.support import NOW, Backend, add, get, new_job, ready_ids, submit, transaction


def promote(store: Store, now: int, limit: int = 100) -> Promoted:
    with transaction(store):
        return store.promote(now, limit)


def test_nothing_waits_for_the_clock_in_an_empty_store(store: Store) -> None:
    assert store.next_at() is None
    assert promote(store, NOW) == Promoted(queues=(), expired=(), next_at=None)


def test_a_job_becomes_due_when_its_instant_has_come(store: Store) -> None:
    job = add(store, run_at=NOW + 10)
    assert promote(store, NOW + 9) == Promoted(queues=(), expired=(), next_at=NOW + 10)
    assert ready_ids(store) == []
    assert promote(store, NOW + 10) == Promoted(queues=("q",), expired=(), next_at=None)
    assert ready_ids(store) == [job.id]
    assert get(store, job).run_at == NOW + 10


def test_every_queue_with_newly_due_jobs_is_named_once(store: Store) -> None:
    submit(store, *[new_job(queue=f"q{n % 3}", run_at=NOW + 1 + n) for n in range(9)])
    promoted = promote(store, NOW + 5)
    assert sorted(promoted.queues) == ["q0", "q1", "q2"]
    assert promoted.next_at == NOW + 6


def test_a_pending_job_expires_due_or_not(store: Store) -> None:
    due, later, lasting = submit(
        store,
        new_job(expires_at=NOW + 10),
        new_job(run_at=NOW + 100, expires_at=NOW + 20),
        new_job(run_at=NOW + 5, expires_at=NOW + 50),
    )
    assert store.next_at() == NOW + 5
    promoted = promote(store, NOW + 20)
    assert set(promoted.expired) == {due.id, later.id}
    assert (promoted.queues, promoted.next_at) == (("q",), NOW + 50)
    for job in (due, later):
        found = get(store, job)
        assert (found.state, found.finished_at, found.error) == (State.EXPIRED, NOW + 20, None)
    assert ready_ids(store) == [lasting.id]
    assert promote(store, NOW + 50).expired == (lasting.id,)
    assert ready_ids(store) == []


def test_a_job_whose_run_at_and_expiry_have_both_passed_expires(store: Store) -> None:
    job = add(store, run_at=NOW + 10, expires_at=NOW + 20)
    assert promote(store, NOW + 30) == Promoted(queues=(), expired=(job.id,), next_at=None)


def test_jobs_expire_in_a_paused_queue_too(store: Store) -> None:
    with transaction(store):
        store.pause("q", True)
    job = add(store, expires_at=NOW + 1)
    assert promote(store, NOW + 1).expired == (job.id,)


def test_expiry_frees_unique(store: Store) -> None:
    add(store, unique="u", expires_at=NOW + 1)
    promote(store, NOW + 1)
    assert add(store, unique="u").created


def test_a_step_does_at_most_so_much_and_says_that_there_is_more(store: Store) -> None:
    submit(store, *[new_job(run_at=NOW + 1 + n) for n in range(25)])
    submit(store, *[new_job(expires_at=NOW + 1 + n) for n in range(25)])
    expired, steps = 0, 0
    while True:
        promoted = promote(store, NOW + 1000, limit=10)
        assert len(promoted.expired) <= 10
        expired += len(promoted.expired)
        steps += 1
        if promoted.next_at is None:
            break
        assert promoted.next_at <= NOW + 1000
        assert steps < 10
    assert (expired, len(ready_ids(store))) == (25, 25)


def test_due_jobs_are_promoted_in_the_order_of_their_instants(store: Store) -> None:
    late, early = submit(store, new_job(run_at=NOW + 20), new_job(run_at=NOW + 10))
    promote(store, NOW + 100, limit=1)
    assert ready_ids(store) == [early.id]
    promote(store, NOW + 100, limit=1)
    assert ready_ids(store) == [late.id, early.id]


def test_a_clock_that_steps_back_undoes_nothing(store: Store) -> None:
    job = add(store, run_at=NOW + 10, expires_at=NOW + 1000)
    promote(store, NOW + 10)
    assert promote(store, NOW - 5000) == Promoted(queues=(), expired=(), next_at=NOW + 1000)
    assert ready_ids(store) == [job.id]
    (newer,) = submit(store, new_job(created_at=NOW - 5000, run_at=NOW - 4000), now=NOW - 5000)
    assert not newer.due
    assert promote(store, NOW - 4000).queues == ("q",)
    assert ready_ids(store) == [job.id, newer.id]


def test_what_waits_for_the_clock_waits_across_a_restart(backend: Backend) -> None:
    store = backend.open()
    job, expiring = submit(store, new_job(run_at=NOW + 10), new_job(expires_at=NOW + 20))
    store = backend.crash()
    assert store.next_at() == NOW + 10
    assert promote(store, NOW + 20) == Promoted(queues=("q",), expired=(expiring.id,), next_at=None)
    assert ready_ids(store) == [job.id]


def test_a_promotion_is_rolled_back_like_the_rest(store: Store) -> None:
    job = add(store, run_at=NOW + 10)
    store.begin()
    store.promote(NOW + 10, 10)
    store.rollback()
    assert ready_ids(store) == []
    assert store.next_at() == NOW + 10
    assert get(store, job).state is State.PENDING
