"""The worker protocol's messages, version 1. Grammar, lifecycle and advice: protocol/README.md."""

from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Raw

from protocol.framing import ProtocolError
from protocol.text import BadText, check_utf8, compact, quote

__all__ = [
    "DEFAULT_MESSAGE",
    "DEFAULT_RETRY_AFTER",
    "MAX_RETRY_AFTER",
    "PROTOCOL_VERSION",
    "Garbage",
    "Reply",
    "compact",
    "decode_reply",
    "encode_brief_progress",
    "encode_progress",
    "encode_request",
]

PROTOCOL_VERSION = 1

DEFAULT_MESSAGE = "worker reported error"
DEFAULT_RETRY_AFTER = 60.0
MAX_RETRY_AFTER = 366 * 86400.0
BRIEF = 200  # characters of a message

NULL = Raw(b"null")

# Bounded, so that whatever is accepted can be written again.
Number = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | float


class Garbage(ProtocolError):
    """A line that is not a reply. The text says why, and quotes it."""


class Reply(msgspec.Struct, kw_only=True, gc=False):
    """One line of a worker. `ok`, `error` and `throttled` are final; `ready` is only ever the first line of all. Each
    uses the members under its name below; JSON that is missing is `null`."""

    status: Literal["ok", "error", "throttled", "progress", "ready"]
    id: str | None = None
    recycle: bool = False
    # ok
    result: Raw = NULL
    # error; progress has a message too, "" when missing
    message: str = ""
    retry: bool = True
    details: Raw = NULL  # msgspec decodes no `Raw | None`
    # throttled
    retry_after_secs: float = DEFAULT_RETRY_AFTER
    # progress
    progress: Number | None = None
    done: Number | None = None
    total: Number | None = None
    data: Raw = NULL


class _Progress(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    progress: Number | None
    message: str = ""
    done: Number | None = None
    total: Number | None = None
    data: Raw = NULL


_decode = msgspec.json.Decoder(Reply).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def encode_request(job_id: str, payload: bytes | Raw, queue: str, attempt: int, timeout_secs: float) -> bytes:
    """The line that gives a job to a worker, "\\n" included. `payload` is spliced as it is: compact JSON.

    `id` comes first and nothing is escaped in it, so that a shell can cut it out by position.
    """
    before_attempt, after_attempt = _policy(queue, timeout_secs)
    return b"".join(
        (b'{"id":"', job_id.encode(), b'","payload":', payload, before_attempt, b"%d" % attempt, after_attempt)
    )


@lru_cache(maxsize=1024)
def _policy(queue: str, timeout_secs: float) -> tuple[bytes, bytes]:
    """The parts of a request that its queue and timeout decide."""
    seconds = int(timeout_secs) if timeout_secs % 1 == 0 else timeout_secs
    return b',"queue":' + _encode(queue) + b',"attempt":', b',"timeout_secs":' + _encode(seconds) + b"}\n"


def decode_reply(line: bytes) -> Reply:
    """What a worker said; raises Garbage for whatever is not a reply."""
    try:
        check_utf8(line)
        reply = _decode(line)
    except msgspec.ValidationError as error:
        reply = _decode_without_nulls(line, error)
    except (msgspec.DecodeError, BadText) as error:
        raise _garbage(line, str(error)) from None
    except RecursionError:
        raise _garbage(line, "nested too deep") from None
    if reply.status != "ok":
        _fill_in(reply)
    return reply


def encode_progress(reply: Reply) -> bytes:
    """What a job shows as its `progress`: the members the worker sent, as one JSON object."""
    return _encode(
        _Progress(progress=reply.progress, message=reply.message, done=reply.done, total=reply.total, data=reply.data)
    )


def encode_brief_progress(reply: Reply) -> bytes:
    """The same without what could be large."""
    return _encode(
        _Progress(progress=reply.progress, message=reply.message[:BRIEF], done=reply.done, total=reply.total)
    )


def _decode_without_nulls(line: bytes, error: msgspec.ValidationError) -> Reply:
    """Many languages write a member they have no value for as null: it counts as missing."""
    try:
        members = _decode_members(line)
        return _decode(_encode({name: value for name, value in members.items() if value != NULL}))
    except (msgspec.DecodeError, RecursionError):  # the first error came before the rest of the line was looked at
        raise _garbage(line, str(error)) from None


def _fill_in(reply: Reply) -> None:
    if reply.status == "error":
        reply.message = reply.message or DEFAULT_MESSAGE
    elif reply.status == "throttled":
        # A worker that subtracts two clocks may come out below zero; one year is as good as any longer time.
        reply.retry_after_secs = min(max(reply.retry_after_secs, 0.0), MAX_RETRY_AFTER)


def _garbage(line: bytes, why: str) -> Garbage:
    why = why if line.strip() else "it is empty"
    return Garbage(f"the worker wrote a line that is not a reply ({why}): {quote(line)}")
