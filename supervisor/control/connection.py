"""One connection, one conversation: requests in, answers out as they become ready, neither faster than the other.

The tasks of a connection take turns at reading. Whoever has read a request passes the turn on before it waits for
anything, and answers; so a request costs no new task, nothing stands between reading it and handing it to the store,
and what a client sends in order is handed over in order. (A task for each request would do neither: trio starts tasks
in a random order.)
"""

import contextlib
import os
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing

import trio

from protocol.framing import LineTooLong
from supervisor.control.dispatch import Dispatcher, Work
from supervisor.control.hangups import HangUps
from supervisor.control.intake import Intake
from supervisor.control.outbox import Outbox
from supervisor.control.rpc import HangUp

_CHUNK = 64 * 1024  # bytes of one read
_HIGH_WATER = 1024 * 1024  # bytes of answers that the client has not taken; above, no further request is taken up
_SPARES = 4  # tasks kept for the next requests
_STRETCH = 64  # requests taken up without giving other tasks a chance


class Connection:
    """`max_outstanding` counts the requests without an answer in the kernel's hands."""

    def __init__(
        self, fd: int, dispatcher: Dispatcher, hang_ups: HangUps, *, max_line: int, max_outstanding: int
    ) -> None:
        """`fd` is a non-blocking stream socket, which stays the caller's to close."""
        self._fd = fd
        self._dispatcher = dispatcher
        self._hang_ups = hang_ups
        self._max_outstanding = max_outstanding
        self._intake = Intake(max_line)
        self._lines: deque[bytes | LineTooLong] = deque()
        self._outbox = Outbox(fd)
        self._running = 0
        self._lasting = 0  # of them, those that wait for something to happen
        self._taken_up = 0
        self._more = False  # the last read was full, so there may be more already
        self._ended = False  # nothing more will come
        self._heard_out = False  # because we hear no more
        self._over = False  # and what came is taken up: there are no turns any more
        self._life = trio.CancelScope()
        self._spares = trio.lowlevel.ParkingLot()
        self._room = trio.lowlevel.ParkingLot()
        self._nursery: trio.Nursery

    async def converse(self) -> None:
        """Returns when the client has gone, or has all its answers after it said that it asks no more.

        What was handed to the store by then is carried out all the same.
        """
        with self._life:
            async with trio.open_nursery() as self._nursery:
                await self._take_turns()

    def hear_out(self) -> None:
        """The reading side of the socket is about to be shut down. A line that this cuts short is none: the client
        has learned that it was not taken."""
        self._heard_out = True

    def is_settled(self) -> bool:
        """Everything that the client has asked is answered, but for what waits for something to happen."""
        return self._over and self._running == self._lasting and not self._outbox.answers

    async def _take_turns(self) -> None:
        """Has the turn at its beginning, and whenever it goes round."""
        while (line := await self._next_line()) is not None:
            answer = self._dispatcher.begin(line)
            if isinstance(answer, bytes):
                if answer:
                    self._outbox.put(answer)
            elif not await self._finish(answer):
                return
        await self._see_out()

    async def _finish(self, work: Work) -> bool:
        """Do it, and send the answer. False: this task is not needed any more."""
        if work.in_turn and work.reads and self._outbox.gone:
            # There may be thousands: a client that left while it asked for the same list again
            # and again would keep the store's reader busy for a minute.
            work.drop()
            return True
        self._running += 1
        if work.in_turn:
            await self._answer(work)
            return True
        self._pass_turn()
        self._lasting += work.lasting
        await self._answer(work)
        self._lasting -= work.lasting
        if self._over or len(self._spares) >= _SPARES:
            return False
        await self._spares.park()
        return not self._over

    async def _answer(self, work: Work) -> None:
        answer = await work.finish()
        self._running -= 1
        if answer:
            self._outbox.put(answer)
            await self._outbox.flush(gather=self._running > 0)
        if work.lines is not None:
            self._running += 1
            await self._send_all(work.lines, work.patience)
            self._running -= 1
        self._room.unpark_all()

    async def _send_all(self, lines: AsyncGenerator[bytes, None], patience: float) -> None:
        """One after the other, each when the client has taken what was before it."""
        async with aclosing(lines):
            with contextlib.suppress(HangUp):
                async for line in lines:
                    self._outbox.put(line)
                    with trio.move_on_after(patience) as taking:
                        await self._outbox.empty()
                    if taking.cancelled_caught:  # half a line may be on its way, so that nothing can follow it
                        break
                    if self._outbox.gone:
                        return
                else:
                    return
        self._life.cancel()

    def _pass_turn(self) -> None:
        if not self._spares.unpark():
            self._nursery.start_soon(self._take_turns)

    async def _next_line(self) -> bytes | LineTooLong | None:
        """What to take up next, once there is room for it; None when the client sends no more."""
        self._taken_up += 1
        if self._taken_up % _STRETCH == 0:
            await trio.lowlevel.checkpoint()
        if not self._has_room():
            await self._make_room()
        while not self._lines:
            await self._outbox.flush()
            if self._ended:
                return None
            await self._read()
        return self._lines.popleft()

    async def _read(self) -> None:
        if self._more:
            await trio.lowlevel.checkpoint()
        else:
            await trio.lowlevel.wait_readable(self._fd)
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            self._more = False
            return
        except OSError:  # reset: it closed without reading all its answers
            data = b""
        self._more = len(data) == _CHUNK
        self._ended = not data
        if data:
            self._lines.extend(self._intake.feed(data))
        elif not self._heard_out:
            self._lines.extend(self._intake.end())

    def _has_room(self) -> bool:
        return self._outbox.size <= _HIGH_WATER and self._running + self._outbox.answers < self._max_outstanding

    async def _make_room(self) -> None:
        await self._outbox.flush()
        with self._hang_ups.watch(self._fd, self._life):
            while not self._has_room():
                await self._room.park()

    async def _see_out(self) -> None:
        """Wait for the answers still owed, for as long as the client does."""
        self._over = True
        self._spares.unpark_all()
        with self._hang_ups.watch(self._fd, self._life):
            while self._running or self._outbox.answers:
                await self._room.park()
