"""A run from its first line to its last process.

What ends it is one of these, whichever comes first: every line is answered; a signal; the workers do not come up; the
input or the output fails. In each case workers end first, all of their processes, and then what is answered is
written.
"""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager

import trio

from supervisor.errors import StokerError
from supervisor.mapping.answers import OutputFailed, ReaderGone
from supervisor.mapping.ending import FAILED, MISUSE, READER_GONE, Ending
from supervisor.mapping.ends import Ends
from supervisor.mapping.feed import InputFailed
from supervisor.mapping.journal import SUFFIX
from supervisor.mapping.settings import Settings
from supervisor.mapping.work import Work
from supervisor.mapping.workers import NEVER_WORKED, Workers

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

HURRY = 1.0  # seconds for a reader of the output that is slow, after such a signal


class Stop(Exception):
    """Why a run ends before its input does."""

    def __init__(self, code: int, reason: str | None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Engine:
    """`environ` is what workers inherit."""

    def __init__(self, settings: Settings, ends: Ends, environ: Mapping[str, str]) -> None:
        self._ends = ends
        self._settings = settings
        self._over = trio.Event()
        self._stop: Stop | None = None
        self._hurry: Stop | None = None  # a signal when there was nothing left to stop
        self._closing = False
        self._finishing = trio.CancelScope()
        self._answered = 0
        self._work = Work(
            ends.feed, ends.answers, settings.queue(), settings.timeout, stem=ends.stem, done=self._over.set
        )
        self._pool = Workers(settings.pool(), self._work, environ, self._hopeless)

    async def run(self) -> Ending:
        """Return when everything is written and no process is left."""
        with _caught_signals() as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._heed, signals)
                nursery.start_soon(self._ends.screen.run)
                await self._map()
                ending = await self._close()
                nursery.cancel_scope.cancel()
        self._ends.screen.close()
        return ending

    async def _map(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._or_stop, self._ends.feed.run)
            nursery.start_soon(self._or_stop, self._ends.answers.run)
            nursery.start_soon(self._work.again.alarm.run)
            try:
                await self._serve()
            finally:
                nursery.cancel_scope.cancel()

    async def _serve(self) -> None:
        """Give lines to the workers until it is over, and return when they are gone."""
        async with trio.open_nursery() as nursery:
            self._work.serve(self._pool)
            nursery.start_soon(self._pool.run)
            await self._over.wait()
            self._pool.stop()
        self._work.settle()

    async def _close(self) -> Ending:
        answers = self._ends.answers
        self._closing = True
        if self._stop is None:
            if self._hurry is not None:
                self._finishing.deadline = trio.current_time() + HURRY
            with self._finishing:  # it may wait for a slow reader, and a signal ends that
                await self._write(finished=True)
            if self._finishing.cancelled_caught:
                self._stop = self._stop or self._hurry
        if self._stop is not None:
            await self._write(finished=False)
        code, reason = (0, None) if self._stop is None else (self._stop.code, self._stop.reason)
        return Ending(
            code=code or (FAILED if answers.failed_count else 0),
            answered=self._answered,
            failed=answers.failed_count,
            reason=reason,
            resumable=reason is not None and self._is_resumable(),
        )

    def _is_resumable(self) -> bool:
        output = self._settings.output
        return output is not None and os.path.exists(f"{output}{SUFFIX}")

    async def _write(self, *, finished: bool) -> None:
        try:
            self._answered = await self._ends.answers.close(finished=finished)
        except StokerError as error:
            self._stop = self._stop or _stop(error)

    # -- what ends it early ----------------------------------------------------------------------------------------

    def _end(self, stop: Stop) -> None:
        """The first reason counts."""
        if self._stop is None:
            self._stop = stop
            self._work.stopped = True
            self._over.set()
            self._pool.stop()
            self._finishing.cancel()

    async def _or_stop(self, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except (InputFailed, OutputFailed, ReaderGone) as error:
            self._end(_stop(error))

    def _hopeless(self, reason: str) -> None:
        if self._pool.jobs_done:
            words = f"the workers do not come up any more: {reason}"
        else:
            words = f"no worker came up, after {NEVER_WORKED} starts of each: {reason}"
        self._end(Stop(MISUSE, words))

    async def _heed(self, signals: AsyncIterator[int]) -> None:
        """The first ends the run within the grace of what runs, the second at once."""
        async for number in signals:
            words = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
            stop = Stop(128 + number, words)
            if self._over.is_set() and not self._closing:  # nothing is left but workers that take their time
                self._hurry = stop
                self._pool.kill()
            else:
                self._say_stopping(number)
                self._end(stop)

    def _say_stopping(self, number: int) -> None:
        busy = sum(slot.run is not None for slot in self._pool.slots)
        if busy and number == signal.SIGINT:
            these = "the line that runs is" if busy == 1 else f"the {busy} lines that run are"
            grace = f"{self._settings.kill_grace:g} s"
            self._ends.screen.say(f"stoker: {these} cut short, within {grace}; Ctrl-C again: at once")


def _stop(error: StokerError) -> Stop:
    code = READER_GONE if isinstance(error, ReaderGone) else FAILED if isinstance(error, OutputFailed) else MISUSE
    return Stop(code, None if isinstance(error, ReaderGone) else error.message)


@contextmanager
def _caught_signals() -> Iterator[AsyncIterator[int]]:
    """Those that would end us; but what is ignored (nohup, a shell's background job) stays so."""
    heard = [number for number in STOP_SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    if not heard:
        yield _nothing()
        return
    with trio.open_signal_receiver(*heard) as caught:
        yield caught


async def _nothing() -> AsyncIterator[int]:
    await trio.sleep_forever()
    yield 0
