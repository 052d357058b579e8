"""Hearing many children at once.

A wait for each reply, a task switch there and back, would be a third of what a short job costs the loop. So the pipes
of a pool's children are gathered in one epoll of its own, and one task waits for that; it goes from child to child for
as long as any has spoken, and the loop turns only when all are silent or others have waited long enough.

A child that never stops talking is heard at intervals: meanwhile its pipe is full, and it waits.

Who has nothing but these children to serve may wait for them right here, for a moment: that saves the loop's turn,
which a very short job is not worth, and what there is to do beside can be done while they work.
"""

import select
import time
from collections.abc import Callable

import trio

TURN = 0.001  # seconds of hearing before the loop's other tasks get a chance
REST = 0.02  # seconds before a chatterer is heard again
SOON = 0.00005  # seconds in which a quick reply comes
LINGER = 0.001  # seconds of waiting while the loop stands still; epoll knows no less

Hear = Callable[[], bool | None]


class Ears:
    """`meanwhile`: what is to be done while the children work, a few microseconds of it a call. It is for a loop that
    has no other business: with it the loop waits for the children's next words for up to LINGER at a time."""

    def __init__(self, meanwhile: Callable[[], None] | None = None) -> None:
        self._meanwhile = meanwhile
        self._quick = False  # the last words came soon
        self._epoll = select.epoll()
        self._hear: dict[int, Hear] = {}
        self._resting: set[int] = set()
        self._rested_at = 0.0  # monotonic: when they are listened to again

    def listen(self, fd: int, hear: Hear) -> None:
        """From now on `hear` is called whenever there is something to read, or the end; it must read, or `ignore`.
        If it returns True, this one talks too much and has a rest."""
        self._hear[fd] = hear
        self._epoll.register(fd, select.EPOLLIN)

    def ignore(self, fd: int) -> None:
        """Call it before `fd` is closed."""
        if self._hear.pop(fd, None) is None:
            return
        if fd in self._resting:
            self._resting.remove(fd)
        else:
            self._epoll.unregister(fd)

    async def run(self) -> None:
        while True:
            with trio.move_on_after(REST if self._resting else float("inf")):
                await trio.lowlevel.wait_readable(self._epoll.fileno())
            if self._resting and time.monotonic() >= self._rested_at:
                self._end_rest()
            self._hear_some()

    def close(self) -> None:
        """When nobody is listened to any more."""
        self._epoll.close()

    def _hear_some(self) -> None:
        until = time.monotonic() + TURN
        while spoken := self._spoken():
            for fd, _ in spoken:
                hear = self._hear.get(fd)  # what one says may end another
                if hear is not None and hear():
                    self._rest(fd)
                if time.monotonic() >= until:
                    return  # whoever was not heard is still readable, and in front next time

    def _spoken(self) -> list[tuple[int, int]]:
        if self._meanwhile is None:
            return self._epoll.poll(0)
        self._meanwhile()
        return self._linger()

    def _linger(self) -> list[tuple[int, int]]:
        """To fall asleep and to be woken costs more than a quick reply takes: after one that came so soon, the next is
        looked for as long without a pause."""
        start = time.monotonic()
        spoken: list[tuple[int, int]] = []
        if self._quick:
            while not (spoken := self._epoll.poll(0)) and time.monotonic() - start < SOON:
                pass
        spoken = spoken or self._epoll.poll(LINGER)
        self._quick = time.monotonic() - start < SOON
        return spoken

    def _rest(self, fd: int) -> None:
        if fd not in self._hear:
            return
        self._epoll.unregister(fd)
        if not self._resting:
            self._rested_at = time.monotonic() + REST
        self._resting.add(fd)

    def _end_rest(self) -> None:
        for fd in self._resting:
            self._epoll.register(fd, select.EPOLLIN)
        self._resting.clear()
