"""Every backend: which jobs have been kept long enough."""

import pytest

from supervisor.core.job import State
from supervisor.core.retention import Keep
from supervisor.store.port import Store, Submitted
from tests.store.support import NOW, add, ended, ending, finish, running, transaction

FINAL = (State.DONE, State.FAILED, State.CANCELLED)


def ended_at(store: Store, *instants: int, state: State = State.DONE, queue: str = "q") -> list[str]:
    jobs: list[Submitted] = [running(store, queue=queue) for _ in instants]
    finish(store, *[ending(job, state, finished_at=at) for job, at in zip(jobs, instants, strict=True)])
    return [job.id for job in jobs]


def outlived(store: Store, *keeps: Keep, spare: tuple[str, ...] = (), limit: int = 100) -> list[str]:
    return store.outlived(keeps, spare=spare, limit=limit)


def keep(state: State = State.DONE, *, since: int | None = None, most: int | None = None, queue: str = "q") -> Keep:
    return Keep(queue=queue, state=state, since=since, most=most)


def test_jobs_are_kept_until_their_end_is_long_enough_ago(store: Store) -> None:
    first, second, _ = ended_at(store, NOW + 1, NOW + 2, NOW + 3)
    assert outlived(store, keep(since=NOW)) == []
    assert set(outlived(store, keep(since=NOW + 2))) == {first, second}


def test_of_too_many_the_last_to_finish_are_kept_whatever_their_order_of_submission(store: Store) -> None:
    ids = ended_at(store, NOW + 5, NOW + 1, NOW + 4, NOW + 2)
    assert outlived(store, keep(most=4)) == []
    assert set(outlived(store, keep(most=2))) == {ids[1], ids[3]}
    assert set(outlived(store, keep(most=0))) == {*ids}


def test_of_those_that_finished_together_the_last_submitted_are_kept(store: Store) -> None:
    first, _ = ended_at(store, NOW, NOW)
    assert outlived(store, keep(most=1)) == [first]


@pytest.mark.parametrize("state", FINAL)
def test_each_queue_and_state_is_looked_at_by_itself(store: Store, state: State) -> None:
    [mine] = ended_at(store, NOW, state=state)
    for other in set(FINAL) - {state}:
        ended_at(store, NOW, state=other)
    ended_at(store, NOW, state=state, queue="r")
    for bound in (keep(state, since=NOW), keep(state, most=0)):
        assert outlived(store, bound) == [mine]


def test_jobs_that_have_not_ended_are_never_among_them(store: Store) -> None:
    add(store)
    add(store, run_at=NOW + 5)
    running(store)
    repeated = running(store)
    finish(store, ending(repeated, State.PENDING))
    assert outlived(store, *[keep(state, since=NOW + 10**9, most=0) for state in FINAL]) == []


def test_both_bounds_and_several_queues_give_each_job_once(store: Store) -> None:
    ids = {*ended_at(store, NOW, NOW + 1, NOW + 2), *ended_at(store, NOW, queue="r")}
    found = outlived(store, keep(since=NOW + 1, most=0), keep(queue="r", most=0), keep(queue="nobody's", most=0))
    assert len(found) == len(ids)
    assert {*found} == ids


def test_a_step_gives_no_more_than_asked_for_and_fewer_only_at_the_end(store: Store) -> None:
    ids = {*ended_at(store, *range(NOW, NOW + 7))}
    for bounds in (keep(since=NOW + 7), keep(most=0), keep(since=NOW + 3, most=2)):
        assert len(outlived(store, bounds, limit=5)) == 5
    with transaction(store):
        store.delete(outlived(store, keep(most=0), limit=5), NOW)
    assert {*outlived(store, keep(most=0), limit=5)} < ids
    assert len(outlived(store, keep(most=0), limit=5)) == 2


def test_who_is_spared_keeps_nobody_else(store: Store) -> None:
    ids = ended_at(store, *range(NOW, NOW + 6))
    for bounds in (keep(since=NOW + 3), keep(most=2)):
        assert set(outlived(store, bounds, spare=(*ids[:3], "unknown"), limit=2)) == {ids[3]}


def test_every_queue_that_has_had_a_job_is_known(store: Store) -> None:
    assert store.queues() == []
    ended(store, queue="r")
    add(store)
    assert store.queues() == ["q", "r"]


def test_what_finished_before_the_clock_was_set_back_goes_before_what_has_finished_since(store: Store) -> None:
    first, second, third = ended_at(store, NOW + 50, NOW + 60, NOW + 55)
    [since] = ended_at(store, NOW)
    told = Keep(queue="q", state=State.DONE, since=None, most=2, now=NOW + 10)
    assert set(outlived(store, told)) == {first, third}
    assert outlived(store, told, limit=1) == [first]
    assert set(outlived(store, told, spare=(first,))) == {third}
    assert set(outlived(store, keep(most=2))) == {since, first}  # and when the clock is there again, it is the oldest
    assert second not in outlived(store, told)
