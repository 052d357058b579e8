"""A batch that is cancelled: what runs is stopped, what waits is marked, what is done stays."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from supervisor.batch.spool import Spool
from supervisor.batch.turns import AT_ONCE
from supervisor.batch.words import BatchState
from supervisor.errors import Conflict, NotFound
from supervisor.store.port import Store
from tests.batch.household import Household, household, numbered


async def first_done(house: Household, batch: str) -> None:
    await house.rig.until(lambda: house.batches.get(batch).counts.completed >= 1)


async def test_running_jobs_are_stopped_and_every_other_line_is_marked(
    tmp_path: Path, reopened: Callable[[], Store]
) -> None:
    async with household(tmp_path, store=reopened()) as house:
        batch = await house.submit({"n": 1}, {"do": "sleep", "custom_id": "s"}, *numbered(3000), "{oops")
        await first_done(house, batch)
        await house.rig.until(lambda: house.rig.feeder.running)
        status = await house.batches.cancel(batch)
        assert status.state is BatchState.CANCELLED
        assert status.cancel_requested
        output, errors = house.records(batch)
        assert [one["line"] for one in output] == [1]
        assert [one["line"] for one in errors] == [*range(2, 3004)]
        assert errors[0]["custom_id"] == "s"
        assert (status.counts.total, status.counts.completed) == (3003, 1)
        assert (status.counts.cancelled, status.counts.failed) == (3001, 1)
        assert await house.end(batch) == status
        assert await house.jobs() == 0
        assert not house.rig.feeder.running


async def test_to_cancel_twice_is_to_cancel_once(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        batch = await house.submit({"do": "sleep"}, *numbered(50))
        await house.rig.until(lambda: house.rig.feeder.running)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(house.batches.cancel, batch)
        status = house.batches.get(batch)
        assert status.counts.cancelled == 51
        assert await house.batches.cancel(batch) == status


async def test_one_that_has_ended_stays_as_it_is(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        batch = await house.submit(1)
        status = await house.end(batch)
        assert await house.batches.cancel(batch) == status


async def test_one_that_waits_for_its_turn_is_cancelled_at_once(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        await house.rig.service.pause("q")
        batches = [await house.submit(n) for n in range(9)]
        assert house.batches.get(batches[8]).state is BatchState.PENDING
        assert "8 batches of queue q" in (house.batches.get(batches[8]).waiting or "")
        assert (await house.batches.cancel(batches[8])).counts.cancelled == 1
        await house.rig.service.resume("q")
        for batch in batches[:8]:
            await house.end(batch)


async def test_a_cancel_that_the_daemons_end_cut_off_is_carried_through_by_the_next_start(
    tmp_path: Path, reopened: Callable[[], Store]
) -> None:
    answer, left = Spool.answer, [3]

    def ending(spool: Spool, *what: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("the end")
        answer(spool, *what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Spool, "answer", ending)
        async with household(tmp_path, store=reopened()) as house:
            batch = await house.submit({"do": "sleep"}, *numbered(2000))
            await house.rig.until(lambda: house.rig.feeder.running)
            with pytest.raises(Conflict):
                await house.batches.cancel(batch)
    async with household(tmp_path, store=reopened()) as house:
        status = await house.end(batch)
        assert status.state is BatchState.CANCELLED
        assert status.counts.cancelled == 2001
        assert len(house.records(batch)[1]) == 2001
        assert await house.jobs() == 0


async def test_a_job_that_somebody_cancels_or_deletes_by_hand_has_its_record(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        batch = await house.submit({"do": "sleep"}, 2, 3)
        await house.rig.until(lambda: house.rig.feeder.running)
        ids = {sent.number: job for job, sent in house.batches._runners[batch]._tracking.sent.items()}
        await house.rig.service.cancel(ids[2])
        await house.rig.service.delete(ids[3])
        await house.rig.service.cancel(ids[1])
        status = await house.end(batch)
        assert [one["error"]["cause"] for one in house.records(batch)[1]] == ["cancelled", "cancelled", "deleted"]
        assert status.state is BatchState.FAILED


async def test_only_what_has_ended_is_deleted_and_then_nobody_finds_it(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        batch = await house.submit({"do": "sleep"})
        with pytest.raises(Conflict):
            await house.batches.delete(batch)
        await house.batches.cancel(batch)
        growing = house.batches.output(batch, "errors")
        await house.batches.delete(batch)
        assert [*house.root.iterdir()] == []
        with pytest.raises(NotFound):
            house.batches.get(batch)
        with pytest.raises(NotFound):
            await house.batches.delete(batch)
        with pytest.raises(NotFound):
            await growing.more(0)
        for odd in ("../..", "", "x" * 36, batch.upper()):
            with pytest.raises(NotFound):
                house.batches.get(odd)


async def test_one_whose_folder_somebody_has_removed_ends_and_leaves_no_jobs(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        batch = await house.submit({"n": 1}, {"do": "sleep"}, {"n": 2})
        await house.rig.until(lambda: house.batches.get(batch).counts.completed > 0)
        house.batches.folder(batch).rename(tmp_path / "elsewhere")
        with pytest.raises(Conflict, match="removed"):
            await house.batches.cancel(batch)
        await house.rig.until(lambda: batch not in house.batches._runners)
        with pytest.raises(NotFound):
            house.batches.get(batch)
        assert await house.jobs() == 0


async def test_without_their_folders_none_keeps_others_from_their_turn(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        await house.rig.service.pause("q")
        batches = [await house.submit(*numbered(3)) for _ in range(2 * AT_ONCE)]
        for batch in batches:
            shutil.rmtree(house.batches.folder(batch))
        last = await house.submit(1)
        await house.rig.service.resume("q")
        assert (await house.end(last)).counts.completed == 1
        assert house.batches.list(limit=99)[1] == 1
