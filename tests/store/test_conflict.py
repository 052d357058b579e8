"""Every backend: a submit whose `unique` value a live job has, and what it says is to become of the two."""

from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from supervisor.core.job import Cause, Claim, Job, NewJob, OnConflict, State
from supervisor.errors import Conflict, QueueFull, StoreUnavailable
from supervisor.store.committer import Committer
from supervisor.store.port import Changed, Filter, Store, Submitted
from tests.store.support import (
    NOW,
    Backend,
    add,
    attempt,
    claim,
    ended,
    ending,
    error,
    finish,
    get,
    new_job,
    ready_ids,
    running,
    submit,
    transaction,
)
from tests.store.tripping import Tripping, committing

REPLACE, REJECT = OnConflict.REPLACE, OnConflict.REJECT


def replacing(**values: Any) -> NewJob:
    return new_job(**{"unique": "u", "on_conflict": REPLACE, **values})


def rejecting(**values: Any) -> NewJob:
    return new_job(**{"unique": "u", "on_conflict": REJECT, **values})


def assert_replaced(job: Job, by: Submitted, at: int = NOW) -> None:
    assert (job.state, job.finished_at) == (State.CANCELLED, at)
    assert job.error is not None
    assert (job.error.cause, job.error.retry) == (Cause.REPLACED, False)
    assert by.id in job.error.message
    assert msgspec.json.decode(job.error.details) == {"replaced_by": by.id}


# -- the store's verb ----------------------------------------------------------------------------------------------


def test_a_job_that_replaces_takes_the_place_of_the_one_that_waits(store: Store) -> None:
    old = add(store, unique="u", payload=b"1")
    (new,) = submit(store, replacing(payload=b"2"), now=NOW + 7)
    assert (new.created, new.state, new.due, new.replaced) == (True, State.PENDING, True, old.id)
    assert_replaced(get(store, old), new, NOW + 7)
    assert ready_ids(store) == [new.id]
    assert get(store, new).error is None


@pytest.mark.parametrize("policy", OnConflict)
def test_without_a_live_holder_they_all_insert(store: Store, policy: OnConflict) -> None:
    add(store, unique="u", queue="other")
    add(store, unique="v")
    ended(store, State.FAILED, unique="u")
    (answer,) = submit(store, new_job(unique="u", on_conflict=policy))
    assert (answer.created, answer.refused, answer.replaced) == (True, False, None)


def test_a_future_job_and_one_that_expires_are_replaced_and_the_clock_forgets_them(store: Store) -> None:
    later = add(store, unique="u", run_at=NOW + 50)
    dying = add(store, unique="v", expires_at=NOW + 40)
    first, second = submit(store, replacing(run_at=NOW + 90), replacing(unique="v"))
    assert (first.replaced, second.replaced, first.due) == (later.id, dying.id, False)
    assert store.next_at() == NOW + 90
    with transaction(store):
        assert store.promote(NOW + 60, 10).expired == ()
    assert ready_ids(store) == [second.id]


def test_a_job_that_waits_for_its_next_attempt_is_replaced_and_keeps_its_attempts(store: Store) -> None:
    old = running(store, unique="u")
    finish(store, ending(old, State.PENDING, run_at=NOW + 99, charged=1, error=error(), pid=7))
    (new,) = submit(store, replacing())
    job = get(store, old)
    assert_replaced(job, new)
    assert job.attempts == (attempt(1, error(), pid=7),)
    assert job.charged == 1


@pytest.mark.parametrize("policy", [REPLACE, REJECT])
def test_a_job_that_runs_is_in_the_way(store: Store, policy: OnConflict) -> None:
    old = running(store, unique="u")
    (answer,) = submit(store, new_job(unique="u", on_conflict=policy))
    assert (answer.created, answer.refused, answer.id, answer.state) == (False, True, old.id, State.RUNNING)
    assert get(store, old).state is State.RUNNING
    assert finish(store, ending(old)) == [True]


def test_one_that_waits_is_in_the_way_of_a_reject(store: Store) -> None:
    old = add(store, unique="u")
    (answer,) = submit(store, rejecting())
    assert (answer.created, answer.refused, answer.id, answer.state) == (False, True, old.id, State.PENDING)
    assert ready_ids(store) == [old.id]


def test_in_one_call_each_meets_what_those_before_it_left(store: Store) -> None:
    old = add(store, unique="u")
    first, answered, second, refused, third = submit(
        store, replacing(), new_job(unique="u"), replacing(), rejecting(), replacing()
    )
    assert [one.replaced for one in (first, second, third)] == [old.id, first.id, second.id]
    assert (answered.created, answered.id, answered.state) == (False, first.id, State.CANCELLED)
    assert (refused.refused, refused.id, refused.state) == (True, second.id, State.CANCELLED)
    assert [(one.created, one.state, one.due) for one in (first, second)] == [(True, State.CANCELLED, False)] * 2
    assert (third.state, third.due) == (State.PENDING, True)
    for gone, by in ((old, first), (first, second), (second, third)):
        assert_replaced(get(store, gone), by)
    assert ready_ids(store) == [third.id]
    (counts,) = store.reader().counts()
    assert (counts.pending, counts.cancelled) == (1, 3)


def test_a_long_call_of_jobs_that_replace_each_other_leaves_one(store: Store) -> None:
    answers = submit(store, *[replacing(unique=str(n % 3), tags=("t",), run_at=NOW + n % 2) for n in range(600)])
    live = [one for one in answers if one.state is State.PENDING]
    assert [one.id for one in live] == [one.id for one in answers[-3:]]
    assert len(ready_ids(store)) == sum(one.due for one in live)
    assert [one.replaced for one in answers[3:]] == [one.id for one in answers[:-3]]


def test_a_key_answers_before_a_replace_is_thought_of(store: Store) -> None:
    keyed = add(store, client="c", key="k", unique="u")
    (again,) = submit(store, replacing(client="c", key="k"))
    assert (again.created, again.id, again.state, again.same) == (False, keyed.id, State.PENDING, True)
    assert ready_ids(store) == [keyed.id]


def test_a_job_asked_for_again_by_its_key_answers_replaced_and_takes_its_place_from_nobody(store: Store) -> None:
    first = replacing(client="c", key="1")
    submit(store, first)
    (second,) = submit(store, replacing(client="c", key="2"))
    (again,) = submit(store, replacing(client="c", key="1"))
    assert (again.created, again.id, again.state, again.replaced) == (False, first.id, State.CANCELLED, None)
    assert ready_ids(store) == [second.id]
    # The same within one call.
    third, fourth, repeated = submit(
        store,
        replacing(client="c", key="3"),
        replacing(client="c", key="4"),
        replacing(client="c", key="3"),
    )
    assert (third.replaced, fourth.replaced) == (second.id, third.id)
    assert (repeated.created, repeated.id, repeated.state) == (False, third.id, State.CANCELLED)
    assert ready_ids(store) == [fourth.id]


def test_a_rollback_brings_the_replaced_job_back(store: Store) -> None:
    old = add(store, unique="u", payload=b"7")
    store.begin()
    (new,) = store.submit([replacing()], NOW)
    assert get(store, old).state is State.CANCELLED
    store.rollback()
    assert get(store, old).state is State.PENDING
    assert get(store, old).error is None
    assert store.get([new.id]) == [None]
    assert ready_ids(store) == [old.id]


def test_both_ends_of_a_replacement_are_there_after_a_crash_or_neither(backend: Backend) -> None:
    store = backend.open()
    old = add(store, unique="u")
    (new,) = submit(store, replacing())
    store.begin()
    store.submit([replacing()], NOW)
    store = backend.crash()
    assert_replaced(get(store, old), new)
    assert ready_ids(store) == [new.id]


def test_a_job_found_running_at_a_start_is_pending_again_and_can_be_replaced(backend: Backend) -> None:
    store = backend.open()
    old = running(store, unique="u")
    store = backend.crash()
    (new,) = submit(store, replacing())
    assert new.replaced == old.id
    assert claim(store, old, attempt=2) == [False]
    assert ready_ids(store) == [new.id]


def test_a_job_that_must_not_begin_twice_has_lost_its_value_with_the_daemon(backend: Backend) -> None:
    store = backend.open()
    old = running(store, unique="u")
    store = backend.crash(not_again=["q"])
    (new,) = submit(store, replacing())
    assert (new.created, new.replaced) == (True, None)
    assert get(store, old).state is State.FAILED


def test_a_replaced_job_is_retried_only_while_nobody_has_its_value(store: Store) -> None:
    old = add(store, unique="u")
    (new,) = submit(store, replacing())
    with transaction(store):
        (held,) = store.retry([old.id], NOW)
    assert held == Changed(before=State.CANCELLED, changed=False, queue="q", conflict=new.id)
    with transaction(store):
        store.cancel([new.id], NOW)
        (free,) = store.retry([old.id], NOW)
    assert free.changed
    assert get(store, old).error is None
    assert ready_ids(store) == [old.id]


def test_replaced_jobs_are_found_by_their_cause(store: Store) -> None:
    old = add(store, unique="u")
    submit(store, replacing())
    by_hand = add(store)
    with transaction(store):
        store.cancel([by_hand.id], NOW)
    reader = store.reader()
    for want in (Filter(cause=Cause.REPLACED), Filter(cause=Cause.REPLACED, queue="q", states=(State.CANCELLED,))):
        page = reader.list(want, limit=9, before=None, full=False)
        assert ([job.id for job in page.jobs], page.total) == ([old.id], 1)
        assert reader.find(want, limit=9, before=None).ids == (old.id,)
    assert reader.find(Filter(cause=Cause.REPLACED, states=(State.FAILED,)), limit=9, before=None).ids == ()
    reader.close()


# -- through the committer -----------------------------------------------------------------------------------------


async def ask(committer: Committer, *jobs: NewJob) -> list[Submitted]:
    return await committer.submit(jobs, NOW, lambda answers: None, contested=True)


async def test_a_reject_is_a_conflict_that_names_the_live_job() -> None:
    async with committing(Tripping()) as (committer, _):
        [old] = await ask(committer, new_job(unique="u"))
        with pytest.raises(Conflict) as refused:
            await ask(committer, new_job(), rejecting())
        assert refused.value.data == {"index": 1, "holder": old.id, "state": "pending"}
        assert old.id in refused.value.message


async def test_a_running_job_is_a_conflict_for_a_replace() -> None:
    async with committing(Tripping()) as (committer, _):
        [old] = await ask(committer, new_job(unique="u"))
        committer.claim(Claim(seq=old.seq, attempt=1, started_at=NOW))  # in the same batch, before the submit
        with pytest.raises(Conflict) as refused:
            await ask(committer, replacing())
        assert refused.value.data == {"index": 0, "holder": old.id, "state": "running"}
        assert "runs, so it is not replaced" in refused.value.message


async def test_of_a_submit_many_with_a_conflict_nothing_is_there_and_nothing_was_replaced() -> None:
    store = Tripping()
    async with committing(store) as (committer, _):
        old, other = await ask(committer, new_job(unique="u"), new_job(unique="v"))
        with pytest.raises(Conflict):
            await ask(committer, replacing(), new_job(), rejecting(unique="v"))
        assert ready_ids(store.inner) == [old.id, other.id]


async def test_a_reject_may_not_meet_an_earlier_job_of_its_own_call_which_has_no_id_to_name() -> None:
    store = Tripping()
    async with committing(store) as (committer, _):
        with pytest.raises(Conflict) as refused:
            await ask(committer, rejecting(), rejecting())
        assert refused.value.data == {"index": 1}
        assert store.inner.pending(["q"]) == {"q": 0}
        first, second = await ask(committer, rejecting(), replacing())
        assert (second.replaced, first.state) == (first.id, State.CANCELLED)


async def test_submits_that_share_a_commit_are_judged_in_their_order() -> None:
    store = Tripping()
    ends: dict[str, Submitted | None] = {}

    async def one(committer: Committer, name: str, job: NewJob) -> None:
        try:
            [ends[name]] = await ask(committer, job)
        except Conflict:
            ends[name] = None

    async with committing(store) as (committer, _):
        store.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, committer, "old", new_job(unique="u"))
            await store.held()
            for name, job in (("first", replacing()), ("no", rejecting()), ("second", replacing())):
                nursery.start_soon(one, committer, name, job)
                await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        assert store.commits == 2
        old, first, second = ends["old"], ends["first"], ends["second"]
        assert old is not None
        assert first is not None
        assert second is not None
        assert ends["no"] is None
        assert (first.replaced, second.replaced) == (old.id, first.id)
        assert (first.created, first.state, first.due) == (True, State.CANCELLED, False)
        assert ready_ids(store.inner) == [second.id]


async def test_a_replacement_in_a_full_queue_is_not_one_more() -> None:
    store = Tripping()
    async with committing(store, q=2) as (committer, _):
        await ask(committer, new_job(unique="u"), new_job())
        for _ in range(3):
            await ask(committer, replacing(), replacing())
        assert store.inner.pending(["q"]) == {"q": 2}
        with pytest.raises(QueueFull):
            await ask(committer, replacing(), new_job())
        with pytest.raises(QueueFull):
            await ask(committer, replacing(unique="new"))
        assert store.inner.pending(["q"]) == {"q": 2}


async def test_a_refusal_of_a_commit_that_failed_is_thought_over() -> None:
    store = Tripping()
    async with committing(store) as (committer, _):
        [old] = await ask(committer, new_job(unique="u"))
        store.full, store.trips = "disk full", 1
        assert (await ask(committer, replacing()))[0].replaced == old.id
        store.trips = float("inf")
        with pytest.raises(StoreUnavailable):
            await ask(committer, replacing())
        store.trips = 1
        with pytest.raises(Conflict):
            await ask(committer, rejecting())


async def test_whoever_hands_over_a_submit_that_fails_is_told_also_when_the_caller_has_gone() -> None:
    store = Tripping()
    told: list[str] = []

    async def submit_and_go(committer: Committer, job: NewJob) -> None:
        await committer.submit(
            [job], NOW, lambda answers: told.append("done"), lambda: told.append("failed"), contested=True
        )

    async with committing(store) as (committer, _):
        await ask(committer, new_job(unique="u"))
        for job in (rejecting(), replacing()):
            store.hold()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(submit_and_go, committer, job)
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            store.let_go()
            await committer.settle()
    assert told == ["failed", "done"]
