"""Answers on their way out: gathered, written together, and counted until the kernel has them."""

import os
from collections import deque

import trio

_BATCH = 256 * 1024  # bytes joined for one write; more would only be copied for nothing


class Outbox:
    """Any task may put an answer, one at a time writes. `answers` and `size` are what the client has not taken yet;
    `gone`: it never will.

    Answers to a client that takes no more are dropped. That is no reason to end the conversation: what it sent before
    it went is still to be read, and the end of that shows that it has gone.
    """

    __slots__ = ("_empty", "_fd", "_flushing", "_waiting", "answers", "gone", "size")

    def __init__(self, fd: int) -> None:
        """`fd` is a non-blocking stream socket."""
        self._fd = fd
        self._waiting: deque[bytes] = deque()
        self._flushing = False
        self._empty = trio.lowlevel.ParkingLot()
        self.answers = 0
        self.gone = False
        self.size = 0

    def put(self, answer: bytes) -> None:
        self._waiting.append(answer)
        self.answers += 1
        self.size += len(answer)

    async def flush(self, *, gather: bool = False) -> None:
        """Returns when everything is written, or at once while another task is writing: that one then writes it all.

        `gather`: first let the other tasks that are ready now put theirs, so that what one commit answered is one
        system call.
        """
        if self._flushing or not self._waiting:
            return
        self._flushing = True
        try:
            if gather:
                await trio.lowlevel.checkpoint()
            while self._waiting:
                await self._write_some()
        finally:
            self._flushing = False
            self._empty.unpark_all()

    async def empty(self) -> None:
        """Return when everything is written, whoever does it."""
        while self._flushing:
            await self._empty.park()
        await self.flush()

    async def _write_some(self) -> None:
        batch = [self._waiting.popleft()]
        size = len(batch[0])
        while self._waiting and size + len(self._waiting[0]) <= _BATCH:
            size += len(self._waiting[0])
            batch.append(self._waiting.popleft())
        data = b"".join(batch)
        written = self._try_write(data)
        if written < size:
            rest = memoryview(data)[written:]
            while rest:
                await trio.lowlevel.wait_writable(self._fd)
                rest = rest[self._try_write(rest) :]
        self.answers -= len(batch)
        self.size -= size

    def _try_write(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.gone = True
            return len(data)
