"""What a batch needs of the daemon around it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

import trio

from supervisor.core.window import Pace
from supervisor.pool.feeder import Feeder
from supervisor.pool.line import Line
from supervisor.store.committer import Committer
from supervisor.store.port import Reader

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4  # that work on files at a time
CLIENT = "batch:"  # and the id: the client of a batch's jobs


class Room(Protocol):
    """As control.space.Space."""

    @property
    def reason(self) -> str | None: ...

    def take(self, size: int) -> None: ...


class Surroundings:
    """`sweep` cancels all jobs of a client, and returns when none of them runs any more. `now` gives UTC microseconds,
    `poll` the seconds between two looks at what nobody tells of."""

    def __init__(
        self,
        committer: Committer,
        feeder: Feeder,
        reader: Reader,
        *,
        now: Callable[[], int],
        room: Room,
        sweep: Callable[[str], Awaitable[object]],
        poll: float = 0.25,
    ) -> None:
        self.committer = committer
        self.feeder = feeder
        self.now = now
        self.room = room
        self.sweep = sweep
        self.poll = poll
        self._reader = reader
        self._reading = trio.Lock()
        self._threads = trio.CapacityLimiter(THREADS)
        self._paces: dict[str, Pace] = {}

    async def in_thread(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """File work, never on the loop. What was begun is brought to its end, whoever stops waiting."""
        return await trio.to_thread.run_sync(partial(fn, *args, **kwargs), limiter=self._threads)

    async def read(self, fn: Callable[[Reader], T]) -> T:
        """Of what is committed. Raises StoreUnavailable."""
        async with self._reading:
            return await self.in_thread(fn, self._reader)

    def close(self) -> None:
        self._reader.close()

    def pace(self, queue: str) -> Pace:
        """At which the jobs of all batches of this queue end."""
        found = self._paces.get(queue)
        if found is None:
            found = self._paces[queue] = Pace(time.monotonic())
        return found

    def line(self, queue: str) -> Line | None:
        """None: it is not configured."""
        line = self.feeder.lines.get(queue)
        return line if line is not None and line.configured else None

    def obstacle(self, queue: str) -> str | None:
        """Why no job is to be handed over to this queue now."""
        return self._shut(queue) or self.room.reason

    def standstill(self, queue: str) -> str | None:
        """Why those that were handed over do not begin."""
        return self._shut(queue) or self._unserved(queue)

    def _shut(self, queue: str) -> str | None:
        line = self.line(queue)
        if line is None:
            return f"queue {queue} is not in the configuration any more: put it back, or cancel the batch"
        if self.feeder.stopped:
            return "the daemon stops or drains: its next start goes on"
        if self.committer.failing is not None:
            return f"the store fails: {self.committer.failing}"
        if line.paused:
            return f"queue {queue} is paused: `stoker resume {queue}` lets it go on"
        return None

    def _unserved(self, queue: str) -> str | None:
        line = self.line(queue)
        assert line is not None
        if not line.pools:
            return f"no pool serves queue {queue}"
        reasons = [f"pool {pool.name}: {pool.health.reason}" for pool in line.pools if pool.health.reason is not None]
        return "; ".join(reasons) if len(reasons) == len(line.pools) else None
