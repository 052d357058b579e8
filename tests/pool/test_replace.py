"""A job that a submit has replaced never begins, whatever is in which cache at that moment; one that was not, does."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, cast

import pytest
import trio
import trio.testing

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import Cause, Job, OnConflict, State
from supervisor.errors import Conflict, StoreUnavailable
from supervisor.pool import feeder
from supervisor.store.port import Store
from supervisor.store.sqlite import open_sqlite
from tests.pool.marked import begun, hold_workers, marked, marked_pool
from tests.pool.rig import Rig, rig
from tests.store.tripping import Tripping
from tests.workers import Gate

REPLACE, REJECT = OnConflict.REPLACE, OnConflict.REJECT
AT_ONCE = QueueConfig(name="q", max_attempts=3, backoff=Backoff(base=0.0, cap=0.0))


async def replace(daemon: Rig, payload: object = None, unique: str = "u", **options: object) -> str:
    [job_id] = await daemon.submit(payload, unique=unique, on_conflict=REPLACE, **options)
    return job_id


def was_replaced(job: Job) -> bool:
    return job.state is State.CANCELLED and job.error is not None and job.error.cause is Cause.REPLACED


class House(NamedTuple):
    daemon: Rig
    store: Tripping
    folder: Path


@asynccontextmanager
async def house(folder: Path, queue: QueueConfig = AT_ONCE, **changes: object) -> AsyncIterator[House]:
    """Its store's commits can be held up."""
    store = Tripping(open_sqlite(folder / "stoker.db"))
    pools = [marked_pool(folder, **changes)]
    async with rig(folder=folder, pools=pools, queue=queue, store=cast("Store", store)) as daemon:
        try:
            yield House(daemon, store, folder)
        finally:
            store.let_go()


async def test_a_replaced_job_that_was_read_ahead_never_begins(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        [before, old, after] = [
            *(await daemon.submit(1)),
            *(await daemon.submit(2, unique="u")),
            *(await daemon.submit(3)),
        ]
        new = await replace(daemon)
        assert [row.id for row in daemon.feeder.lines["q"].ahead] == [before, after, new]
        await held.release()
        jobs = await daemon.ends(before, old, after, new)
        assert [job.state for job in jobs] == [State.DONE, State.CANCELLED, State.DONE, State.DONE]
        assert begun(tmp_path)[1:] == [before, after, new]


async def test_who_waits_for_a_replaced_job_hears_that_it_was_cancelled(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path):
        [old] = await daemon.submit(1, unique="u")
        ended: list[Job] = []

        async def wait() -> None:
            ended.extend(await daemon.ends(old))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            await replace(daemon)
        assert was_replaced(ended[0])
        assert not daemon.feeder.replacing


async def test_while_a_replacement_is_on_its_way_to_the_disk_no_worker_gets_the_old_job(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, store, _), hold_workers(daemon, tmp_path) as held:
        [old] = await daemon.submit(1, unique="u")
        [other] = await daemon.submit(2)
        async with trio.open_nursery() as nursery:
            store.hold()
            nursery.start_soon(replace, daemon)
            await store.held()
            held.open()
            await daemon.until(lambda: other in begun(tmp_path))
            await daemon.until(lambda: daemon.pools[0].idle)
            store.let_go()
        [job] = await daemon.ends(old)
        assert was_replaced(job)
        assert old not in begun(tmp_path)


async def test_a_job_that_is_replaced_before_its_own_submit_was_answered_never_begins(tmp_path: Path) -> None:
    """A worker is idle all the time, and has the second one."""
    async with house(tmp_path) as (daemon, store, _):
        ids: list[str] = []

        async def submit(policy: OnConflict) -> None:
            ids.extend(await daemon.submit(None, unique="u", on_conflict=policy))

        async with trio.open_nursery() as nursery:
            store.hold()
            nursery.start_soon(submit, OnConflict.EXISTING)
            await store.held()
            nursery.start_soon(submit, REPLACE)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        old, new = await daemon.ends(*sorted(ids))
        assert was_replaced(old)
        assert new.state is State.DONE
        assert begun(tmp_path) == [new.id]


async def test_two_that_replace_the_same_job_in_one_commit_leave_the_second(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, store, _), hold_workers(daemon, tmp_path) as held:
        [old] = await daemon.submit(1, unique="u")
        ids: list[str] = []

        async def submit() -> None:
            ids.append(await replace(daemon))

        async with trio.open_nursery() as nursery:
            store.hold()
            nursery.start_soon(daemon.submit, 2)
            await store.held()
            nursery.start_soon(submit)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(submit)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        await held.release()
        first, second, third = await daemon.ends(old, *sorted(ids))
        assert (was_replaced(first), was_replaced(second), third.state) == (True, True, State.DONE)
        assert {first.id, second.id}.isdisjoint(begun(tmp_path))


async def test_a_job_whose_failed_attempt_reaches_the_disk_with_its_replacement_does_not_begin_again(
    tmp_path: Path,
) -> None:
    """The feeder hears of the replacement first, and then that the attempt is over and the job due at once."""
    async with house(tmp_path, size=2) as (daemon, store, folder):
        with Gate(folder, "one") as gate:
            [old] = await daemon.submit({"fails": 1, "gate": gate.path}, unique="u")
            await daemon.until(lambda: old in begun(folder))
            async with trio.open_nursery() as nursery:
                store.hold()
                nursery.start_soon(daemon.submit, None)
                await store.held()
                gate.open()
                await daemon.until(lambda: daemon.feeder.running[old].outcome is not None)
                nursery.start_soon(replace, daemon)
                await trio.testing.wait_all_tasks_blocked()
                store.let_go()
            [job] = await daemon.ends(old)
        assert was_replaced(job)
        assert (job.attempt, len(job.attempts)) == (1, 1)
        await daemon.run(None)
        assert begun(folder).count(old) == 1


async def test_a_job_that_runs_is_not_replaced_and_ends_as_it_would_have(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        with Gate(tmp_path) as gate:
            [old] = await daemon.submit({"gate": gate.path}, unique="u")
            for policy in (REPLACE, REJECT):
                with pytest.raises(Conflict) as refused:
                    await daemon.submit(None, unique="u", on_conflict=policy)
                assert refused.value.data["holder"] == old
            assert not daemon.feeder.replacing
            gate.open()
            assert (await daemon.ends(old))[0].attempt == 1


async def test_a_claim_that_comes_before_its_job_is_in_the_way_of_a_replacement(tmp_path: Path) -> None:
    once = QueueConfig(name="q", max_attempts=1, on_daemon_crash="fail")
    async with house(tmp_path, once) as (daemon, store, _):
        daemon.feeder.pause("q", True)
        [old] = await daemon.submit(None, unique="u")
        store.hold()
        daemon.feeder.pause("q", False)
        await store.held()  # the claim's commit
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_refused, daemon)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        assert (await daemon.ends(old))[0].state is State.DONE
        assert begun(tmp_path) == [old]


async def _refused(daemon: Rig) -> None:
    with pytest.raises(Conflict):
        await replace(daemon)


@pytest.mark.parametrize("why", ["the store failed", "its key answered"])
async def test_a_job_that_was_not_replaced_after_all_is_given_out_again(
    tmp_path: Path, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house(tmp_path) as (daemon, store, _), hold_workers(daemon, tmp_path) as held:
        monkeypatch.setattr(daemon.feeder, "tick", lambda now: None)  # it is not found by chance
        [keyed] = await daemon.submit(1, client="c", key="k")
        [old] = await daemon.submit(2, unique="u")
        if why == "the store failed":
            store.bug = lambda job: StoreUnavailable("no") if job.on_conflict is REPLACE else None
            with pytest.raises(StoreUnavailable):
                await replace(daemon)
        else:
            await replace(daemon, client="c", key="k")
        assert not daemon.feeder.replacing
        await daemon.until(lambda: [row.id for row in daemon.feeder.lines["q"].ahead] == [keyed, old])
        await held.release()
        assert [job.state for job in await daemon.ends(old, keyed)] == [State.DONE, State.DONE]


async def test_what_is_read_from_the_store_meanwhile_does_not_bring_the_old_job_back(tmp_path: Path) -> None:
    async with house(tmp_path) as (daemon, store, _), hold_workers(daemon, tmp_path) as held:
        [old] = await daemon.submit(1, unique="u")
        async with trio.open_nursery() as nursery:
            store.hold()
            nursery.start_soon(daemon.submit, 2)
            await store.held()
            daemon.feeder.reread(["q"])  # before the replacement's commit, and so with the old job
            nursery.start_soon(replace, daemon)
            await trio.testing.wait_all_tasks_blocked()
            store.let_go()
        await held.release()
        assert was_replaced((await daemon.ends(old))[0])
        assert old not in begun(tmp_path)


async def test_a_value_is_a_matter_of_its_own_queue(tmp_path: Path) -> None:
    async with marked(tmp_path, queues=("q", "r")) as daemon, hold_workers(daemon, tmp_path) as held:
        [elsewhere] = await daemon.submit(1, unique="u", queue="r")
        [plain] = await daemon.submit(1)
        new = await replace(daemon)
        await held.release()
        assert {job.state for job in await daemon.ends(elsewhere, plain, new)} == {State.DONE}


@pytest.mark.parametrize("seed", range(4))
async def test_in_a_storm_of_replacements_no_replaced_job_begins_and_the_last_of_each_value_is_done(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(feeder.Lookahead.__init__, "__defaults__", (6, 1 << 20))  # reads from the store are frequent
    ids: list[str] = []
    last: dict[str, str] = {}

    async def client(daemon: Rig) -> None:
        for number in range(60):
            unique = chance.choice("abcdef")
            delay = chance.choice([0, 0, 0, 3000])
            try:
                job_id = await replace(daemon, {"fails": chance.choice([0, 0, 1])}, unique, run_at=daemon.now() + delay)
            except Conflict:
                continue
            ids.append(job_id)
            if number % 7 == 0:
                ids.extend(await daemon.submit(None, None))
            await trio.lowlevel.checkpoint()

    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path, size=2)], queue=AT_ONCE) as daemon:
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(client, daemon)
        for unique in "abcdef":
            with trio.fail_after(20):
                while unique not in last:
                    try:
                        last[unique] = await replace(daemon, None, unique)
                    except Conflict as busy:
                        await daemon.ends(str(busy.data["holder"]))
        jobs = await daemon.ends(*ids, *last.values())
        assert not daemon.feeder.replacing
    received = begun(tmp_path)
    for job in jobs:
        assert received.count(job.id) == job.attempt
        assert job.state is State.DONE or was_replaced(job)
        assert not was_replaced(job) or job.attempt == len(job.attempts)  # no attempt was cut short
    assert {job.state for job in jobs if job.id in last.values()} == {State.DONE}
    assert sum(was_replaced(job) for job in jobs) > 10
