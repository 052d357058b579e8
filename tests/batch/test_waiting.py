"""What keeps a batch from moving: it waits, says why, and goes on by itself."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from supervisor.batch.spool import Spool
from supervisor.batch.turns import AT_ONCE
from supervisor.batch.words import BatchState, NewBatch
from supervisor.config.model import Backoff, BatchesConfig, QueueConfig, Retention
from supervisor.control.space import Space
from supervisor.errors import Conflict, NotFound, QueueFull, StoreUnavailable, TooLarge, UnknownQueue
from supervisor.pool import revising
from supervisor.pool.janitor import Janitor
from supervisor.store.port import Store
from supervisor.store.sqlite import SqliteStore
from tests.batch.household import Household, household, numbered


async def says(house: Household, batch: str, words: str) -> None:
    await house.rig.until(lambda: words in (house.batches.get(batch).waiting or ""))


async def test_a_paused_queue(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        await house.rig.service.pause("q")
        batch = await house.submit(*numbered(10))
        await says(house, batch, "queue q is paused")
        assert await house.jobs() == 0
        await house.rig.service.resume("q")
        assert (await house.end(batch)).counts.completed == 10
        assert house.batches.get(batch).waiting is None


async def test_a_full_queue(tmp_path: Path) -> None:
    async with household(tmp_path, queue=QueueConfig(name="q", max_pending=10)) as house:
        [running] = await house.rig.submit({"do": "sleep"})
        await house.rig.until(lambda: house.rig.feeder.running)
        await house.rig.submit(*range(10))
        batch = await house.submit(*numbered(30))
        await says(house, batch, "queue q is full")
        await house.rig.service.cancel(running)
        assert (await house.end(batch)).counts.completed == 30


async def test_a_queue_that_others_keep_nearly_full_takes_the_lines_one_by_one(tmp_path: Path) -> None:
    async with household(tmp_path, queue=QueueConfig(name="q", max_pending=10)) as house:
        await house.rig.submit({"do": "sleep"})
        await house.rig.until(lambda: house.rig.feeder.running)
        await house.rig.submit(*range(9))
        batch = await house.submit(*numbered(3))
        await house.rig.until(lambda: len(house.batches._runners[batch]._tracking.sent) == 1)
        await says(house, batch, "queue q is full")
        await house.batches.cancel(batch)


async def test_half_of_a_queue_that_holds_only_so_many_is_left_to_others(tmp_path: Path) -> None:
    async with household(tmp_path, queue=QueueConfig(name="q", max_pending=10)) as house:
        [running] = await house.rig.submit({"do": "sleep"})
        await house.rig.until(lambda: house.rig.feeder.running)
        batch = await house.submit(*numbered(30))
        await house.rig.until(lambda: house.batches.get(batch).state is BatchState.IN_PROGRESS)
        await house.rig.submit(*range(5))
        await house.rig.service.cancel(running)
        await house.end(batch)


async def test_a_queue_that_is_not_configured_any_more(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        line = house.rig.feeder.lines["q"]
        line.retire()
        batch = await house.submit(*numbered(3))
        await says(house, batch, "queue q is not in the configuration")
        line.return_to()
        assert (await house.end(batch)).counts.completed == 3


async def test_a_low_disk(tmp_path: Path) -> None:
    free = [1 << 30]
    space = Space(tmp_path, reserve=1 << 20, measure=lambda folder: free[0])
    async with household(tmp_path, space=space) as house:
        await house.rig.service.pause("q")
        batch = await house.submit(*numbered(3))
        free[0] = 1
        space.look()
        await house.rig.service.resume("q")
        await says(house, batch, "daemon.disk_reserve")
        with pytest.raises(StoreUnavailable):
            await house.batches.begin(NewBatch(queue="q"))
        free[0] = 1 << 30
        space.look()
        assert (await house.end(batch)).counts.completed == 3


async def test_a_disk_that_takes_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = True
    answer = Spool.answer

    def answering(spool: Spool, *what: object) -> None:
        if full:
            raise StoreUnavailable("cannot write output.jsonl: No space left on device")
        answer(spool, *what)

    monkeypatch.setattr(Spool, "answer", answering)
    async with household(tmp_path) as house:
        batch = await house.submit(*numbered(5))
        await says(house, batch, "No space left")
        full = False
        assert (await house.end(batch)).counts.completed == 5


async def test_jobs_that_wait_for_another_attempt_do_not_keep_others_from_theirs(tmp_path: Path) -> None:
    queue = QueueConfig(name="q", max_attempts=2, backoff=Backoff(base=600))
    async with household(tmp_path, queue=queue) as house:
        failing = ({"do": "fail", "retry": True} for _ in range(20))
        batch = await house.submit(*failing, *numbered(20))
        await house.rig.until(lambda: house.batches.get(batch).counts.completed == 20)
        assert (await house.batches.cancel(batch)).counts.cancelled == 20


async def test_batches_whose_lines_wait_for_another_attempt_do_not_keep_other_batches_from_theirs(
    tmp_path: Path, reopened: Callable[[], Store]
) -> None:
    queue = QueueConfig(name="q", max_attempts=2, backoff=Backoff(base=600))
    failing = {"do": "fail", "retry": True}
    async with household(tmp_path, queue=queue, store=reopened()) as house:
        for _ in range(AT_ONCE):
            await house.submit(failing)
        assert (await house.end(await house.submit(1))).counts.completed == 1
    async with household(tmp_path, queue=queue, store=reopened()) as house:  # and after a restart
        assert (await house.end(await house.submit(1))).counts.completed == 1


async def test_a_line_for_which_no_worker_comes_up(tmp_path: Path) -> None:
    async with household(tmp_path, ["/bin/false"]) as house:
        batch = await house.submit(1)
        await says(house, batch, "pool p")
        assert (await house.batches.cancel(batch)).state is BatchState.CANCELLED


async def test_what_is_over_a_limit_is_refused_with_its_name(tmp_path: Path) -> None:
    config = BatchesConfig(max_lines=5, max_bytes=100, max_pending_lines=8)
    async with household(tmp_path, config=config) as house:
        await house.rig.service.pause("q")
        with pytest.raises(TooLarge, match=r"batches\.max_lines"):
            await house.submit(*range(6))
        with pytest.raises(TooLarge, match=r"batches\.max_bytes"):
            await house.send(b"1" * 101)
        first = await house.submit(*range(5))
        with pytest.raises(QueueFull, match=r"batches\.max_pending_lines"):
            await house.submit(*range(4))
        await house.submit(*range(3))
        with pytest.raises(QueueFull, match=r"batches\.max_pending_lines"):
            await house.batches.begin(NewBatch(queue="q"))
        assert len(house.batches.list(limit=10)[0]) == 2
        assert [path.name for path in house.root.iterdir() if path.name.startswith(".")] == []
        await house.batches.cancel(first)
        await house.submit(*range(5))
        with pytest.raises(UnknownQueue):
            await house.batches.begin(NewBatch(queue="other"))


async def test_a_batch_with_the_same_key_is_answered_by_the_earlier_one(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        want = NewBatch(queue="q", client="me", key="k")
        intake = await house.batches.begin(want)
        with pytest.raises(Conflict):
            await house.batches.begin(want)
        batch = await intake.finish()  # type: ignore[union-attr]
        await house.end(batch.id)
        again = await house.batches.begin(want)
        assert again == msgspec.structs.replace(house.batches.get(batch.id))


async def test_a_queue_that_is_revised_goes_on(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        await house.rig.service.pause("q")
        batch = await house.submit("[" + "1," * 40 + "1]", 2)
        revising.revise_queues(house.rig.feeder, [QueueConfig(name="q", max_payload=50)], set())
        await house.rig.service.resume("q")
        await house.end(batch)
        output, errors = house.records(batch)
        assert [one["line"] for one in output] in ([2], [1, 2])  # it was read perhaps before
        assert {one["error"]["cause"] for one in errors} <= {"too_large"}


async def test_a_store_that_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = True
    submit = SqliteStore.submit

    def submitting(store: SqliteStore, *what: Any) -> Any:
        if full:
            raise StoreUnavailable("the disk is full")
        return submit(store, *what)

    monkeypatch.setattr(SqliteStore, "submit", submitting)
    async with household(tmp_path) as house:
        batch = await house.submit(*numbered(5))
        await says(house, batch, "the disk is full")
        full = False
        assert (await house.end(batch)).counts.completed == 5


async def test_jobs_that_are_not_to_be_kept_are_until_their_records_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True
    answer = Spool.answer

    def answering(spool: Spool, *what: Any) -> None:
        if full:
            raise StoreUnavailable("cannot write output.jsonl: No space left on device")
        answer(spool, *what)

    monkeypatch.setattr(Spool, "answer", answering)
    queue = QueueConfig(name="q", retention=Retention(max_done=0))
    async with household(tmp_path, queue=queue) as house:
        janitor = Janitor(house.rig.committer, house.rig.feeder, house.rig.config, now=house.rig.now)
        [own] = await house.rig.submit(1)
        batch = await house.submit(*numbered(5, do="grow", size=3 << 20))
        await house.rig.until(lambda: house.batches._runners[batch]._tracking.unwritten)
        await house.rig.ends(own)
        await janitor.sweep()
        assert (await house.rig.service.counts())[0].done > 0
        with pytest.raises(NotFound):
            await house.rig.service.get(own)
        full = False
        assert (await house.end(batch)).counts.completed == 5
