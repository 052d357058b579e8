"""What one child says, taken as steps of the worker protocol. No I/O: bytes in, replies or a broken rule out."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from protocol.control import MAX_ANSWER
from protocol.framing import Lines, LineTooLong
from protocol.text import quote
from protocol.worker import Garbage, Reply, decode_reply
from supervisor.core.blame import Why
from supervisor.core.job import NULL, Cause, JobError
from supervisor.core.verdict import End, Verdict

# What a worker says of a failure is kept with its job, up to 20 times over; the job must still fit into one answer.
MAX_MESSAGE = 8192  # characters
MAX_DETAILS = 65536  # bytes
MAX_JOB = MAX_ANSWER - 2 * 1024 * 1024  # bytes of payload and result; the rest is for everything else a job has

HINTS: Mapping[str, str] = MappingProxyType(
    {
        "stdio": "stdout is for replies, one JSON object a line: print anything else to stderr, or set "
        'channel = "fd" (stoker map: --channel fd), where a stray print does no harm',
        "fd": "file descriptor 4 is for replies, one JSON object a line: print anything else to stdout or stderr",
        "cut": "the reply stands on several lines: print it without indentation, on one line",
        "echo": "it echoed the request: the reply needs a status",
    }
)

# Without making anything of what may be megabytes.
_skip = msgspec.json.Decoder(msgspec.Raw).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def hint(line: bytes, channel: Literal["stdio", "fd"]) -> str:
    """What the writer of a line that is not a reply is to do: a key of HINTS."""
    if line.lstrip()[:1] not in (b"{", b"["):
        return channel
    try:
        _skip(line)
        members = _decode_members(line)
    except (msgspec.DecodeError, RecursionError) as error:
        return "cut" if "truncated" in str(error) else channel
    return "echo" if {"id", "payload"} <= members.keys() and "status" not in members else channel


class Broken(msgspec.Struct, frozen=True):
    """A rule of the protocol was broken, and the conversation is over. `late`: by words that belong to the job before
    the one in hand."""

    why: Why
    text: str
    late: bool = False


class Conversation:
    """`ready`: nothing but {"status":"ready"} may be said before it. Elsewhere that line may come first, and changes
    nothing. `unread` tells whether the child has not touched the request it was sent, and so cannot be answering it."""

    def __init__(
        self,
        max_line: int,
        unread: Callable[[], bool],
        *,
        channel: Literal["stdio", "fd"] = "stdio",
        ready: bool = False,
        require_id: bool = False,
    ) -> None:
        self._lines = Lines(max_line)
        self._unread = unread
        self._channel = channel
        self._awaits_ready = ready
        self._require_id = require_id
        self.silent = True  # not one line yet
        self._job: str | None = None  # the request that is out
        self._last: str | None = None  # the one before it
        self._has_read = False  # it has begun to read the request; asked once for each chunk
        self._echoes = False  # the child has sent an id once, so it must go on

    def request(self, job_id: str) -> None:
        """A request goes out; until its final reply it is the child's turn."""
        self._job = job_id

    def hear(self, data: bytes) -> list[Reply | Broken]:
        """The child's replies in `data`: any progress, then at most one final one. Broken comes last."""
        self._has_read = False
        try:
            lines = self._lines.feed(data)
        except LineTooLong as too_long:
            steps = self._hear_lines(too_long.lines)
            if not (steps and isinstance(steps[-1], Broken)):
                text = f"the worker wrote a line of more than max_line = {too_long.max_line} bytes"
                steps.append(Broken(Why.OVERSIZE, text))
            return steps
        steps = self._hear_lines(lines)
        # The first words may be the beginning of "ready"; later ones are out of turn before they are finished.
        broken = None if self.silent or (steps and isinstance(steps[-1], Broken)) else self.unfinished()
        if broken is not None:
            steps.append(broken)
        return steps

    def hear_plain(self, data: bytes) -> Reply | None:
        """The final reply to the job in hand, where `data` is that line and nothing else, from a child that has echoed
        an id before: what healthy ones send. None: nothing was heard, and `hear` has to."""
        job = self._job
        if not self._echoes or job is None or self._lines.partial or data.find(b"\n") != len(data) - 1:
            return None
        try:
            reply = decode_reply(data)
        except Garbage:
            return None
        if reply.id != job or reply.status != "ok" or len(data) > self._lines.max_line:
            return None
        self._job, self._last = None, job
        return reply

    @property
    def mute(self) -> bool:
        """It has not said anything at all, not even half a line."""
        return self.silent and not self._lines.partial

    def unfinished(self) -> Broken | None:
        """The beginning of a line, from a child that has no job: it cannot be given one now."""
        if self._job is None and self._lines.partial:
            return _out_of_turn(self._lines.tail())
        return None

    def _hear_lines(self, lines: list[bytes]) -> list[Reply | Broken]:
        steps: list[Reply | Broken] = []
        for line in lines:
            step = self._hear_first(line) if self.silent else self._hear_line(line)
            steps.append(step)
            if isinstance(step, Broken):
                break
        return steps

    def _hear_first(self, line: bytes) -> Reply | Broken:
        self.silent = False
        try:
            reply = decode_reply(line)
        except Garbage as garbage:
            return _before_ready(self._hinted(garbage, line)) if self._awaits_ready else self._hear_line(line)
        if reply.status == "ready":
            self._awaits_ready = False
            return reply
        if self._awaits_ready:
            return _before_ready(f"the worker wrote a reply: {quote(line)}")
        return self._hear_line(line)

    def _hear_line(self, line: bytes) -> Reply | Broken:
        job = self._job
        if job is None:
            return _out_of_turn(line)
        try:
            reply = decode_reply(line)
        except Garbage as garbage:
            return Broken(Why.GARBAGE, self._hinted(garbage, line))
        if reply.status == "ready":
            return Broken(Why.GARBAGE, f"the worker said that it is ready, but not as its first line: {quote(line)}")
        if reply.id == job:
            self._echoes = True
        elif (broken := self._out_of_step(reply, job)) is not None:
            return broken
        if reply.status != "progress":
            self._job, self._last = None, job
        return reply

    def _hinted(self, garbage: Garbage, line: bytes) -> str:
        return f"{garbage}; {HINTS[hint(line, self._channel)]}"

    def _out_of_step(self, reply: Reply, job: str) -> Broken | None:
        if reply.id is None:
            self._has_read = self._has_read or not self._unread()
            if not self._has_read:
                return Broken(Why.EXTRA, "the worker replied before it had read its request")
            if self._require_id:
                return Broken(Why.GARBAGE, "the worker replied without the id, and its pool says require_id = true")
            if self._echoes:
                return Broken(Why.GARBAGE, "the worker replied without the id, though it had sent ids before")
            return None
        if reply.id == self._last:
            return Broken(Why.EXTRA, f"the worker replied a second time to job {reply.id}", late=True)
        other = quote(reply.id.encode())
        return Broken(Why.DESYNC, f"the worker replied to job {other} while it had job {job}")


def _out_of_turn(line: bytes) -> Broken:
    return Broken(Why.EXTRA, f"the worker wrote a line while it had no job: {quote(line)}")


def _before_ready(text: str) -> Broken:
    return Broken(Why.GARBAGE, f'the worker was to say {{"status":"ready"}} first, but {text}')


def verdict_of(reply: Reply, stderr: Callable[[], str | None], payload: int) -> Verdict:
    """What a final reply says of its attempt. `stderr` is asked for the last lines where the attempt failed;
    `payload` is the size of the job's."""
    if reply.status == "ok":
        result = bytes(reply.result)
        if len(result) + payload > MAX_JOB:
            return _too_large(len(result), payload)
        return Verdict(End.OK, result=result)
    if reply.status == "throttled":
        return Verdict(End.THROTTLED, delay=reply.retry_after_secs)
    message, details = reply.message, reply.details
    if len(message) > MAX_MESSAGE:
        message = message[:MAX_MESSAGE] + "…"
    if len(memoryview(details)) > MAX_DETAILS:
        message += f" (its details were over {MAX_DETAILS} bytes and are left out)"
        details = NULL
    error = JobError(cause=Cause.ERROR, message=message, stderr=stderr(), retry=reply.retry, details=details)
    return Verdict(End.FAILED, error=error)


def _too_large(result: int, payload: int) -> Verdict:
    """A result that was recorded and then fits into no answer would be lost to everybody."""
    message = (
        f"the result of {result} bytes, with the payload's {payload}, is over the {MAX_JOB} that a job may have: "
        "put it into a file, and let the result name it"
    )
    return Verdict(End.FAILED, error=JobError(cause=Cause.OVERSIZE, message=message, retry=False))
