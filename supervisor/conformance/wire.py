"""The pipes of one child, as bytes: what is written to it, what it writes, and whether it lives.

One poll for everything and no task of its own: the time that a reply takes is measured here, and a task switch would be
a good part of it. So that Ctrl-C is not kept waiting, the loop gets a turn every few milliseconds.
"""

import contextlib
import os
import select
import time

import trio

from supervisor.pool.child import Child, describe_exit
from supervisor.pool.stderr import KEEP

CHUNK = 65536
SLICE = 0.02  # seconds of waiting before the loop gets a turn
NO_READER = 0  # poll says POLLERR unasked
LAST_CHUNKS = 16  # a full pipe of the largest size


class Wire:
    """`closed`: the child has closed its replies, or died, and everything was read. `dead`: the process is no more.
    `deaf`: it has closed its requests."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.closed = False
        self.dead = False
        self.deaf = False
        self.written = 0  # bytes of the last line sent that the pipe took
        self._stderr = bytearray()
        self._rest: bytes | memoryview = b""  # of the last line sent, that it did not take
        self._turn = time.monotonic()
        self._poll = select.poll()
        for fd in (child.replies, child.stderr, child.pidfd):
            self._poll.register(fd, select.POLLIN)
        self._poll.register(child.requests, NO_READER)

    def send(self, data: bytes) -> None:
        """Write what the pipe takes; the rest is written while we listen. BrokenPipeError: nobody can read it."""
        self.written = self.child.write(data)
        self._rest = memoryview(data)[self.written :]
        if self._rest:
            self._poll.modify(self.child.requests, select.POLLOUT)

    @property
    def unwritten(self) -> int:
        return len(self._rest)

    def nothing_read(self) -> bool:
        """Whether all that was written of the last line is in the pipe still."""
        return self.child.unread() >= self.written

    def hang_up(self) -> None:
        """No more requests: the end of its stdin."""
        self._rest = b""
        self._ignore(self.child.requests)
        self.child.close_requests()

    def stderr(self) -> str | None:
        """Its last lines until now; None if there are none."""
        for _ in range(LAST_CHUNKS):
            if not self._take_stderr():
                break
        return bytes(self._stderr).decode("utf-8", "replace").strip() or None

    async def hear(self, until: float) -> bytes | None:
        """What it says next; b"" once it will say no more, None when nothing has come by `until` (monotonic)."""
        while not self.closed:
            data = await self._attend(until)
            if data is not None:
                return data
            if time.monotonic() >= until:
                return b"" if self.closed else None
        return b""

    async def gone(self, within: float) -> bool:
        """Whether the process ends within so many seconds; what it says meanwhile is lost."""
        until = time.monotonic() + within
        while not self.dead:
            await self._attend(until)
            if time.monotonic() >= until:
                break
        return self.dead

    def exit_words(self) -> str:
        """How it ended, once it is dead; it stays to be reaped."""
        found = os.waitid(os.P_PIDFD, self.child.pidfd, os.WEXITED | os.WNOWAIT)
        assert found is not None
        killed = found.si_code != os.CLD_EXITED
        return describe_exit(-found.si_status if killed else found.si_status)[0]

    def exit_code(self) -> int | None:
        """Once it is dead; None where a signal ended it."""
        found = os.waitid(os.P_PIDFD, self.child.pidfd, os.WEXITED | os.WNOWAIT)
        assert found is not None
        return found.si_status if found.si_code == os.CLD_EXITED else None

    async def _attend(self, until: float) -> bytes | None:
        """Wait, though not beyond `until`, and do what can be done; what the child has said, if it was that."""
        wait = max(0.0, min(SLICE, until - time.monotonic()))
        ready = dict(self._poll.poll(wait * 1000))
        if time.monotonic() - self._turn > SLICE:
            await trio.lowlevel.checkpoint()
            self._turn = time.monotonic()
        if self.child.stderr in ready:
            self._take_stderr()
        if self.child.requests in ready:
            self._look_at_requests(ready[self.child.requests])
        if self.child.replies in ready:
            data = os.read(self.child.replies, CHUNK)
            if data:
                return data
            self._close()
        elif self.child.pidfd in ready:
            self._die()
        return None

    def _close(self) -> None:
        self.closed = True
        self._ignore(self.child.replies)

    def _die(self) -> None:
        """It is dead, and its replies are read; who else may hold that pipe open does not matter."""
        self.dead = True
        self._ignore(self.child.pidfd)
        if not self.closed:
            self._close()

    def _take_stderr(self) -> bool:
        """Whether there was any."""
        try:
            data = os.read(self.child.stderr, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self._ignore(self.child.stderr)
        self._stderr += data
        del self._stderr[:-KEEP]
        return bool(data)

    def _look_at_requests(self, events: int) -> None:
        try:
            if events & select.POLLERR:
                raise BrokenPipeError
            count = self.child.write(self._rest)
        except BrokenPipeError:
            self.deaf = True
            self._rest = b""
            self._ignore(self.child.requests)
            return
        self.written += count
        self._rest = self._rest[count:]
        if not self._rest:
            self._poll.modify(self.child.requests, NO_READER)

    def _ignore(self, fd: int) -> None:
        with contextlib.suppress(KeyError, ValueError):  # ignored already, or closed
            self._poll.unregister(fd)
