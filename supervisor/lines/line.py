"""One line of input, as a payload."""

import msgspec

from protocol.text import BadText, check_utf8, compact, quote
from supervisor.lines.reading import RawLine

NOT_JSON = "not_json"
TOO_LARGE = "too_large"

_SHOWN = 60  # characters of a line that is refused, in its complaint
_NUMBERS = b"-0123456789"


class Line(msgspec.Struct, frozen=True, gc=False):
    """A line that is not blank. `payload` is compact JSON; where it is None, `cause` and `complaint` say why.

    `custom_id` is the member of that name of a line that is an object, as it was written (a string or a number); of a
    name that is there twice the last one counts, as in every reader of JSON.
    """

    number: int
    payload: bytes | None
    custom_id: bytes | None = None
    cause: str = ""
    complaint: str = ""


class _Named(msgspec.Struct, gc=False):
    custom_id: msgspec.Raw = msgspec.Raw(b"")


_decode_named = msgspec.json.Decoder(_Named).decode


def parse(number: int, text: bytes, *, max_payload: int, raw: bool = False) -> Line:
    """The line `number`, whose text (without its "\\n") is one JSON value; with `raw`, whatever it is, a string."""
    try:
        payload = _as_string(text) if raw else compact(text)
        custom_id = None if raw else _custom_id(payload)
    except BadText as error:
        return Line(number, None, None, NOT_JSON, _unfit(text, str(error), raw))
    except RecursionError:
        return Line(number, None, None, NOT_JSON, _unfit(text, "nested too deep", raw))
    if len(payload) > max_payload:
        return Line(number, None, custom_id, TOO_LARGE, _too_large(len(payload), max_payload))
    return Line(number, payload, custom_id)


def line_of(found: RawLine, *, max_payload: int, raw: bool = False) -> Line:
    """The same for a line that was read; one that is not whole was too long to be."""
    if found.whole:
        return parse(found.number, found.text, max_payload=max_payload, raw=raw)
    complaint = (
        f"the line is longer than the {len(found.text)} bytes that are read of one: send a reference to the data"
    )
    return Line(found.number, None, None, TOO_LARGE, complaint)


def _custom_id(payload: bytes) -> bytes | None:
    # A member's name may be written with escapes; without one of these two there is none to be found.
    if not payload.startswith(b"{") or (b'"custom_id"' not in payload and b"\\u" not in payload):
        return None
    found = bytes(_decode_named(payload).custom_id)
    return found if found[:1] == b'"' or (found and found[0] in _NUMBERS) else None


def _as_string(text: bytes) -> bytes:
    """JSON. A line of a file from Windows ends where its reader would say."""
    check_utf8(text)
    return msgspec.json.encode(text.removesuffix(b"\r").decode())


def _unfit(text: bytes, why: str, raw: bool) -> str:
    why = why.removeprefix("JSON is malformed: ")
    return f"the line is {why if raw else f'not JSON ({why})'}: {quote(text, _SHOWN)}"


def _too_large(size: int, limit: int) -> str:
    return f"the line has {size} bytes (without white space), and {limit} are allowed: send a reference to the data"
