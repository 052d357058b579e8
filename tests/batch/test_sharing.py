"""Batches beside each other, and beside everybody else's jobs."""

from pathlib import Path

import trio

from supervisor.batch.words import BatchState
from supervisor.core.window import PER_WORKER
from tests.batch.household import household, numbered
from tests.pool.rig import pool_config, python
from tests.workers import Gate

ORDER = python(
    "import json, sys",
    "for line in sys.stdin:",
    "    job = json.loads(line)",
    "    'gate' in job['payload'] and open(job['payload']['gate'])",
    "    open('order', 'a').write(job['payload']['by'])",
    "    print(json.dumps({'id': job['id'], 'status': 'ok', 'result': None}), flush=True)",
)


async def test_the_batches_of_a_queue_are_worked_on_side_by_side(tmp_path: Path) -> None:
    async with household(tmp_path, ORDER) as house:
        await house.rig.service.pause("q")
        first = await house.submit(*numbered(400, by="a"))
        second = await house.submit(*numbered(100, by="b"))
        await house.rig.service.resume("q")
        await house.end(second)
        await house.end(first)
        order = (tmp_path / "order").read_text()
        before_the_last_of_b = order[: order.rindex("b")].count("a")
        assert before_the_last_of_b < 300


async def test_a_persons_own_job_goes_before_a_batchs(tmp_path: Path) -> None:
    async with household(tmp_path, ORDER) as house:
        batch = await house.submit(*numbered(300, by="a"))
        await house.rig.until(lambda: house.batches.get(batch).state is BatchState.IN_PROGRESS)
        [job] = await house.rig.submit({"by": "x"})
        await house.rig.ends(job)
        await house.end(batch)
        order = (tmp_path / "order").read_text()
        assert order.index("x") < 150


async def test_a_batch_with_a_higher_priority_goes_first(tmp_path: Path) -> None:
    with Gate(tmp_path) as gate:
        async with household(tmp_path, ORDER) as house:
            low = await house.submit({"by": "a", "gate": gate.path}, *numbered(50, by="a"))
            await house.rig.until(lambda: house.rig.feeder.running)
            high = await house.submit(*numbered(50, by="b"), priority=5)
            # Those that stand in the store when the only worker has time again.
            with trio.fail_after(60):
                while (await house.rig.service.queues("q"))[0].pending < PER_WORKER - 1 + PER_WORKER // 2:  # noqa: ASYNC110
                    await trio.sleep(0.001)  # nobody tells
            gate.open()
            await house.end(low)
            await house.end(high)
    assert (tmp_path / "order").read_text().startswith("a" + "b" * (PER_WORKER // 2))


async def test_no_more_than_some_at_once_and_the_others_in_their_order(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        await house.rig.service.pause("q")
        batches = [await house.submit(*numbered(3)) for _ in range(12)]
        await house.rig.until(lambda: house.batches.view().in_progress == 8)
        states = [house.batches.get(batch).state for batch in batches]
        assert states[8:] == [BatchState.PENDING] * 4
        view = house.batches.view()
        assert (view.in_progress, view.pending, view.unanswered) == (8, 4, 36)
        await house.rig.service.resume("q")
        for batch in batches:
            await house.end(batch)
        assert house.batches.view().unanswered == 0


async def test_a_large_batch_does_not_keep_another_queue_from_its_workers(tmp_path: Path) -> None:
    pools = [pool_config(ORDER, tmp_path, queues=("q", "other"))]
    async with household(tmp_path, pools=pools) as house:
        batch = await house.submit(*numbered(2000, by="a"))
        await house.rig.until(lambda: (tmp_path / "order").exists())
        with trio.fail_after(10):
            [job] = await house.rig.submit({"by": "x"}, queue="other")
            await house.rig.ends(job)
        assert not house.batches.get(batch).state.final
        await house.batches.cancel(batch)


async def test_a_large_batch_has_few_jobs_in_the_store(tmp_path: Path) -> None:
    async with household(tmp_path) as house:
        batch = await house.submit({"do": "sleep"}, *numbered(5000))
        await house.rig.until(lambda: house.rig.feeder.running)
        await house.rig.until(lambda: len(house.batches._runners[batch]._tracking.sent) >= 4)
        assert await house.jobs() <= 16
        await house.batches.cancel(batch)


async def test_results_that_are_larger_than_what_is_held_are_all_written(tmp_path: Path) -> None:
    async with household(tmp_path, size=2) as house:
        size = 3 * 1024 * 1024
        batch = await house.submit(*numbered(12, do="grow", size=size))
        status = await house.end(batch)
        output, _ = house.records(batch)
        assert [len(one["result"]) for one in output] == [size] * 12
        assert status.checkpoint.output == (house.batches.folder(batch) / "output.jsonl").stat().st_size
