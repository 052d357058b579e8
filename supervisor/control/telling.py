"""What the journal says, read as fast as can be spared."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import trio

from supervisor.core.journal import Wanted, begin
from supervisor.pool.feeder import Feeder
from supervisor.store.committer import Committer
from supervisor.store.port import EventPage, Reader

GIVE_WAY = 25  # times as long as all who follow have worked do they pause while jobs run: those go first
LONGEST_PAUSE = 0.5  # seconds of that
GATHER = 0.05  # seconds in which a follower lets events come together

T = TypeVar("T")


class Look(Protocol):
    def __call__(self, fn: Callable[[Reader], T]) -> Awaitable[T]: ...


class Telling:
    """`look` runs a function with the reader, beside the loop, on what is committed."""

    def __init__(self, committer: Committer, feeder: Feeder, look: Look) -> None:
        self._committer = committer
        self._feeder = feeder
        self._look = look
        self._following = 0

    async def place(self, after: int | None, *, last: int | None = None) -> int:
        """The number after which to read on; `last`: that many events before the newest. Raises Gone."""
        extent = await self._look(lambda reader: reader.extent())
        return begin(extent, after) if last is None else max(extent.first - 1, extent.last - last)

    async def events(
        self, after: int | None, *, limit: int, want: Wanted, wait: float, tell: Callable[[EventPage], T]
    ) -> tuple[EventPage, T]:
        """What comes next, and what `tell` makes of it, beside the loop too. Where there is nothing yet that is wanted:
        whatever comes within `wait` seconds. Raises Gone."""
        deadline = trio.current_time() + wait
        self._following += 1
        try:
            while True:
                committed = self._committer.next_commit()
                page, told, cost = await self._look(partial(_tell, after=after, limit=limit, want=want, tell=tell))
                await self._give_way(cost)
                if page.events or (not page.more and trio.current_time() >= deadline):
                    return page, told
                after = page.last
                if not page.more:
                    with trio.move_on_at(deadline):
                        await committed.wait()
                        # Looking anew after each of a thousand commits a second would keep everybody from working.
                        await trio.sleep(GATHER)
        finally:
            self._following -= 1

    async def _give_way(self, cost: float) -> None:
        if self._feeder.running:
            await trio.sleep(min(GIVE_WAY * cost * self._following, LONGEST_PAUSE))


def _tell(
    reader: Reader, *, after: int | None, limit: int, want: Wanted, tell: Callable[[EventPage], T]
) -> tuple[EventPage, T, float]:
    """With the seconds of processor time that it took: a clock would tell of the other threads too."""
    began = time.thread_time()
    page = reader.events(after, limit=limit, want=want)
    return page, tell(page), time.thread_time() - began
