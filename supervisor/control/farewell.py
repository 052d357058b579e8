"""The end of all conversations when the daemon stops: what was asked by then is answered, nothing after it is heard.

A client that is in the middle must not be left to guess. Shutting down the reading side does it: what the client has
written by then can still be read, and is answered; what it writes from then on the kernel refuses (EPIPE), so the
client knows that it was not heard and may ask the next daemon. Closing the socket alone would drop requests that the
kernel has taken.
"""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import trio

from supervisor.control.connection import Connection

LONGEST = 1.0  # seconds; a client that does not take its answers gets no more
_LOOK_EVERY = 0.002  # seconds


class Farewell:
    """Of one server."""

    def __init__(self) -> None:
        self._begun = False
        self._accepting: list[trio.CancelScope] = []
        self._conversations: dict[Connection, trio.SocketStream] = {}

    def accepting(self) -> trio.CancelScope:
        """Around what accepts connections. Those that wait in the kernel are left to whoever listens next."""
        scope = trio.CancelScope()
        self._accepting.append(scope)
        return scope

    @contextmanager
    def to(self, connection: Connection, stream: trio.SocketStream) -> Iterator[None]:
        """Around a conversation."""
        self._conversations[connection] = stream
        try:
            if self._begun:
                self._hear_out(connection, stream)
            yield
        finally:
            del self._conversations[connection]

    async def say(self) -> None:
        """Returns when all have the answers that are due now: a request that waits for something to happen, such as
        `wait`, may go unanswered. After LONGEST, the others too."""
        self._begun = True
        for scope in self._accepting:
            scope.cancel()
        for connection, stream in self._conversations.items():
            self._hear_out(connection, stream)
        await trio.lowlevel.checkpoint()  # those that were accepted in this very moment have begun now
        with trio.move_on_after(LONGEST):
            # An event would have to be thought of wherever an answer leaves, for this one moment of a daemon's life.
            while not all(connection.is_settled() for connection in self._conversations):  # noqa: ASYNC110
                await trio.sleep(_LOOK_EVERY)

    def _hear_out(self, connection: Connection, stream: trio.SocketStream) -> None:
        if _asks_no_more(stream.socket.fileno()):
            return
        connection.hear_out()
        with suppress(OSError):  # it has gone
            stream.socket.shutdown(socket.SHUT_RD)


def _asks_no_more(fd: int) -> bool:
    """Whether the client has closed its side: then its last line counts, even one without an end."""
    poll = select.poll()
    poll.register(fd, select.POLLRDHUP)
    return bool(poll.poll(0))
