"""Hearing many children at once.

A wait for each reply, a task switch there and back, would be a third of what a short job costs the loop. So the pipes
of a pool's children are gathered in one epoll of its own, and one task waits for that; it goes from child to child for
as long as any has spoken, and the loop turns only when all are silent or others have waited long enough.
"""

import select
from collections.abc import Callable

import trio

STRETCH = 64  # chunks heard before the loop's other tasks get a chance


class Ears:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._hear: dict[int, Callable[[], object]] = {}

    def listen(self, fd: int, hear: Callable[[], object]) -> None:
        """From now on `hear` is called whenever there is something to read, or the end; it must read, or `ignore`."""
        self._hear[fd] = hear
        self._epoll.register(fd, select.EPOLLIN)

    def ignore(self, fd: int) -> None:
        """Call it before `fd` is closed."""
        if self._hear.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    async def run(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            self._hear_some()

    def close(self) -> None:
        """When nobody is listened to any more."""
        self._epoll.close()

    def _hear_some(self) -> None:
        left = STRETCH
        while left > 0 and (spoken := self._epoll.poll(0)):
            left -= len(spoken)
            for fd, _ in spoken:
                hear = self._hear.get(fd)  # what one says may end another
                if hear is not None:
                    hear()
