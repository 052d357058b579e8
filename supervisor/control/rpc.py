"""The JSON-RPC 2.0 envelope: one line in, one line out. What is inside `params` and `result` is not its business."""

import math
from collections.abc import AsyncGenerator, Mapping
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw

from protocol.control import INVALID_REQUEST, PARSE_ERROR
from protocol.text import BadText, check_utf8
from supervisor.control.complaints import cut

MAX_ID = 256  # bytes of JSON

_NO_ID = Raw(b"")
_NULL = b"null"
_FIRST_OF_ID = frozenset(b'"-0123456789n')


class Streaming(NamedTuple):
    """What a handler gives whose request is not over with its answer: `lines` are sent after it, some at a time, as the
    client takes them. One that takes nothing for `patience` seconds is hung up on: what the lines are made of may be
    dear to keep."""

    result: object
    lines: AsyncGenerator[bytes, None]
    patience: float = math.inf


class HangUp(Exception):
    """Of what is streaming: nothing more is said on this connection."""


class Request(msgspec.Struct, frozen=True, gc=False):
    """`id` is spliced into the answer as it came; None: a notification, which gets none."""

    id: bytes | None
    method: str
    params: Raw


class BadCall(Exception):
    """What JSON-RPC has a code of its own for: something is wrong with the call, whatever the daemon's state."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class BadRequest(BadCall):
    """A line that is no request. `id` is the line's, where it can be told, else null."""

    def __init__(self, code: int, message: str, id: bytes = _NULL) -> None:
        super().__init__(code, message)
        self.id = id


class _Envelope(msgspec.Struct, frozen=True, gc=False):
    method: str
    jsonrpc: Literal["2.0"]
    id: Raw = _NO_ID
    params: Raw = Raw(b"{}")


class _Error(msgspec.Struct, frozen=True):
    code: int
    message: str
    data: Mapping[str, object]


_decode = msgspec.json.Decoder(_Envelope).decode
_decode_members = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.Encoder().encode


def parse(line: bytes) -> Request | None:
    """The request in a line, None in a blank one. Raises BadRequest."""
    try:
        check_utf8(line)
        envelope = _decode(line)
    except msgspec.ValidationError:
        raise _refusal(line) from None
    except (msgspec.DecodeError, BadText) as error:
        if not line.strip():
            return None
        raise _not_json(str(error)) from None
    except RecursionError:
        raise _not_json("nested too deep") from None
    id = bytes(envelope.id)
    if id and not _is_id(id):
        raise _bad_id()
    return Request(id or None, envelope.method, envelope.params)


def encode_answer(id: bytes, result: object) -> bytes:
    """The line that answers a request. Whatever msgspec can encode is a result."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}\n' % (id, _encode(result))


def encode_error(id: bytes, code: int, message: str, data: Mapping[str, object]) -> bytes:
    """The line that refuses one. `data["code"]` is the stable word that programs test."""
    return b'{"jsonrpc":"2.0","id":%b,"error":%b}\n' % (id, _encode(_Error(code, message, data)))


def encode_notification(method: str, params: object) -> bytes:
    """A line that nobody asked for."""
    return b'{"jsonrpc":"2.0","method":"%b","params":%b}\n' % (method.encode(), _encode(params))


def _is_id(id: bytes) -> bool:
    return id[0] in _FIRST_OF_ID and len(id) <= MAX_ID


def _bad_id() -> BadRequest:
    return BadRequest(INVALID_REQUEST, f"id: expected a string, a number or null, of at most {MAX_ID} bytes")


def _not_json(why: str) -> BadRequest:
    return BadRequest(PARSE_ERROR, f"the line is not JSON ({why}): send one JSON object a line, in UTF-8")


def _refusal(line: bytes) -> BadRequest:
    """Why a line of good UTF-8 is no request. Slow and careful, for those that failed the fast way."""
    try:
        members = _decode_members(line)
    except msgspec.ValidationError:
        return _not_an_object(line)
    except msgspec.DecodeError as error:
        return _not_json(str(error))
    except RecursionError:
        return _not_json("nested too deep")
    id = bytes(members.get("id", _NULL))
    if not _is_id(id):
        return _bad_id()
    return BadRequest(INVALID_REQUEST, _what_is_wrong(members), id)


def _not_an_object(line: bytes) -> BadRequest:
    if line.lstrip().startswith(b"["):
        return BadRequest(
            INVALID_REQUEST, "JSON-RPC batches are not supported: send one request a line, and many of them"
        )
    return BadRequest(INVALID_REQUEST, "a request is an object with jsonrpc, id, method and params")


def _what_is_wrong(members: dict[str, Raw]) -> str:
    version = members.get("jsonrpc", Raw(b"nothing"))
    if version != Raw(b'"2.0"'):
        return f'jsonrpc: expected "2.0", got {cut(bytes(version).decode())}'
    if "method" not in members:
        return "method: required, but missing"
    return f"method: expected a string, got {cut(bytes(members['method']).decode())}"
