"""What is there of batches: lists, files that grow, and for how long they are kept."""

import threading
from pathlib import Path

import pytest
import trio

from supervisor.batch.intake import Intake
from supervisor.batch.spool import Spools
from supervisor.batch.words import BatchState, NewBatch
from supervisor.config.model import BatchesConfig
from supervisor.errors import Conflict, NotFound, StoreUnavailable
from tests.batch.household import household, numbered


async def test_the_newest_come_first_page_by_page(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        batches = [await house.submit(n) for n in range(5)]
        for batch in batches:
            await house.end(batch)
        page, total, following = house.batches.list(limit=2)
        assert ([one.id for one in page], total) == (batches[:-3:-1], 5)
        rest, _, end = house.batches.list(limit=10, before=following)
        assert ([one.id for one in rest], end) == (batches[2::-1], None)
        assert house.batches.list(limit=9, states=[BatchState.FAILED]) == ([], 0, None)
        assert house.batches.list(limit=9, queue="other") == ([], 0, None)
        assert house.batches.list(limit=9, sees=lambda queue: False) == ([], 0, None)


async def test_a_reader_is_told_when_a_file_has_grown_and_when_it_grows_no_more(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        batch = await house.submit(1, {"do": "sleep"})
        growing = house.batches.output(batch, "output")
        size = await growing.more(0)
        assert growing.path.read_bytes()[:size] == b'{"line":1,"result":1}\n'
        sizes: list[int] = []

        async def follow() -> None:
            sizes.append(await growing.more(size))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await house.batches.cancel(batch)
        assert sizes == [size]
        assert growing.final


async def test_what_ended_long_ago_is_deleted_by_itself(tmp_path: Path) -> None:
    async with household(tmp_path, config=BatchesConfig(keep=100)) as house:
        batch = await house.submit(1)
        await house.end(batch)
        house.rig.skew = 101_000_000
        await house.rig.until(lambda: not [*house.root.iterdir()])
        with pytest.raises(NotFound):
            house.batches.get(batch)


async def test_gc_deletes_what_it_is_asked_to(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        good, bad, alive = await house.submit(1), await house.submit("{oops"), await house.submit({"do": "sleep"})
        await house.end(good)
        await house.end(bad)
        assert await house.batches.gc(older_than=1000) == []
        assert await house.batches.gc(older_than=0, dry_run=True) == [good, bad]
        assert await house.batches.gc(older_than=0, states=[BatchState.FAILED]) == [bad]
        assert await house.batches.gc(older_than=0, sees=lambda queue: False) == []
        assert await house.batches.gc(older_than=0) == [good]
        assert [one.id for one in house.batches.list(limit=9)[0]] == [alive]
        await house.batches.cancel(alive)


async def test_a_folder_that_is_none_of_ours_is_left_alone(tmp_path: Path) -> None:
    strange = tmp_path / "batches" / "notes"
    strange.mkdir(parents=True)
    (strange / "file").write_text("mine")
    async with household(tmp_path) as house:
        await house.end(await house.submit(*numbered(2)))
        assert house.batches.list(limit=9)[1] == 1
    assert (strange / "file").read_text() == "mine"


async def test_what_ends_in_the_last_moments_is_in_the_files(tmp_path: Path) -> None:
    async with household(tmp_path, size=2) as house:
        batch = await house.submit(*numbered(500))
        await house.rig.until(lambda: house.batches.get(batch).counts.completed)
        house.rig.service.stop_feeding()
        await house.rig.service.drain()
        await house.rig.committer.settle()
        await house.batches.flush()
        await house.rig.committer.settle()
        assert sum(one.done for one in await house.rig.service.counts()) == 0
        status = house.batches.get(batch)
        assert status.counts.completed == len((house.batches.folder(batch) / "output.jsonl").read_bytes().splitlines())


async def test_an_empty_file_is_a_batch_that_is_complete(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        status = await house.end((await house.send(b"\n \n\t\n")).id)
        assert (status.state, status.counts.total) == (BatchState.COMPLETED, 0)


async def test_lines_that_were_dropped_leave_nothing(tmp_path: Path) -> None:

    async with household(tmp_path) as house:
        intake = await house.batches.begin(NewBatch(queue="q"))
        assert isinstance(intake, Intake)
        await intake.append(b"1\n2\n")
        assert house.batches.view().unanswered == 2
        await intake.drop()
        await intake.drop()
        assert [*house.root.iterdir()] == []
        assert house.batches.view().unanswered == 0


async def test_one_that_cannot_be_removed_does_not_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with household(tmp_path) as house:
        stays, goes = [await house.submit(1) for _ in range(2)]
        for batch in (stays, goes):
            await house.end(batch)
        remove = Spools.remove

        def removing(spools: Spools, batch_id: str) -> None:
            if batch_id == stays:
                raise StoreUnavailable("cannot remove it: Device or resource busy")
            remove(spools, batch_id)

        monkeypatch.setattr(Spools, "remove", removing)
        with pytest.raises(StoreUnavailable, match="busy"):
            await house.batches.gc(older_than=0)
        assert [one.id for one in house.batches.list(limit=9)[0]] == [stays]


async def test_the_key_of_a_batch_that_is_being_deleted_is_not_free_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go = threading.Event(), threading.Event()
    remove = Spools.remove

    def removing(spools: Spools, batch_id: str) -> None:
        entered.set()
        go.wait(10)
        remove(spools, batch_id)

    async with household(tmp_path) as house:
        batch = await house.submit(1, client="c", key="k")
        await house.end(batch)
        monkeypatch.setattr(Spools, "remove", removing)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.batches.delete, batch)
            await house.rig.until(entered.is_set)
            with pytest.raises(Conflict, match="being deleted"):
                await house.batches.begin(NewBatch(queue="q", client="c", key="k"))
            go.set()
        await house.end(await house.submit(1, client="c", key="k"))
