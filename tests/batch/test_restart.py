"""Lives of a daemon that end between any two steps: each line still has one record."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from supervisor.batch.spool import Spool
from supervisor.batch.words import BatchState, Status
from supervisor.config.model import QueueConfig, Retention
from supervisor.errors import StoreUnavailable
from supervisor.lines.reading import LineReader
from supervisor.pool.janitor import Janitor
from supervisor.store.memory import MemoryStore
from supervisor.store.port import Changed, Store
from supervisor.store.sqlite import SqliteStore
from tests.batch.household import household, numbered

LINES = 120


class Ended(Exception):
    """The daemon's life, as far as a batch is concerned."""


class Nth:
    """Fails at the nth call, and at all that follow."""

    def __init__(self, n: int, error: Exception) -> None:
        self.left = n
        self.error = error

    def __call__(self) -> None:
        self.left -= 1
        if self.left <= 0:
            raise self.error


Break = Callable[[pytest.MonkeyPatch], None]


def before_an_append(patch: pytest.MonkeyPatch) -> None:
    answer, ends = Spool.answer, Nth(3, Ended())

    def ending(spool: Spool, outputs: bytes, errors: bytes, numbers: Sequence[int]) -> None:
        ends()
        answer(spool, outputs, errors, numbers)

    patch.setattr(Spool, "answer", ending)


def after_an_append(patch: pytest.MonkeyPatch) -> None:
    answer, ends = Spool.answer, Nth(3, Ended())

    def ending(spool: Spool, outputs: bytes, errors: bytes, numbers: Sequence[int]) -> None:
        answer(spool, outputs, errors, numbers)
        ends()

    patch.setattr(Spool, "answer", ending)


def before_a_status(patch: pytest.MonkeyPatch) -> None:
    write, ends = Spool.write, Nth(3, Ended())

    def ending(spool: Spool, status: Status) -> None:
        ends()
        write(spool, status)

    patch.setattr(Spool, "write", ending)


def after_a_status(patch: pytest.MonkeyPatch) -> None:
    write, ends = Spool.write, Nth(3, Ended())

    def ending(spool: Spool, status: Status) -> None:
        write(spool, status)
        ends()

    patch.setattr(Spool, "write", ending)


def before_any_deletion(patch: pytest.MonkeyPatch) -> None:
    def failing(store: object, *args: Any) -> list[Changed]:
        raise StoreUnavailable("not now")

    after_a_status(patch)
    for kind in (SqliteStore, MemoryStore):
        patch.setattr(kind, "delete", failing)


STEPS = [before_an_append, after_an_append, before_a_status, after_a_status, before_any_deletion]


@pytest.mark.parametrize("step", STEPS)
async def test_a_life_that_ends_at_a_step_costs_no_line_and_doubles_none(
    step: Break, tmp_path: Path, reopened: Callable[[], Store]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        step(patch)
        async with household(tmp_path, size=2, store=reopened()) as house:
            batch = await house.submit(*numbered(LINES, custom_id="c"))
            await house.rig.until(lambda: house.batches._runners[batch].broken)
    async with household(tmp_path, size=2, store=reopened()) as house:
        status = await house.end(batch)
        output, errors = house.records(batch)
        expected = [{"line": n, "custom_id": "c", "result": {"n": n, "custom_id": "c"}} for n in range(1, LINES + 1)]
        assert output == expected
        assert errors == []
        assert status.state is BatchState.COMPLETED
        assert status.counts.completed == LINES
        assert await house.jobs() == 0


async def test_what_was_torn_by_the_end_is_written_anew(tmp_path: Path, reopened: Callable[[], Store]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        after_an_append(patch)
        async with household(tmp_path, store=reopened()) as house:
            batch = await house.submit(*numbered(LINES))
            await house.rig.until(lambda: house.batches._runners[batch].broken)
    output = tmp_path / "batches" / batch / "output.jsonl"
    text = output.read_bytes()
    assert text
    output.write_bytes(text[:-3])
    async with household(tmp_path, store=reopened()) as house:
        await house.end(batch)
        assert [one["line"] for one in house.records(batch)[0]] == [*range(1, LINES + 1)]


async def test_jobs_that_ran_when_the_daemon_ended_run_again_and_end_once(
    tmp_path: Path, reopened: Callable[[], Store]
) -> None:
    async with household(tmp_path, store=reopened()) as house:
        batch = await house.submit(1, {"do": "sleep"}, 3)
        await house.rig.until(lambda: house.batches.get(batch).counts.completed == 1)
        await house.rig.until(lambda: house.rig.feeder.running)
    assert house.batches.get(batch).state is BatchState.IN_PROGRESS
    async with household(tmp_path, store=reopened()) as house:
        await house.rig.until(lambda: house.rig.feeder.running)
        await house.batches.cancel(batch)
        output, errors = house.records(batch)
        assert [one["line"] for one in output] == [1]
        assert [(one["line"], one["error"]["cause"]) for one in errors] == [(2, "cancelled"), (3, "cancelled")]


async def test_jobs_of_a_batch_that_is_gone_are_deleted_before_they_begin(
    tmp_path: Path, reopened: Callable[[], Store]
) -> None:
    async with household(tmp_path, store=reopened()) as house:
        house.rig.service.stop_feeding()
        await house.rig.submit(1, 2, client="batch:01890000-0000-7000-8000-000000000001", priority=-10)
        [own] = await house.rig.submit(3, client="batch:of mine")
    async with household(tmp_path, store=reopened()) as house:
        assert await house.jobs() == 1
        assert (await house.rig.ends(own))[0].result == b"3"


async def test_a_batch_whose_files_cannot_be_opened_keeps_nobody_from_beginning_and_goes_on_when_they_can(
    tmp_path: Path, reopened: Callable[[], Store]
) -> None:
    queue = QueueConfig(name="q", retention=Retention(max_done=0))
    async with household(tmp_path, ["/bin/false"], queue=queue, store=reopened()) as house:
        batch = await house.submit({"custom_id": "a"}, {"custom_id": "b"})
        await house.rig.until(lambda: len(house.batches._runners[batch]._tracking.sent) == 2)
        output = house.batches.folder(batch) / "output.jsonl"
    output.rename(tmp_path / "aside")
    output.mkdir()
    async with household(tmp_path, queue=queue, store=reopened()) as house:
        await house.rig.until(lambda: "output.jsonl" in (house.batches.get(batch).waiting or ""))
        with pytest.raises(StoreUnavailable, match=r"output\.jsonl"):
            await house.batches.cancel(batch)
        for job in house.batches._runners[batch]._left:
            await house.rig.ends(job.id)
        await Janitor(house.rig.committer, house.rig.feeder, house.rig.config, now=house.rig.now).sweep()
        output.rmdir()
        (tmp_path / "aside").rename(output)
        assert (await house.end(batch)).counts.completed == 2
        assert [record["custom_id"] for record in house.records(batch)[0]] == ["a", "b"]
        assert await house.jobs() == 0


async def test_an_input_that_cannot_be_read_is_no_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(reader: LineReader, lines: int, size: int) -> NoReturn:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(LineReader, "read", broken)
    async with household(tmp_path) as house:
        batch = await house.submit(1)
        await house.rig.until(lambda: house.batches.get(batch).waiting)
        assert house.batches.get(batch).waiting == (
            f"cannot read {house.batches.folder(batch)}/input.jsonl: Input/output error"
        )
