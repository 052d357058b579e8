"""One instant at which something is to be looked at again: the earliest of those asked for."""

import time
from collections.abc import Callable

import trio

from supervisor.config.model import NANOS


class Alarm:
    """`ring` is called at an instant that was asked for, or soon after. Instants are nanoseconds of the monotonic
    clock, which does not see when somebody sets the time of day."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._next: int | None = None
        self._sooner = trio.Event()

    def ask(self, instant: int) -> None:
        if self._next is None or instant < self._next:
            self._next = instant
            self._sooner.set()

    async def run(self) -> None:
        while True:
            wait = float("inf") if self._next is None else max(0, self._next - time.monotonic_ns()) / NANOS
            with trio.move_on_after(wait):
                await self._sooner.wait()
            self._sooner = trio.Event()
            if self._next is not None and self._next <= time.monotonic_ns():
                self._next = None
                self._ring()
