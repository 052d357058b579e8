"""The program under test: one child of it, given jobs, and brought to its end."""

import time
import uuid
from itertools import pairwise
from typing import NamedTuple

import trio

from protocol.worker import Reply, encode_request
from supervisor.conformance.findings import Fault
from supervisor.conformance.hearing import SHOWN, STEP, Hearing
from supervisor.conformance.settings import NAME, Settings
from supervisor.conformance.wire import Wire
from supervisor.core.blame import Why
from supervisor.pool.child import Child
from supervisor.pool.ending import POLITE, end_tree

BUFFERED = "buffered"

AT_ONCE = 1.0  # seconds within which what follows the end of stdin was there before, in a buffer
PAUSE = 0.01  # seconds between the pieces of a request


class Answer(NamedTuple):
    """What is kept of a final reply: its result may be large. `secs`: how long it took; `late`: where stdin was closed
    before it came, how long before."""

    status: str
    message: str
    secs: float
    echoed: bool  # it had the id
    late: float | None = None


def request(payload: bytes, job_id: str, timeout: float, more: bytes = b"") -> bytes:
    """The line of a request; `more`: members that this version does not have (`,"a":1`)."""
    line = encode_request(job_id, payload, NAME, 1, timeout)
    return line[:-2] + more + line[-2:] if more else line


def new_id() -> str:
    return str(uuid.uuid4())


class Subject:
    """One child, until it is ended. `stubborn`: it had to be killed."""

    def __init__(self, child: Child, settings: Settings) -> None:
        self.child = child
        self.wire = Wire(child)
        self.stubborn = False
        self._hearing = Hearing(self.wire, settings)
        self._settings = settings

    @property
    def stdin(self) -> str:
        """What to call the pipe that it reads."""
        return self._hearing.stdin

    @property
    def retires(self) -> bool:
        """It has asked to be replaced."""
        return self._hearing.retires

    @property
    def said_ready(self) -> float | None:
        """Seconds from its start until it said that it is ready."""
        moment = self._hearing.said_ready
        return None if moment is None else moment - self.child.started

    async def listen(self, seconds: float) -> None:
        """It has no job, and for so long it is to live and say nothing. Raises Fault."""
        await self._hearing.silence(seconds)

    async def get_ready(self) -> float:
        """Wait until it says that it is ready; seconds from its start. Raises Fault."""
        patience = self._settings.boot_timeout
        late = False
        if not await self._hearing.ready(self.child.started + patience):
            self.wire.hang_up()
            try:
                late = await self._hearing.ready(time.monotonic() + AT_ONCE)
            except Fault:  # it goes, or says something else by now: it is not ready in any case
                late = False
            if not late:
                half = self._hearing.half()
                raise Fault(
                    "not_ready", f"it did not say that it is ready within {patience:g} s (--boot-timeout){half}"
                )
        if late:
            raise Fault(BUFFERED, f"it said that it is ready only when {self.stdin} was closed, after {patience:g} s")
        assert self.said_ready is not None
        return self.said_ready

    # -- being given work ------------------------------------------------------------------------------------------

    async def ask(
        self, payload: bytes, *, job_id: str | None = None, more: bytes = b"", pieces: tuple[int, ...] = ()
    ) -> Answer:
        """Its answer to one job; `pieces`: where its request is cut. Raises Fault."""
        await self.listen(0.0)
        job_id = job_id or new_id()
        began = time.monotonic()
        until = self._deadline(began)
        await self._send(job_id, request(payload, job_id, self._settings.timeout, more), pieces)
        reply = await self._hearing.final(until)
        if reply is None:
            raise self._hearing.overdue(until - began)
        answer = _answer(reply, began)
        await self._let_it_read(until)
        return answer

    async def ask_first(self, payload: bytes, patience: float) -> Answer:
        """As ask, for a worker of which nothing is known: where no reply has come within `patience` of its reading the
        request, stdin is closed, to see whether the reply sits in a buffer."""
        began = time.monotonic()
        until = self._deadline(began)
        await self._send(job_id := new_id(), request(payload, job_id, self._settings.timeout))
        reply = await self._final_until_quiet(until, patience)
        if reply is None:
            return await self._ask_by_hanging_up(began, until)
        answer = _answer(reply, began)
        await self._let_it_read(until)
        return answer

    async def exchange(self, job_id: str, line: bytes) -> Answer:
        """As ask, with the line made beforehand and nothing around it that takes time."""
        began = time.monotonic()
        await self._send(job_id, line)
        reply = await self._hearing.final(began + self._settings.timeout)
        if reply is None:
            raise self._hearing.overdue(time.monotonic() - began)
        return _answer(reply, began)

    async def echo(self, line: bytes) -> float:
        """Of a program that gives back what it gets: the seconds until the line has come back."""
        began = time.monotonic()
        self.wire.send(line)
        count = 0
        while count < len(line):
            count += len(await self.wire.hear(began + self._settings.timeout) or b"")
            if self.wire.closed:
                raise Fault("pipe", "the bare pipe broke")
        return time.monotonic() - began

    async def start_job(self, payload: bytes) -> float:
        """Send a request whose reply `finish_job` waits for; until when it may take (monotonic)."""
        began = time.monotonic()
        await self._send(job_id := new_id(), request(payload, job_id, self._settings.timeout))
        return self._deadline(began)

    async def finish_job(self, until: float) -> Answer | None:
        """The answer; None: it has not come. Raises Fault."""
        began = time.monotonic()
        reply = await self._hearing.final(until)
        return None if reply is None else _answer(reply, began)

    # -- the end ---------------------------------------------------------------------------------------------------

    async def leave(self) -> bool:
        """Close its stdin; whether it goes by itself in the time that an idle worker has."""
        self.wire.hang_up()
        return await self.wire.gone(POLITE)

    async def end(self, *, polite: bool) -> None:
        """End the whole tree, whatever happens meanwhile. `polite`: as an idle worker, else at once."""
        with trio.CancelScope(shield=True):
            if polite and not self.wire.dead:
                self.stubborn = not await self.leave()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.child.watch)
                await end_tree(self.child, Why.GARBAGE, self._settings.kill_grace)
            self.child.reap()
            self.child.close()

    # -- how it is asked -------------------------------------------------------------------------------------------

    def _deadline(self, began: float) -> float:
        """As in the daemon, the first job has the boot's time on top."""
        return began + self._settings.timeout + (0.0 if self._hearing.answered else self._settings.boot_timeout)

    async def _send(self, job_id: str, line: bytes, pieces: tuple[int, ...] = ()) -> None:
        self._hearing.asked(job_id)
        for start, end in pairwise((0, *pieces, len(line))):
            if start:
                await self._until_read()
            try:
                self.wire.send(line[start:end])
            except BrokenPipeError:
                when = "before its whole request had come" if start else "while it had no job"
                raise await self._hearing.cut_off(when) from None

    async def _until_read(self) -> None:
        """It has taken the first piece, and had time to do something with it: a good one waits for the rest."""
        until = time.monotonic() + AT_ONCE
        while self.child.unread() and time.monotonic() < until:  # noqa: ASYNC110
            await trio.sleep(PAUSE)
        await trio.sleep(PAUSE)

    async def _let_it_read(self, until: float) -> None:
        """It may answer before it has read the whole request, but then it reads the rest."""
        while self.wire.unwritten and not self.wire.closed:
            await self.listen(STEP)
            if time.monotonic() >= until:
                raise Fault("unread", f"it replied, and left {self.wire.unwritten} bytes of the request unread")

    async def _final_until_quiet(self, until: float, patience: float) -> Reply | None:
        """Its final reply; None by `until`, or as soon as it has had so much time since it read the request."""
        quiet = float("inf")
        while (now := time.monotonic()) < min(until, quiet):
            reply = await self._hearing.final(min(until, quiet, now + STEP))
            if reply is not None:
                return reply
            if quiet == float("inf") and not self.wire.unwritten and self.child.unread() == 0:
                quiet = time.monotonic() + patience
        return None

    async def _ask_by_hanging_up(self, began: float, until: float) -> Answer:
        """No reply has come: close stdin, which empties a buffer and ends nothing else. A slow boot or job goes on."""
        closed = time.monotonic()
        overdue = self._hearing.overdue(closed - began)
        if overdue.kind != "timeout":
            raise overdue
        self.wire.hang_up()
        try:
            reply = await self._hearing.final(max(until, closed + AT_ONCE))
        except Fault as fault:
            if fault.kind != "exited":
                raise
            text = f"it read its request and said nothing for {closed - began:.3g} s; when {self.stdin} was closed, it"
            raise Fault("silent", f"{text} {self.wire.exit_words()}, still without a reply") from None
        if reply is None:
            overdue = self._hearing.overdue(time.monotonic() - began)
            raise Fault(overdue.kind, f"{overdue.message}, nor when {self.stdin} was closed")
        return _answer(reply, began)._replace(late=time.monotonic() - closed)


def _answer(reply: Reply, began: float) -> Answer:
    return Answer(reply.status, reply.message[:SHOWN], time.monotonic() - began, reply.id is not None)
