"""The timeouts of a pool's running jobs: one task for all of them.

A cancel scope for each job would cost the hot path a heap operation at either end. Here a job only writes down its
deadline; the task sleeps until the earliest it knew of, and looks again.
"""

import time
from typing import Protocol

import trio


class Timed(Protocol):
    deadline: float  # monotonic seconds; inf: none

    def expire(self) -> None: ...


class Deadlines:
    def __init__(self) -> None:
        self.timed: list[Timed] = []
        self._next = float("inf")
        self._sooner = trio.Event()

    def note(self, deadline: float) -> None:
        """A deadline was set; wake the task if it would sleep past it."""
        if deadline < self._next:
            self._next = deadline
            self._sooner.set()

    async def run(self) -> None:
        while True:
            with trio.move_on_after(max(0.0, self._next - time.monotonic())):
                await self._sooner.wait()
            self._sooner = trio.Event()
            now = time.monotonic()
            for timed in self.timed:
                if timed.deadline <= now:
                    timed.expire()
            self._next = min((timed.deadline for timed in self.timed), default=float("inf"))
