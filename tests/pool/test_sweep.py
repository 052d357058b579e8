"""What is done to all jobs that match a filter: exact while workers run, and in nobody's way."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from supervisor.config.model import QueueConfig
from supervisor.control import sweeping
from supervisor.core.job import Cause, Job, State
from supervisor.core.sweep import Act, Swept
from supervisor.errors import NotFound, StoreUnavailable, UnknownQueue
from supervisor.store.port import Filter, Found, Store
from supervisor.store.sqlite import open_sqlite
from tests.pool.marked import AHEAD, begun, hold_workers, marked, marked_pool, together
from tests.pool.rig import Rig, pool_config, rig
from tests.pool.test_table import alive
from tests.store.tripping import Tripping
from tests.workers import Gate, command

PENDING = Filter(queue="q", states=(State.PENDING,))
FAILED = Filter(queue="q", states=(State.FAILED,))


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "BATCH", 7)
    monkeypatch.setattr(sweeping, "COUNTED", 5)


async def states(daemon: Rig, ids: Sequence[str]) -> list[State | None]:
    return await daemon.committer.read(lambda store: store.states(ids))


# -- dead letters ------------------------------------------------------------------------------------------------------


async def test_dead_letters_are_retried_by_their_cause(tmp_path: Path) -> None:
    async with rig(command("error"), folder=tmp_path) as daemon:
        ids = await daemon.submit(*[{"message": "no"}] * 20)
        [fine] = await daemon.submit(None)
        await daemon.ends(*ids, fine)
        want = Filter(queue="q", states=(State.FAILED,), cause=Cause.ERROR)
        assert await daemon.service.sweep(Act.RETRY, want, dry_run=True) == Swept(matched=20)
        none = Filter(queue="q", states=(State.FAILED,), cause=Cause.TIMEOUT)
        assert await daemon.service.sweep(Act.RETRY, none, dry_run=False) == Swept()
        assert [job.attempt for job in await daemon.ends(*ids)] == [1] * 20
        assert await daemon.service.sweep(Act.RETRY, want, dry_run=False) == Swept(matched=20, changed=20)
        await daemon.until(lambda: daemon.pools[0].jobs_done == 41)
        again = await daemon.ends(*ids, fine)
        assert [(job.state, job.attempt) for job in again] == [(State.FAILED, 2)] * 20 + [(State.DONE, 1)]


async def test_a_retry_whose_unique_value_is_held_is_skipped_and_counted(tmp_path: Path) -> None:
    async with rig(command("error"), folder=tmp_path) as daemon:
        ids = [job.id for _ in range(3) for job in [await daemon.run({"message": "no"}, unique="u")]]
        ids.append((await daemon.run({"message": "no"}, unique="v")).id)
        daemon.service.stop_feeding()
        swept = await daemon.service.sweep(Act.RETRY, FAILED, dry_run=False)
        assert swept == Swept(matched=4, changed=2, skipped=2)
        assert await states(daemon, ids) == [State.FAILED, State.FAILED, State.PENDING, State.PENDING]


async def test_dead_letters_are_deleted_and_what_waits_is_not(tmp_path: Path) -> None:
    async with rig(command("error"), folder=tmp_path) as daemon:
        failed = [(await daemon.run({"message": "no"}, name="cover")).id for _ in range(9)]
        daemon.service.stop_feeding()
        [waiting] = await daemon.submit({"message": "no"}, name="cover")
        want = Filter(name="cover", states=(State.FAILED, State.DONE))
        assert await daemon.service.sweep(Act.DELETE, want, dry_run=False) == Swept(matched=9, changed=9)
        assert await states(daemon, [*failed, waiting]) == [None] * 9 + [State.PENDING]


# -- cancel ------------------------------------------------------------------------------------------------------------


async def test_running_jobs_that_match_are_gone_with_their_trees_when_it_is_answered(tmp_path: Path) -> None:
    files = [tmp_path / f"grandchild {n}" for n in range(3)]
    async with rig(command("forks_grandchild"), folder=tmp_path, size=3) as daemon:
        hanging = [{"pid_file": str(file), "then": "hang", "deaf": True} for file in files]
        mine = await daemon.submit(*hanging[:2], tags=("x",))
        [other] = await daemon.submit(hanging[2])
        await daemon.until(lambda: all(file.exists() for file in files))
        waiting = await daemon.submit(*[None] * 20, tags=("x",))
        want = Filter(tag="x", states=(State.PENDING, State.RUNNING))
        assert await daemon.service.sweep(Act.CANCEL, want, dry_run=False) == Swept(matched=22, changed=22)
        assert await states(daemon, [*mine, *waiting]) == [State.CANCELLED] * 22
        assert [alive(int(file.read_text())) for file in files] == [False, False, True]
        assert (await states(daemon, [other])) == [State.RUNNING]


async def test_all_running_jobs_are_ended_at_once_and_not_one_after_the_other(tmp_path: Path) -> None:
    async with rig(command("ignores_term"), folder=tmp_path, size=4, kill_grace=1.5) as daemon:
        ids = await daemon.submit(*[1] * 4)
        await daemon.until(lambda: len(daemon.feeder.running) == 4)
        want = Filter(queue="q", states=(State.PENDING, State.RUNNING))
        begin = trio.current_time()
        assert await daemon.service.sweep(Act.CANCEL, want, dry_run=False) == Swept(matched=4, changed=4)
        assert trio.current_time() - begin < 4
        assert await states(daemon, ids) == [State.CANCELLED] * 4


async def test_a_job_that_is_retried_while_others_are_still_being_ended_is_not_cancelled_again(tmp_path: Path) -> None:
    deaf = pool_config(command("ignores_term"), tmp_path, name="deaf", queues=("r",), kill_grace=1.0)
    quick = pool_config(command("never_answers"), tmp_path, name="quick", queues=("q",))
    async with rig(folder=tmp_path, pools=[quick, deaf]) as daemon:
        await daemon.run(None, queue="r")  # by now it is deaf
        [mine] = await daemon.submit(1, tags=("x",))
        await daemon.submit(1, queue="r", tags=("x",))
        await daemon.until(lambda: len(daemon.feeder.running) == 2)
        swept: list[Swept] = []

        async def sweep() -> None:
            want = Filter(tag="x", states=(State.PENDING, State.RUNNING))
            swept.append(await daemon.service.sweep(Act.CANCEL, want, dry_run=False))

        async def retry() -> None:
            await daemon.ends(mine)
            await daemon.service.retry(mine)
            assert not swept

        await together(sweep, retry)
        assert swept == [Swept(matched=2, changed=2)]
        assert mine in daemon.feeder.running
        assert (await daemon.service.get(mine)).attempt == 2


async def test_running_jobs_are_left_where_only_pending_ones_are_meant(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path) as held:
        waiting = await daemon.submit(*[None] * 10)
        assert await daemon.service.sweep(Act.CANCEL, PENDING, dry_run=False) == Swept(matched=10, changed=10)
        assert await states(daemon, [*held.jobs, *waiting]) == [State.RUNNING] + [State.CANCELLED] * 10
        await held.release()
        assert await states(daemon, held.jobs) == [State.DONE]


async def test_a_job_that_was_retried_between_being_found_and_being_looked_at_again_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits now, matches no more, and is read back for its retry while the sweep still holds it."""
    want = Filter(queue="q", states=(State.PENDING, State.FAILED), cause=Cause.ERROR)
    really_find = sweeping.Sweeper._find
    async with rig(command("error"), folder=tmp_path) as daemon:
        failed = await daemon.run({"message": "no"})

        async def find(sweeper: sweeping.Sweeper, *args: Any) -> Found:
            found = await really_find(sweeper, *args)
            await daemon.service.retry(failed.id)
            time.sleep(0.02)  # noqa: ASYNC251  # the loop stands still: the job is read for its retry, and will be delivered to the hold
            return found

        monkeypatch.setattr(sweeping.Sweeper, "_find", find)
        daemon.service.stop_feeding()  # the retry must not have ended by then
        for _ in range(5):
            assert await daemon.service.sweep(Act.DELETE, want, dry_run=False) == Swept()
            daemon.feeder.stopped = False
            daemon.feeder.wake(daemon.feeder.lines["q"])
            await daemon.ends(failed.id)
            daemon.service.stop_feeding()


async def test_who_waits_for_a_job_hears_that_it_was_cancelled_or_deleted(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon, hold_workers(daemon, tmp_path):
        [cancelled] = await daemon.submit(None, tags=("c",))
        [deleted] = await daemon.submit(None, tags=("d",))
        told: list[Job] = []

        async def wait_for_the_cancelled() -> None:
            told.extend(await daemon.ends(cancelled))

        async def wait_for_the_deleted() -> None:
            with pytest.raises(NotFound):
                await daemon.ends(deleted)

        async def sweep() -> None:
            await daemon.until(lambda: {cancelled, deleted} <= daemon.feeder.waiters._told.keys())
            for act, tag in ((Act.CANCEL, "c"), (Act.DELETE, "d")):
                await daemon.service.sweep(act, Filter(tag=tag, states=(State.PENDING,)), dry_run=False)

        await together(wait_for_the_cancelled, wait_for_the_deleted, sweep)
        assert [job.state for job in told] == [State.CANCELLED]


# -- no child receives what is on its way out --------------------------------------------------------------------------


@pytest.mark.parametrize("act", [Act.CANCEL, Act.DELETE])
@pytest.mark.parametrize("whole", [False, True], ids=["by a tag", "a whole queue"])
async def test_a_job_is_swept_or_runs_and_never_both(tmp_path: Path, act: Act, whole: bool) -> None:
    """While the workers take from the same queue all the time."""
    async with marked(tmp_path, size=2) as daemon:
        swept = Swept()
        mine: list[str] = []
        others: list[str] = []
        want = PENDING if whole else Filter(tag="x", states=(State.PENDING,))
        for _ in range(6):
            mine += await daemon.submit(*[None] * 60, tags=("x",))
            others += [] if whole else await daemon.submit(*[None] * 60)
            mine += await daemon.submit(*[None] * 400, tags=("x",))  # more than are done before the sweep begins
            one = await daemon.service.sweep(act, want, dry_run=False)
            assert one.matched == one.changed
            swept.changed += one.changed
        await daemon.until(lambda: not daemon.feeder.running and not daemon.service._feeder.lines["q"].ahead)
        await daemon.ends(*others, *await daemon.submit(None))
        ran = begun(tmp_path)
        assert len(set(ran)) == len(ran)
        assert set(others) <= set(ran)
        gone = State.CANCELLED if act is Act.CANCEL else None
        for job_id, state in zip(mine, await states(daemon, mine), strict=True):
            assert (job_id in ran) == (state is State.DONE)
            assert state in (State.DONE, gone)
        assert swept.changed == len(mine) - len(set(ran) & set(mine)) > 0
        assert not daemon.feeder.held


async def test_nothing_of_a_queue_begins_while_it_is_purged_and_what_comes_after_runs(tmp_path: Path) -> None:
    pools = [marked_pool(tmp_path, queues=("q", "r"))]
    async with marked(tmp_path, *pools) as daemon, hold_workers(daemon, tmp_path) as held:
        ids = await daemon.submit(*[None] * AHEAD)
        await daemon.submit(*[None] * AHEAD, run_at=daemon.now() + 3600 * 1_000_000)
        async with trio.open_nursery() as nursery:

            async def purge() -> None:
                assert (await daemon.service.sweep(Act.DELETE, PENDING, dry_run=False)).changed == 2 * AHEAD

            nursery.start_soon(purge)
            await daemon.until(lambda: daemon.feeder.lines["q"].swept_by)
            held.open()
            other = await daemon.submit(None, queue="r")
            await daemon.ends(*held.jobs, *other)  # a queue beside it is served
            late = await daemon.submit(None)
        await daemon.ends(*late)
        assert begun(tmp_path) == [*held.jobs, *other, *late]
        assert await states(daemon, ids) == [None] * AHEAD


async def test_a_purge_leaves_running_and_final_jobs_unless_they_are_said(tmp_path: Path) -> None:
    async with marked(tmp_path) as daemon:
        [done] = await daemon.submit(None)
        await daemon.ends(done)
        async with hold_workers(daemon, tmp_path) as held:
            await daemon.submit(*[None] * 5)
            assert (await daemon.service.sweep(Act.DELETE, PENDING, dry_run=False)).changed == 5
            assert await states(daemon, [done, *held.jobs]) == [State.DONE, State.RUNNING]
            await daemon.submit(*[None] * 5)
            both = Filter(queue="q", states=(State.PENDING, State.DONE))
            assert (await daemon.service.sweep(Act.DELETE, both, dry_run=False)).changed == 6
            assert await states(daemon, [done, *held.jobs]) == [None, State.RUNNING]


# -- in the middle -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("want", [PENDING, Filter(tag="x", states=(State.PENDING,))], ids=["queue", "tag"])
async def test_who_goes_away_in_the_middle_leaves_whole_batches_and_a_queue_that_is_served(
    tmp_path: Path, want: Filter
) -> None:
    async with marked(tmp_path) as daemon:
        async with hold_workers(daemon, tmp_path):
            ids = await daemon.submit(*[None] * 200, tags=("x",))
            with trio.CancelScope() as gone:
                really_find = daemon.service._sweeper._find

                async def find(*args):  # type: ignore[no-untyped-def]
                    found = await really_find(*args)
                    if found.ids and ids.index(found.ids[0]) < 100:
                        gone.cancel()
                        await trio.lowlevel.checkpoint()
                    return found

                daemon.service._sweeper._find = find
                await daemon.service.sweep(Act.DELETE, want, dry_run=False)
        assert gone.cancelled_caught
        left = [job_id for job_id, state in zip(ids, await states(daemon, ids), strict=True) if state is not None]
        assert left == ids[: len(left)]
        assert 90 < len(left) < 110
        assert [job.state for job in await daemon.ends(*left)] == [State.DONE] * len(left)


@pytest.mark.parametrize("want", [PENDING, Filter(tag="x", states=(State.PENDING,))], ids=["queue", "tag"])
async def test_where_the_disk_is_full_the_rest_stays_and_runs(tmp_path: Path, want: Filter) -> None:
    store = Tripping(open_sqlite(tmp_path / "stoker.db"))
    with Gate(tmp_path) as gate:
        async with rig(command("slow_boot", gate.path), folder=tmp_path, store=cast(Store, store)) as daemon:
            ids = await daemon.submit(*[None] * 50, tags=("x",))
            store.full = "the disk is full"
            with pytest.raises(StoreUnavailable, match="the disk is full"):
                await daemon.service.sweep(Act.DELETE, want, dry_run=False)
            store.full = None
            gate.open()
            assert {job.state for job in await daemon.ends(*ids)} == {State.DONE}
            assert not daemon.feeder.held


async def test_a_queue_without_configuration_is_swept_while_it_has_jobs(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path / "stoker.db")
    async with rig(command("echo"), folder=tmp_path, store=store, queue=QueueConfig(name="q")) as daemon:
        await daemon.submit(*[None] * 3, queue="of another day")
        want = Filter(queue="of another day", states=(State.PENDING,))
        assert (await daemon.service.sweep(Act.DELETE, want, dry_run=False)).changed == 3
        with pytest.raises(UnknownQueue, match='"of another day"'):
            await daemon.service.sweep(Act.DELETE, want, dry_run=False)
