"""What one worker says, held against the protocol: replies, or the fault it committed."""

import time

from protocol.text import quote
from protocol.worker import Garbage, Reply, decode_reply
from supervisor.conformance.findings import Fault
from supervisor.conformance.settings import Settings
from supervisor.conformance.wire import Wire
from supervisor.core.blame import Why
from supervisor.pool.conversation import HINTS, Broken, Conversation, hint

CLOSED_GRACE = 0.2  # seconds for a child that closed its pipes to exit, so that its exit code is told
STEP = 0.05  # seconds
SHOWN = 1000  # bytes that are kept of half a line

_GARBAGE = {"stdio": "garbage", "cut": "several_lines", "echo": "request_echoed"}  # kinds, by what is to be done


class Hearing:
    """`said_ready`: the moment (monotonic) when it said that it is ready; `retires`: it asked to be replaced;
    `answered`: its final replies. `stdin` and `stdout` are what to call its two pipes."""

    def __init__(self, wire: Wire, settings: Settings) -> None:
        self.said_ready: float | None = None
        self.retires = False
        self.answered = 0
        self.stdin, self.stdout = settings.pipes
        self._wire = wire
        self._requests = 0
        self._tail = b""  # what it has said since the last line feed
        pool = settings.pool()
        self._conversation = Conversation(
            pool.max_line, wire.nothing_read, channel=pool.channel, ready=pool.ready, require_id=pool.require_id
        )

    def asked(self, job_id: str) -> None:
        """It is given this job."""
        self._conversation.request(job_id)
        self._requests += 1

    async def final(self, until: float) -> Reply | None:
        """Its final reply; None when there is none by `until` (monotonic). Raises Fault."""
        while (data := await self._heard(until)) is not None:
            if not data:
                raise await self.gone("before it replied")
            final = self._understand(data)
            if final is not None:
                self.answered += 1
                return final
            if time.monotonic() >= until:  # it never stops talking
                break
        return None

    async def ready(self, until: float) -> bool:
        """Whether it says by `until` that it is ready. Raises Fault."""
        while self.said_ready is None:
            data = await self._wire.hear(until)
            if data is None:
                return False
            if not data:
                raise await self.gone("before it was ready")
            self._understand(data)
        return True

    async def silence(self, seconds: float) -> None:
        """It has no job, and for so long it is to live and say nothing. Raises Fault."""
        until = time.monotonic() + seconds
        while (data := await self._wire.hear(until)) is not None:
            if not data:
                raise await self.gone("while it had no job")
            self._understand(data)
        broken = self._conversation.unfinished()
        if broken is not None:
            raise Fault(broken.why.value, broken.text)

    # -- what went wrong -------------------------------------------------------------------------------------------

    async def gone(self, when: str) -> Fault:
        """It will say no more: dead, or its stdout closed."""
        if not await self._wire.gone(CLOSED_GRACE):
            return Fault("closed", f"it closed its {self.stdout} {when}, and lives on")
        if self._requests > self.answered and self._wire.nothing_read():
            when = f"without reading {'the next' if self.answered else 'its'} request"
        return Fault("exited", f"it {self._wire.exit_words()} {when}")

    async def cut_off(self, when: str) -> Fault:
        """Nobody can read its requests any more: it has died, or closed that pipe."""
        if await self._wire.gone(CLOSED_GRACE):
            return Fault("exited", f"it {self._wire.exit_words()} {when}")
        return self._deaf()

    def overdue(self, seconds: float) -> Fault:
        """It had so long, and there is no final reply."""
        # As in the daemon, the boot's time is on top of the first job's.
        bounds = "--timeout" if self.answered else "--boot-timeout and --timeout"
        within = f"within {seconds:.3g} s ({bounds})"
        if self._wire.deaf:
            return self._deaf()
        if self._wire.nothing_read():
            return Fault("unread", f"it read nothing of its request {within}")
        if self._wire.unwritten:
            left = self._wire.unwritten
            return Fault("unread", f"it left {left} bytes of its request unread, and did not reply {within}")
        if self._tail:
            return Fault("half_line", f"it wrote no whole line {within}{self.half()}")
        return Fault("timeout", f"it read its request and wrote no reply {within}")

    def half(self) -> str:
        """The beginning of a line, if that is all there is, for the end of a sentence."""
        return f", but the beginning of one: {quote(self._tail)}" if self._tail else ""

    def _deaf(self) -> Fault:
        return Fault("deaf", f"it closed its {self.stdin} and lives on")

    # -- hearing ---------------------------------------------------------------------------------------------------

    async def _heard(self, until: float) -> bytes | None:
        """As the wire hears it; not any longer where it cannot read its request any more."""
        while not self._wire.deaf:
            if (data := await self._wire.hear(min(until, time.monotonic() + STEP))) is not None:
                return data
            if time.monotonic() >= until:
                return None
        data = await self._wire.hear(min(until, time.monotonic() + CLOSED_GRACE))
        if data is None and self._wire.nothing_read():
            raise self._deaf()
        return data if data is not None else await self._wire.hear(until)

    def _understand(self, data: bytes) -> Reply | None:
        """The final reply among what it said; raises Fault where a rule is broken."""
        lines = (self._tail + data).split(b"\n")
        self._tail = lines[-1][:SHOWN]
        final = None
        for line, step in zip(lines, self._conversation.hear(data), strict=False):
            if isinstance(step, Broken):
                raise Fault(_kind(step, line), _without_advice(step.text))
            self.retires = self.retires or step.recycle
            if step.status == "ready":
                self.said_ready = time.monotonic()
            elif step.status != "progress":
                final = step
        return final


def _without_advice(text: str) -> str:
    """The report gives it in a place of its own."""
    for advice in HINTS.values():
        text = text.removesuffix(f"; {advice}")
    return text


def _kind(broken: Broken, line: bytes) -> str:
    """What is called garbage or out of turn may have a remedy of its own."""
    try:
        reply = decode_reply(line)
    except Garbage:
        if broken.why is Why.GARBAGE:
            return _GARBAGE[hint(line, "stdio")]
    else:
        if reply.status == "ready":
            return "ready_late"
        if broken.why is Why.GARBAGE and reply.id is None:
            return "no_id"
    return broken.why.value
