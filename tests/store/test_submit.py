"""Every backend: what a submit stores and answers."""

import pytest

from supervisor.core.job import State
from supervisor.core.keys import lane_of
from supervisor.store.port import Store, Submitted
from tests.store.support import (
    NOW,
    Backend,
    add,
    claim,
    ended,
    ending,
    find,
    finish,
    get,
    new_job,
    ready_ids,
    running,
    submit,
    transaction,
)


def test_a_job_comes_back_as_it_was_submitted(store: Store) -> None:
    new = new_job(
        queue="thumbs",
        payload=b'{"path":"\xc3\xa4.png","deep":[[1.50,"\\u0000"]]}',
        priority=-7,
        run_at=NOW + 5,
        timeout=0.1 + 0.2,
        max_attempts=9,
        expires_at=NOW + 50,
        client="c",
        key="k",
        unique="u",
        name='the "first"\n\x00one',
        tags=("a", 'b"\\c', "é\U0001f600"),
        lane=lane_of('"r"\n', "ö\U0001f600"),
    )
    submit(store, new)
    job = get(store, new.id)
    for field in {*new.__struct_fields__} - {"on_conflict", "lane"}:
        assert getattr(job, field) == getattr(new, field), field
    assert (job.rate_key, job.concurrency_key) == ('"r"\n', "ö\U0001f600")
    assert (job.state, job.attempt, job.charged, job.crashes, job.interruptions) == (State.PENDING, 0, 0, 0, 0)
    assert (job.result, job.error, job.started_at, job.finished_at, job.progress) == (None, None, None, None, None)
    assert job.attempts == ()


def test_what_is_left_out_is_none(store: Store) -> None:
    job = get(store, add(store))
    assert (job.timeout, job.max_attempts, job.expires_at) == (None, None, None)
    assert (job.client, job.key, job.unique, job.name, job.tags) == (None, None, None, None, ())
    assert job.priority == 0


@pytest.mark.parametrize("count", [1, 3, 100, 255, 256, 257, 1000])
def test_a_batch_of_any_size_is_stored_in_order(store: Store, count: int) -> None:
    jobs = [new_job(payload=b"%d" % n) for n in range(count)]
    answers = submit(store, *jobs)
    assert [answer.id for answer in answers] == [job.id for job in jobs]
    assert [answer.seq for answer in answers] == sorted({answer.seq for answer in answers})
    assert [job.payload for job in store.get([job.id for job in jobs]) if job] == [job.payload for job in jobs]
    assert ready_ids(store, limit=count) == [job.id for job in jobs]


def test_a_batch_of_nothing_changes_nothing(store: Store) -> None:
    assert submit(store) == []
    assert store.reader().counts() == ()


def test_a_batch_may_mix_plain_and_optioned_jobs_and_queues(store: Store) -> None:
    jobs = [new_job(queue=f"q{n % 3}", priority=n % 2, tags=("t",) * (n % 2), name=str(n)) for n in range(30)]
    submit(store, *jobs)
    for job in jobs:
        found = get(store, job.id)
        assert (found.queue, found.priority, found.tags, found.name) == (job.queue, job.priority, job.tags, job.name)


def test_run_at_decides_whether_a_job_is_due(store: Store) -> None:
    past, present, future = submit(
        store, new_job(run_at=NOW - 1), new_job(run_at=NOW), new_job(run_at=NOW + 1), now=NOW
    )
    assert (past.due, present.due, future.due) == (True, True, False)
    assert ready_ids(store) == [past.id, present.id]


def test_what_was_rolled_back_was_never_there(store: Store) -> None:
    store.begin()
    (answer,) = store.submit([new_job(queue="new", client="c", key="k", unique="u", tags=("t",))], NOW)
    assert get(store, answer).queue == "new"
    store.rollback()
    assert find(store, answer) is None
    assert store.find("c", "k") is None
    assert store.reader().counts() == ()
    again = add(store, queue="new", client="c", key="k", unique="u", tags=("t",))
    assert again.created
    assert ready_ids(store, "new") == [again.id]


def test_a_rollback_without_a_transaction_is_nothing(store: Store) -> None:
    job = add(store)
    store.rollback()
    assert find(store, job) is not None


def test_a_seq_is_never_used_twice(backend: Backend) -> None:
    store = backend.open()
    first = add(store)
    store.begin()
    lost = store.submit([new_job()], NOW)[0]
    store.rollback()
    newest = add(store)
    with transaction(store):
        store.delete([newest.id], NOW)
    after_delete = add(store)
    with transaction(store):
        store.delete([after_delete.id], NOW)
    store = backend.open()
    reopened = add(store)
    assert first.seq < newest.seq < after_delete.seq < reopened.seq
    assert lost.seq < newest.seq


def same_instant(store: Store) -> list[Submitted]:
    return submit(
        store,
        new_job(client="c", key="k"),
        new_job(client="c", key="k"),
        new_job(client="c", key="k", payload=b"2"),
        new_job(client="c", key="k", queue="other"),
        new_job(client="d", key="k"),
    )


def test_a_key_is_answered_by_the_first_job_even_in_the_same_instant(store: Store) -> None:
    first, second, third, fourth, other = same_instant(store)
    assert [answer.created for answer in (first, second, third, fourth, other)] == [True, False, False, False, True]
    assert {second.id, third.id, fourth.id} == {first.id}
    assert {second.seq, third.seq, fourth.seq} == {first.seq}
    assert (second.same, third.same, fourth.same) == (True, False, False)
    assert not second.due
    assert ready_ids(store) == [first.id, other.id]


def test_a_key_is_answered_by_the_first_job_after_a_restart(backend: Backend) -> None:
    first = same_instant(backend.open())[0]
    answer = same_instant(backend.crash())
    assert [one.created for one in answer] == [False] * 5
    assert [one.same for one in answer] == [True, True, False, False, True]
    assert answer[0].id == first.id


@pytest.mark.parametrize("state", [State.DONE, State.FAILED, State.CANCELLED])
def test_a_key_is_answered_in_any_state(store: Store, state: State) -> None:
    job = ended(store, state, client="c", key="k")
    answer = add(store, client="c", key="k")
    assert (answer.created, answer.id, answer.state) == (False, job.id, state)
    assert store.find("c", "k") == job.id
    assert store.find("c", "other") is None


def test_a_key_is_free_once_its_job_is_deleted(store: Store) -> None:
    job = add(store, client="c", key="k")
    with transaction(store):
        store.delete([job.id], NOW)
    assert store.find("c", "k") is None
    assert add(store, client="c", key="k").created


def test_a_client_without_a_key_is_no_bar(store: Store) -> None:
    assert [answer.created for answer in submit(store, *[new_job(client="c") for _ in range(3)])] == [True] * 3


def test_unique_allows_one_live_job_of_a_queue(store: Store) -> None:
    first, second, elsewhere, third = submit(
        store,
        new_job(unique="u"),
        new_job(unique="u"),
        new_job(unique="u", queue="other"),
        new_job(unique="u", payload=b"3"),
    )
    assert [answer.created for answer in (first, second, elsewhere, third)] == [True, False, True, False]
    assert (second.id, second.same, third.id, third.same) == (first.id, True, first.id, False)
    later = add(store, unique="u")
    assert (later.created, later.id) == (False, first.id)


def test_unique_is_held_while_running_and_free_when_final(store: Store) -> None:
    job = running(store, unique="u")
    held = add(store, unique="u", payload=b"other")
    assert (held.created, held.id, held.state, held.same) == (False, job.id, State.RUNNING, False)
    finish(store, ending(job))
    assert add(store, unique="u").created


def test_unique_is_held_between_attempts(store: Store) -> None:
    job = running(store, unique="u")
    finish(store, ending(job, State.PENDING, run_at=NOW + 1000))
    assert not add(store, unique="u").created


def test_the_key_is_looked_up_before_unique(store: Store) -> None:
    keyed = add(store, client="c", key="k")
    holder = add(store, unique="u")
    both, by_unique, free = submit(
        store,
        new_job(client="c", key="k", unique="u"),
        new_job(client="c", key="new", unique="u"),
        new_job(client="c", key="new"),
    )
    assert (both.id, by_unique.id) == (keyed.id, holder.id)
    assert free.created  # an answer of another job takes no key


def test_a_batch_of_keyed_jobs_answers_each_by_its_own(store: Store) -> None:
    old = submit(store, *[new_job(client="c", key=str(n), unique=str(n)) for n in range(0, 600, 2)])
    answers = submit(store, *[new_job(client="c", key=str(n), unique=str(n)) for n in range(600)])
    assert [answer.created for answer in answers] == [False, True] * 300
    assert [answer.id for answer in answers[::2]] == [answer.id for answer in old]


def test_keys_and_uniques_are_compared_exactly(store: Store) -> None:
    keys = ["k", "K", "k ", "", "é", "e\u0301", "k\x00", "k\x00x", "1", "01", "1.0"]
    jobs = [new_job(client="c", key=key, unique=key) for key in keys]
    assert [answer.created for answer in submit(store, *jobs)] == [True] * len(keys)
    assert [store.find("c", key) for key in keys] == [job.id for job in jobs]


def test_a_key_seen_again_does_not_disturb_a_claimed_job(store: Store) -> None:
    job = add(store, client="c", key="k")
    claim(store, job)
    assert add(store, client="c", key="k").state is State.RUNNING
    assert get(store, job).attempt == 1


def test_a_job_without_a_delay_is_due_though_the_clock_was_set_back_since_it_was_made(store: Store) -> None:
    plain, optioned, delayed = submit(
        store,
        new_job(created_at=NOW, run_at=NOW),
        new_job(created_at=NOW, run_at=NOW, name="n"),
        new_job(created_at=NOW, run_at=NOW + 1),
        now=NOW - 86400,
    )
    assert (plain.due, optioned.due, delayed.due) == (True, True, False)
    assert ready_ids(store) == [plain.id, optioned.id]
    assert store.next_at() == NOW + 1
