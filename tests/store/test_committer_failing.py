"""While the store fails: what is refused, what is kept, and that everything goes on by itself."""

from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from supervisor.core.job import Claim, Job, State
from supervisor.errors import StokerError, StoreUnavailable
from supervisor.store import writer
from supervisor.store.committer import Committer
from supervisor.store.port import Store, Submitted
from supervisor.store.sqlite import open_sqlite
from tests.pool.marked import begun, hold_workers, marked_pool
from tests.pool.rig import Rig, rig
from tests.store.support import NOW
from tests.store.test_committer import run, submit
from tests.store.tripping import Heard, Tripping, committing, until

FULL = "cannot write to stoker.db: the disk is full"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again a bit sooner than every half second."""
    monkeypatch.setattr(writer, "RETRY_EVERY", 0.01)


def state(store: Tripping, job: Submitted) -> State:
    found: list[Job] = store.inner.get([job.id])
    return found[0].state


async def fails(store: Tripping, committer: Committer, heard: Heard) -> None:
    """The disk is full, and the committer has noticed."""
    store.full = FULL
    with pytest.raises(StoreUnavailable):
        await submit(committer)
    await until(lambda: heard.failing[-1:] == [FULL])


async def recovers(store: Tripping, heard: Heard) -> None:
    store.full = None
    await until(lambda: heard.failing[-1] is None)


async def test_submits_and_other_writes_are_refused_with_the_reason_and_reads_are_answered() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        await fails(store, committer, heard)
        assert committer.failing == FULL
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match="the disk is full"):
                await submit(committer)
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await committer.write(lambda store: store.pause("q", True))
        assert (await committer.read(lambda store: store.get([job.id])))[0] is not None
        await committer.settle()
        assert heard.failing == [FULL]
        await recovers(store, heard)
        assert (await submit(committer))[0].created
        assert heard.failing == [FULL, None]


async def test_it_recovers_without_anybody_asking_for_anything() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        await fails(store, committer, heard)
        await recovers(store, heard)
        assert committer.failing is None
        tries = store.tries
        await committer.settle()
        assert store.tries == tries  # and then it looks no more


async def test_each_try_writes_something_since_an_empty_commit_succeeds_on_a_full_disk_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, touches = Tripping(), list[int]()
    monkeypatch.setattr(store.inner, "touch", touches.append)
    async with committing(store) as (committer, heard):
        await fails(store, committer, heard)
        await until(lambda: len(touches) > 2)
        await recovers(store, heard)


async def test_a_commit_that_fails_once_is_nobodys_trouble() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        store.full, store.trips = FULL, 1
        run(committer, job)
        assert (await submit(committer))[0].created
        assert heard.oks == [True]
        assert heard.failing == []
        assert state(store, job) is State.DONE


async def test_outcomes_are_kept_and_land_in_their_order_when_the_store_recovers() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        jobs = await submit(committer, 3)
        await fails(store, committer, heard)
        for job in jobs:
            run(committer, job, job.id, get=job.id)
        await committer.settle()
        assert heard.tokens == []
        assert {state(store, job) for job in jobs} == {State.PENDING}
        await recovers(store, heard)
        await until(lambda: len(heard.found) == 3)
        assert heard.tokens == [job.id for job in jobs]
        assert heard.oks == [True] * 3
        assert {found.state for found in heard.found.values() if found} == {State.DONE}
        assert {state(store, job) for job in jobs} == {State.DONE}


async def test_an_outcome_the_store_cannot_take_is_kept_while_other_calls_are_refused() -> None:
    """A large result may not fit where a small submit would: outcomes come first all the same."""
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        store.full = FULL
        run(committer, job)
        await until(lambda: heard.failing)
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await submit(committer)
        await recovers(store, heard)
        assert state(store, job) is State.DONE


async def test_what_waiters_are_owed_is_read_again_when_it_could_not_be_read() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        store.unreadable = StoreUnavailable("the disk reported an error")
        run(committer, job, get=job.id)
        await until(lambda: heard.failing)
        assert heard.oks == [True]
        assert heard.found == {}
        store.unreadable = None
        await until(lambda: heard.found)
        await until(lambda: heard.failing[-1] is None)


async def test_a_claim_that_comes_first_and_cannot_be_written_is_given_up_and_never_written() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        jobs = await submit(committer, 2)
        store.full = FULL
        failed: list[int] = []
        for job in jobs:
            claim = Claim(seq=job.seq, attempt=1, started_at=NOW)
            committer.claim_first(claim, lambda ok: failed.append(-1), lambda seq=job.seq: failed.append(seq))
        await until(lambda: len(failed) == 2)
        assert failed == [job.seq for job in jobs]
        assert heard.failing == [FULL]
        await recovers(store, heard)
        assert {state(store, job) for job in jobs} == {State.PENDING}


async def test_a_claim_that_fails_with_its_batch_is_tried_alone() -> None:
    store = Tripping()
    store.bug = lambda job: StokerError("no such thing") if job.name == "bad" else None
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        store.hold()
        answers: list[bool] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(submit, committer)
            await store.held()
            committer.claim_first(Claim(seq=job.seq, attempt=1, started_at=NOW), answers.append, lambda: None)
            nursery.start_soon(refused, committer)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        assert answers == [True]
        assert heard.failing == []
        assert state(store, job) is State.RUNNING


async def refused(committer: Committer) -> None:
    with pytest.raises(StokerError, match="no such thing"):
        await submit(committer, name="bad")


async def test_a_close_that_comes_with_the_recovery_loses_nothing() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        await fails(store, committer, heard)
        run(committer, job)
        await committer.settle()
        store.full = None
    assert heard.oks == [True]
    assert state(store, job) is State.DONE


async def test_a_close_while_it_still_fails_comes_to_an_end() -> None:
    store = Tripping()
    async with committing(store) as (committer, heard):
        [job] = await submit(committer)
        await fails(store, committer, heard)
        run(committer, job)
    assert heard.oks == []
    assert state(store, job) is State.PENDING


async def store_fails(daemon: Rig, store: Tripping) -> None:
    store.full = FULL
    with pytest.raises(StoreUnavailable):
        await daemon.submit(None)
    await daemon.until(lambda: daemon.committer.failing)


async def test_nothing_new_begins_and_each_slot_holds_one_outcome_at_most(tmp_path: Path) -> None:
    store = Tripping(open_sqlite(tmp_path / "stoker.db"))
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path, size=3)], store=store) as daemon:
        async with hold_workers(daemon, tmp_path) as held:
            waiting = await daemon.submit(*range(50))
            await store_fails(daemon, store)
            held.open()
            await daemon.until(lambda: all(run.outcome for run in daemon.feeder.running.values()))
            await daemon.committer.settle()
            assert set(daemon.feeder.running) == set(held.jobs)
            assert (await daemon.service.status()).store.reason == FULL
            assert set(begun(tmp_path)) == set(held.jobs)
            assert (await daemon.service.get(held.jobs[0])).state is not State.DONE  # not before it is on disk
            store.full = None
            assert {job.state for job in await daemon.ends(*held.jobs, *waiting)} == {State.DONE}
        assert sorted(begun(tmp_path)) == sorted([*held.jobs, *waiting])
        assert (await daemon.service.status()).store.state == "ok"


async def test_a_running_job_that_is_cancelled_meanwhile_ends_when_the_store_recovers(tmp_path: Path) -> None:
    store = Tripping()
    async with (
        rig(folder=tmp_path, pools=[marked_pool(tmp_path)], store=store) as daemon,
        hold_workers(daemon, tmp_path) as held,
    ):
        [waiting] = await daemon.submit(None)
        await store_fails(daemon, store)
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await daemon.service.cancel(waiting)
        answers: list[Job] = []

        async def cancel() -> None:
            answers.append(await daemon.service.cancel(held.jobs[0]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(cancel)
            await daemon.until(lambda: daemon.feeder.running[held.jobs[0]].outcome)
            await daemon.committer.settle()
            assert answers == []
            store.full = None
        assert answers[0].state is State.CANCELLED
        assert (await daemon.ends(waiting))[0].state is State.DONE


async def test_a_pause_that_is_refused_leaves_a_paused_queue_paused(tmp_path: Path) -> None:
    store = Tripping()
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)], store=store) as daemon:
        await daemon.service.pause("q")
        await store_fails(daemon, store)
        with pytest.raises(StoreUnavailable):
            await daemon.service.pause("q")
        store.full = None
        await daemon.until(lambda: daemon.committer.failing is None)
        [job_id] = await daemon.submit(None)
        assert daemon.feeder.lines["q"].paused
        assert job_id not in daemon.feeder.running


async def test_jobs_become_due_and_expire_after_a_time_without_a_store(tmp_path: Path) -> None:
    store = Tripping()
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)], store=store) as daemon:
        run_at = daemon.now() + 60_000_000
        [later] = await daemon.submit(None, run_at=run_at)
        [mortal] = await daemon.submit(None, run_at=2 * run_at, expires_at=run_at)
        await store_fails(daemon, store)
        tries = store.tries
        daemon.skew = 61_000_000
        await daemon.until(lambda: store.tries > tries + 20)  # the clock has tried, and so has the probe
        assert begun(tmp_path) == []
        store.full = None
        jobs = await daemon.ends(later, mortal)
        assert [job.state for job in jobs] == [State.DONE, State.EXPIRED]


async def test_when_the_thread_dies_of_a_bug_nobody_waits_for_it_not_even_under_a_shield() -> None:
    class Mortal(Tripping):
        def tidy(self) -> None:
            raise RuntimeError("a bug in housekeeping")

    committer = Committer(cast(Store, Mortal()))
    refused: list[StoreUnavailable] = []

    async def write() -> None:
        with trio.move_on_after(5, shield=True):
            while not refused:
                try:
                    await committer.write(lambda store: store.pause("q", True))
                except StoreUnavailable as error:
                    refused.append(error)

    async def live() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(committer.run)
            nursery.start_soon(write)

    with pytest.raises(ExceptionGroup) as died:
        await live()
    assert died.group_contains(RuntimeError, match="a bug in housekeeping")
    assert refused
