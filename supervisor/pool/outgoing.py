"""The requests to one child: what its pipe does not take at once is written when there is room, and nobody waits."""

from collections.abc import Callable

import trio

from supervisor.pool.child import Child


class Outgoing:
    """`deaf` is called when nobody can read a request any more, `written` when the rest of a long one has gone out."""

    def __init__(self, child: Child, *, deaf: Callable[[], None], written: Callable[[], None]) -> None:
        self.pending = False  # a part of the last request has not gone out yet
        self._child = child
        self._deaf = deaf
        self._written = written
        self._sent = 0  # bytes of the last request that the pipe took
        self._rest = b""
        self._more = trio.Event()

    def send(self, request: bytes) -> None:
        self._sent = 0
        try:
            self._sent = self._child.write(request)
        except BrokenPipeError:
            self._deaf()
            return
        if self._sent < len(request):
            self._rest = request[self._sent :]
            self.pending = True
            self._more.set()

    def untouched(self) -> bool:
        """Whether all of the last request that the pipe took is in there still."""
        return self._child.unread() >= self._sent

    async def run(self) -> None:
        """Write what did not fit, for as long as somebody reads."""
        while True:
            await self._more.wait()
            self._more = trio.Event()
            rest = memoryview(self._rest)
            while rest:
                try:
                    await trio.lowlevel.wait_writable(self._child.requests)
                    count = self._child.write(rest)
                except BrokenPipeError:
                    self._deaf()
                    return
                except (OSError, trio.ClosedResourceError):  # it is being asked to go
                    return
                self._sent += count
                rest = rest[count:]
            self._rest = b""
            self.pending = False
            self._written()
