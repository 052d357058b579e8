"""Clients that vanish while nobody reads from them.

A reader sees a client go as the end of its input. But the input of a connection with too many open requests is not
read, and the end of input alone is not the end of the client: `printf … | nc -U` says it has nothing more to ask, and
waits for its answers. What tells the two apart is EPOLLHUP: both directions are down.
"""

import contextlib
import select
from collections.abc import Iterator

import trio


class HangUps:
    """One epoll set for all connections, in which only those are that nobody reads from. Close it after them."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._scopes: dict[int, trio.CancelScope] = {}

    def close(self) -> None:
        self._epoll.close()

    async def run(self) -> None:
        """Cancels the scopes of those who hang up, until it is cancelled itself."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            for fd, _ in self._epoll.poll(0):
                self._scopes[fd].cancel()  # again and again, until the one who watches has left: which is at once

    @contextlib.contextmanager
    def watch(self, fd: int, scope: trio.CancelScope) -> Iterator[None]:
        """While inside, `scope` is cancelled when the other side of the socket `fd` is closed, or is already."""
        self._scopes[fd] = scope
        self._epoll.register(fd, 0)  # no events: a hang-up is reported always
        try:
            yield
        finally:
            self._epoll.unregister(fd)
            del self._scopes[fd]
