"""The group committer: what shares a commit, when one starts, and in which order its answers come."""

import time

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from supervisor.core.job import Claim, State
from supervisor.errors import StokerError
from supervisor.store.committer import LINGER, Committer
from supervisor.store.port import Submitted
from tests.store.support import NOW, ending, new_job
from tests.store.tripping import Tripping, committing, until


def ignore(answers: list[Submitted]) -> None:
    pass


async def submit(committer: Committer, count: int = 1, **changes: object) -> list[Submitted]:
    return await committer.submit([new_job(**changes) for _ in range(count)], NOW, ignore)


def run(committer: Committer, job: Submitted, token: object = "token", get: str | None = None) -> None:
    """Hand over a whole attempt that went well."""
    committer.claim(Claim(seq=job.seq, attempt=1, started_at=NOW))
    committer.outcome(ending(job), token, get=get)


# -- what shares a commit ----------------------------------------------------------------------------------------------


async def test_whatever_comes_while_a_commit_is_under_way_is_the_next_one() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        store.hold()
        answers: list[list[Submitted]] = []

        async def one(number: int) -> None:
            answers.append(await submit(committer, name=str(number)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, 0)
            await store.held()
            for number in range(1, 100):
                nursery.start_soon(one, number)
            nursery.start_soon(committer.write, lambda store: store.pause("q", True))
            run(committer, job)
            await trio.testing.wait_all_tasks_blocked()
            assert store.tries == 2
            store.let_go()
        assert store.commits == 3
        assert store.verbs[-3:] == ["record 1 1", "submit 99", "commit"]
        assert len({answer.id for [answer] in answers}) == 100
        assert heard.oks == [True]


async def test_each_submit_of_a_shared_commit_has_its_own_answers_in_its_own_order() -> None:
    store = Tripping()
    async with committing(store) as (committer, _):
        store.hold()
        jobs = {count: [new_job(name=f"{count}") for _ in range(count)] for count in range(1, 8)}
        answers: dict[int, list[Submitted]] = {}

        async def some(count: int) -> None:
            answers[count] = await committer.submit(jobs[count], NOW, ignore)

        async with trio.open_nursery() as nursery:
            for count in jobs:
                nursery.start_soon(some, count)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        assert store.commits <= 2
        for count, answered in answers.items():
            assert [one.id for one in answered] == [job.id for job in jobs[count]]


async def test_jobs_are_numbered_in_the_order_in_which_they_were_handed_over() -> None:
    store = Tripping()
    async with committing(store) as (committer, _):
        store.hold()
        order: list[str] = []
        seqs: dict[str, int] = {}

        async def one() -> None:
            job = new_job()
            order.append(job.id)
            [answer] = await committer.submit([job], NOW, ignore)
            seqs[job.id] = answer.seq

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        assert sorted(order, key=seqs.__getitem__) == order


# -- when one starts ---------------------------------------------------------------------------------------------------


async def test_an_outcome_nobody_waits_for_lingers_and_no_longer(mock_clock: trio.testing.MockClock) -> None:
    assert LINGER <= 0.010
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        tries = store.tries
        run(committer, job)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(LINGER * 0.9)
        await trio.testing.wait_all_tasks_blocked()
        assert store.tries == tries
        mock_clock.jump(LINGER * 0.2)
        await until(lambda: heard.tokens)
        assert (heard.tokens, heard.oks) == (["token"], [True])


async def test_an_outcomes_commit_starts_within_10_ms_when_nothing_else_commits() -> None:
    store = Tripping()
    delays: list[float] = []
    async with committing(store) as (committer, heard):
        for number in range(10):
            [job] = await submit(committer)
            before = time.monotonic()
            run(committer, job, number)
            await until(lambda number=number: number in heard.tokens)
            delays.append(store.recorded_at[-1] - before)
    assert min(delays) < 0.010  # the best of ten: a busy machine may delay any of them


async def test_an_outcome_somebody_waits_for_does_not_linger(mock_clock: trio.testing.MockClock) -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        run(committer, job, get=job.id)
        await until(lambda: heard.found)  # the clock stands still
        found = heard.found[job.id]
        assert found is not None
        assert found.state is State.DONE


async def test_claims_and_outcomes_ride_with_the_next_thing_that_goes(mock_clock: trio.testing.MockClock) -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        jobs = await submit(committer, 2)
        for job in jobs:
            run(committer, job, job.id)
        before = store.commits
        await submit(committer)
        assert store.commits == before + 1
        assert store.verbs[-3:] == ["record 2 2", "submit 1", "commit"]
        assert heard.tokens == [job.id for job in jobs]


async def test_a_claim_that_comes_first_does_not_linger_and_is_answered_once_it_is_on_disk(
    mock_clock: trio.testing.MockClock,
) -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        jobs = await submit(committer, 3)
        store.hold()
        answers: list[tuple[int, bool]] = []
        for job in (*jobs, jobs[0]):
            claim = Claim(seq=job.seq, attempt=1, started_at=NOW)
            committer.claim_first(claim, lambda ok, seq=job.seq: answers.append((seq, ok)), never)
        await store.held()
        assert answers == []
        store.let_go()
        await until(lambda: len(answers) == 4)  # the clock stands still
        # The one claimed already is refused by the fence.
        assert answers == [*((job.seq, True) for job in jobs), (jobs[0].seq, False)]
        assert heard.tokens == []


def never() -> None:
    raise AssertionError("the claim is on disk")


async def test_a_read_alone_costs_no_commit() -> None:
    store = Tripping()
    async with committing(store) as (committer, _):
        for _ in range(5):
            await committer.settle()
        assert store.tries == 0


# -- in which order its answers come -----------------------------------------------------------------------------------


async def test_answers_come_in_the_order_of_the_batch() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        store.hold()
        words = heard.words

        async def read() -> None:
            await committer.read(lambda store: words.append("read on the thread"))
            words.append("read")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit, committer)
            await store.held()
            committer.read_soon(lambda store: None, lambda _: words.append("read soon"), lambda: None)
            nursery.start_soon(read)
            nursery.start_soon(committer.write, lambda store: None, lambda _: words.append("written"))
            nursery.start_soon(committer.submit, [new_job()], NOW, lambda answers: words.append("submitted"))
            await trio.testing.wait_all_tasks_blocked()
            run(committer, job, get=job.id)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        assert words == ["read on the thread", "submitted", "recorded", "written", "found", "read soon", "read"]


async def test_a_read_sees_everything_that_was_handed_over_before_it() -> None:
    store = Tripping()
    async with committing(store) as (committer, _):
        [job] = await submit(committer)
        committer.claim(Claim(seq=job.seq, attempt=1, started_at=NOW))
        [running] = await committer.read(lambda store: store.get([job.id]))
        assert running.state is State.RUNNING
        committer.outcome(ending(job), "token")
        [done] = await committer.read(lambda store: store.get([job.id]))
        assert done.state is State.DONE


async def test_a_submit_whose_caller_has_gone_is_carried_out_and_fed() -> None:
    store = Tripping()
    async with committing(store) as (committer, _):
        fed: list[Submitted] = []
        with trio.CancelScope() as gone:
            gone.cancel()
            await committer.submit([new_job()], NOW, fed.extend)
        await until(lambda: fed)
        assert store.inner.get([fed[0].id])[0].state is State.PENDING


async def test_close_flushes_what_rides() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        run(committer, job)
    assert heard.oks == [True]
    assert store.inner.get([job.id])[0].state is State.DONE


# -- one call's failure is not another's -------------------------------------------------------------------------------


async def test_a_call_that_fails_fails_alone() -> None:
    store = Tripping()
    store.bug = lambda job: StokerError("no such thing") if job.name == "bad" else None
    async with committing(store) as (committer, heard):
        [earlier] = await submit(committer)
        store.hold()
        answered: list[str] = []

        async def good() -> None:
            await submit(committer)
            answered.append("good")

        async def bad() -> None:
            with pytest.raises(StokerError, match="no such thing"):
                await submit(committer, name="bad")
            answered.append("bad")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit, committer)
            await store.held()
            for call in (good, bad, good, bad, good):
                nursery.start_soon(call)
            run(committer, earlier)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        assert sorted(answered) == ["bad", "bad", "good", "good", "good"]
        assert heard.oks == [True]
        assert heard.failing == []


async def test_a_write_and_a_read_that_fail_say_so_to_their_callers_alone() -> None:
    def fail(store: object) -> None:
        raise StokerError("it would not")

    async with committing(Tripping()) as (committer, heard):
        for verb in (committer.write, committer.read):
            with pytest.raises(StokerError, match="it would not"):
                await verb(fail)
        failed: list[str] = []
        with capture_logs() as logs:
            committer.read_soon(fail, lambda _: failed.append("done"), lambda: failed.append("failed"))
            await until(lambda: failed)
        assert failed == ["failed"]
        assert [(line["event"], line["reason"]) for line in logs] == [("store_read_failed", "it would not")]
        assert (await submit(committer))[0].created
        assert heard.failing == []


async def test_a_bug_on_the_stores_thread_ends_the_daemon_instead_of_hanging_it() -> None:
    store = Tripping()
    store.unreadable = ZeroDivisionError("a bug")
    committer = Committer(store)
    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError, match="a bug")):
        async with trio.open_nursery() as nursery:
            await nursery.start(committer.run)
            committer.tell(["an id"])
