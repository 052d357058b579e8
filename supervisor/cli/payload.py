"""JSON from the command line and from stdin, with an error that says where it went wrong and why it may have.

The text is checked and handed on as it is: decoding and encoding it would change its numbers.
"""

import json
from typing import Any, NoReturn

from supervisor.cli.failures import Misuse

EXCERPT = 40  # characters of the text that are quoted in an error


def checked(text: str | bytes, name: str) -> str:
    """The same JSON on one line; raises Misuse, in one sentence that begins with `name` ("the payload", "line 3 of
    stdin").

    `text` as str came through a shell, which is where quotes get lost.
    """
    decoded = _decode(text, name)
    if not decoded.strip():
        raise Misuse(f"{name} is empty: write null where there is nothing to say")
    try:
        value = json.loads(decoded, parse_constant=_refuse, parse_float=str, parse_int=str)  # no limit to digits
        if "\\ud" in decoded.lower():
            _refuse_lone_surrogates(value)
        return decoded.strip().replace("\n", " ")  # inside strings they are escaped
    except json.JSONDecodeError as error:
        hint = _hint(decoded) if isinstance(text, str) else ""
        raise Misuse(f"{name} is not JSON: {error.msg} at {_position(error)}{_near(error)}{hint}") from None
    except (ValueError, RecursionError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise Misuse(f"{name} cannot be used: {said}") from None


def _decode(text: str | bytes, name: str) -> str:
    try:
        if isinstance(text, bytes):
            return text.decode()
        text.encode()  # a byte that is no text came in as half of a surrogate pair
    except UnicodeError as error:
        place = error.start + 1 if isinstance(error, UnicodeDecodeError | UnicodeEncodeError) else 1
        unit = "byte" if isinstance(text, bytes) else "character"
        raise Misuse(f"{name} is not UTF-8 at {unit} {place}") from None
    return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _refuse_lone_surrogates(value: Any) -> None:
    """Half of a pair passes as JSON and cannot be sent as UTF-8."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"\\u{ord(error.object[error.start]):04x} is half a character") from None


def _position(error: json.JSONDecodeError) -> str:
    if error.lineno > 1:
        return f"line {error.lineno}, character {error.colno}"
    return f"character {error.colno}"


def _near(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :]
    if not rest.strip():
        return ", where the text ends"
    return f", near {rest[:EXCERPT]!r}" + ("…" if len(rest) > EXCERPT else "")


def _hint(text: str) -> str:
    """What the shell may have done to the text."""
    bare = text.strip()
    if bare[0] == "@":
        return "; a file's content comes through stdin: write - in place of the payload, and < FILE behind it"
    if bare[0] in "{[" and '"' not in bare and any(letter.isalpha() for letter in bare):
        return '; the shell has probably taken the quotes: write \'{"key": "value"}\', in single quotes'
    if bare[0].isalpha() and '"' not in bare:
        return f"; a text needs quotes that the shell leaves alone: '\"{bare[:EXCERPT]}\"'"
    if bare[0] in "{[":
        return "; the shell may have split or changed it: put the whole JSON in single quotes"
    return ""
