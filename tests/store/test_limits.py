"""Queues that hold only so many: what is counted, and what the committer lets in."""

import pytest
import trio
import trio.testing

from supervisor.core.identity import Holder
from supervisor.core.job import Claim, State
from supervisor.errors import QueueFull, StoreUnavailable
from supervisor.store.committer import Committer
from supervisor.store.port import Store, Submitted
from tests.store.support import NOW, add, claim, ending, finish, new_job, running, transaction
from tests.store.tripping import Tripping, committing


def test_due_and_future_jobs_are_pending_and_no_others(store: Store) -> None:
    assert store.pending(["q"]) == {"q": 0}
    first = add(store)
    add(store, run_at=NOW + 5)
    add(store, queue="r")
    running(store)
    assert store.pending(["q", "r", "nobody's"]) == {"q": 2, "r": 1, "nobody's": 0}
    claim(store, first)
    assert store.pending(["q"]) == {"q": 1}
    finish(store, ending(first, State.PENDING))
    assert store.pending(["q"]) == {"q": 2}
    with transaction(store):
        store.cancel([first.id], NOW)
        assert store.pending(["q"]) == {"q": 1}


def test_what_an_earlier_job_would_answer_is_known_beforehand(store: Store) -> None:
    keyed = add(store, client="c", key="k")
    unique = add(store, unique="u")
    again, other, held, elsewhere, plain = (
        new_job(client="c", key="k", queue="r"),
        new_job(client="d", key="k"),
        new_job(unique="u"),
        new_job(unique="u", queue="r"),
        new_job(),
    )
    assert store.holders([again, other, held, elsewhere, plain]) == {
        again.id: Holder(keyed.id, State.PENDING, by_key=True),
        held.id: Holder(unique.id, State.PENDING),
    }
    assert store.holders([]) == {}
    claim(store, unique)
    both = new_job(client="c", key="k", unique="u")
    assert store.holders([held, both]) == {
        held.id: Holder(unique.id, State.RUNNING),
        both.id: Holder(keyed.id, State.PENDING, by_key=True),
    }
    with transaction(store):
        store.delete([keyed.id], NOW)
    assert store.holders([again]) == {}


async def submit(committer: Committer, *names: str, **values: object) -> list[Submitted]:
    jobs = [new_job(name=name, **values) for name in names]
    return await committer.submit(jobs, NOW, lambda answers: None)


async def test_a_queue_takes_as_many_as_it_may_have_and_refuses_the_next() -> None:
    async with committing(Tripping(), q=3) as (committer, _):
        await submit(committer, "1", "2")
        await submit(committer, "3")
        with pytest.raises(QueueFull) as refused:
            await submit(committer, "4")
        assert refused.value.data == {"queue": "q", "wanted": 1, "pending": 3, "limit": 3}
        assert "queue q is full: 3 pending of the 3 that it takes " in refused.value.message
        await submit(committer, "elsewhere", queue="r")


async def test_however_many_submits_share_a_commit_the_queue_gets_exactly_its_fill() -> None:
    store = Tripping()
    ends: list[str] = []

    async def one(committer: Committer, number: int) -> None:
        try:
            await submit(committer, *(str(n) for n in range(number % 3 + 1)))
            ends.append("in")
        except QueueFull:
            ends.append("full")

    async with committing(store, q=100) as (committer, _):
        store.hold()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, committer, 0)
            await store.held()
            for number in range(150):
                nursery.start_soon(one, committer, number)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        assert store.commits == 2
        assert store.inner.pending(["q"]) == {"q": 100}
        assert len(ends) == 151
        assert "full" in ends


async def test_of_a_submit_many_that_does_not_fit_nothing_is_there() -> None:
    store = Tripping()
    async with committing(store, q=3) as (committer, _):
        with pytest.raises(QueueFull):
            await submit(committer, *"1234")
        assert store.inner.pending(["q"]) == {"q": 0}
        assert len(await submit(committer, *"123")) == 3


async def test_a_job_that_is_there_already_answers_however_full_the_queue_is() -> None:
    async with committing(Tripping(), q=2) as (committer, _):
        [keyed] = await submit(committer, "1", client="c", key="k")
        [unique] = await submit(committer, "2", unique="u")
        for values, first in (({"client": "c", "key": "k"}, keyed), ({"unique": "u"}, unique)):
            [again] = await submit(committer, "3", **values)
            assert (again.created, again.id) == (False, first.id)


async def test_a_job_that_was_checked_out_before_a_submit_makes_room_for_it() -> None:
    async with committing(Tripping(), q=1) as (committer, _):
        [first] = await submit(committer, "1")
        committer.claim(Claim(seq=first.seq, attempt=1, started_at=NOW))
        [second] = await submit(committer, "2")
        assert second.created


async def test_a_refusal_of_a_commit_that_failed_is_judged_again() -> None:
    store = Tripping()
    async with committing(store, q=1) as (committer, _):
        store.full = "disk full"
        with pytest.raises(StoreUnavailable):
            await submit(committer, "1")
        store.trips = 1
        assert (await submit(committer, "1"))[0].created
        store.trips = 1
        with pytest.raises(QueueFull):
            await submit(committer, "2")
