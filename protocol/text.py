"""JSON text as bytes. msgspec checks the grammar of what it skips (`Raw`, unknown members), but not its UTF-8."""

import codecs

import msgspec

from protocol.framing import ProtocolError

_PIECE = 64 * 1024


class BadText(ProtocolError):
    """Bytes that are not UTF-8, or text that is not JSON."""


def check_utf8(data: bytes) -> None:
    """Raises BadText where `data` is not UTF-8 (RFC 3629: no overlong forms, no surrogates)."""
    if data.isascii():
        return
    # Piecewise: decoding a whole 16 MiB line would take up to four times that for a moment.
    decode = codecs.getincrementaldecoder("utf-8")().decode
    try:
        for start in range(0, len(data), _PIECE):
            decode(data[start : start + _PIECE])
        decode(b"", True)
    except UnicodeDecodeError as error:
        raise BadText(f"not UTF-8 ({error.reason})") from None


def compact(text: bytes) -> bytes:
    """The same JSON text without white space outside its strings; numbers and escapes stay as they were written.

    Raises BadText for anything that is not one JSON value in UTF-8, or is nested too deep to be walked.
    """
    check_utf8(text)
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError as error:
        raise BadText(str(error)) from None
    except RecursionError:
        raise BadText("nested too deep") from None


def quote(line: bytes, limit: int = 200) -> str:
    """`line` for an error message: in quotes, printable, cut to about `limit` characters."""
    text = line[: limit * 4].decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return f"'{shown}…'" if len(text) > limit or len(line) > limit * 4 else f"'{shown}'"
