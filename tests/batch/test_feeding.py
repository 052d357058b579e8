"""In which order lines leave the file."""

from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from supervisor.batch.feeding import Feeding
from supervisor.batch.source import Chunk
from supervisor.batch.tracking import Place, Tracking
from supervisor.core.window import Pace
from supervisor.errors import QueueFull
from supervisor.lines.ranges import Ranges
from tests.batch.spooling import new_status
from tests.batch.test_tracking import outcome, step


class Around(SimpleNamespace):
    """A daemon that takes no job: it says so, or the store does."""

    def __init__(self, why: str | None) -> None:
        line = SimpleNamespace(policy=SimpleNamespace(max_pending=None, keyed=False), pools=[])
        pace = Pace(0.0)
        super().__init__(
            poll=0.001,
            now=lambda: 0,
            obstacle=lambda queue: why,
            standstill=lambda queue: why,
            line=lambda queue: line,
            pace=lambda queue: pace,
            room=SimpleNamespace(take=lambda size: None),
            committer=self,
        )
        self.tried = trio.Event()

    async def submit(self, *what: Any) -> None:
        self.tried.set()
        await trio.lowlevel.checkpoint()
        raise QueueFull("full")


async def place_of(around: Around, skip: Ranges, tracking: Tracking) -> Place:
    out, chunks = trio.open_memory_channel[Chunk](1)
    feeding = Feeding(around, new_status(), tracking, skip, chunks, lambda: 1, lambda: None)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feeding.run)
        await out.send(Chunk([step(number) for number in range(1, 9)], ()))
        with trio.move_on_after(0.05):
            await around.tried.wait()
            await wait_all_tasks_blocked()
        place = tracking.collect().place
        nursery.cancel_scope.cancel()
    return place


async def test_a_line_that_is_known_does_not_take_the_place_past_one_that_still_waits() -> None:
    assert await place_of(Around("paused"), Ranges([(2, 3), (5, 8)]), Tracking()) == Place(0, 0)


async def test_the_place_stays_before_a_line_that_the_store_refused() -> None:
    tracking = Tracking()
    tracking.inherit("a", 1)
    assert await place_of(Around(None), Ranges([(1, 1), (4, 4)]), tracking) == Place(0, 0)
    tracking.heard("a", outcome())
    assert tracking.collect().place == Place(1, 10)
