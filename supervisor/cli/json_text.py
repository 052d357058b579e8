"""JSON in which numbers stay as they were written: too long, too large or too exact for Python, and `1.50` or `1E5`."""

import json
from collections.abc import Callable
from itertools import repeat
from typing import Any, Self

_INT_64 = 20  # characters; no integer of the protocol itself has more


class Number(float):
    """A number and the `text` it came as. It counts as the nearest float, which may be infinite."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        number = super().__new__(cls, text)
        number.text = text
        return number


def decode(text: str) -> Any:
    """As json.loads, but numbers that are not plain 64-bit integers are Numbers. Raises ValueError, RecursionError."""
    return _decoder.decode(text)


def encode(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """As json.dumps, but Numbers are written as they came; on one line and without spaces unless indented."""
    parts: list[str] = []
    scalar = json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False).encode
    if indent is None:
        _write(value, parts.append, scalar, ":", "", "")
    else:
        _write(value, parts.append, scalar, ": ", "\n", " " * indent)
    return "".join(parts)


def _integer(text: str) -> int | Number:
    return int(text) if len(text) <= _INT_64 and text != "-0" else Number(text)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a JSON number")


_decoder = json.JSONDecoder(parse_int=_integer, parse_float=Number, parse_constant=_refuse)


# By hand, because json writes a subclass of float as the float that it is, and asks nobody.
def _write(
    value: Any, put: Callable[[str], None], scalar: Callable[[Any], str], colon: str, margin: str, indent: str
) -> None:
    """`margin` stands before what is on this level, and grows by `indent`; both are empty for a single line."""
    if isinstance(value, str):
        put(scalar(value))
    elif isinstance(value, Number):
        put(value.text)
    elif type(value) is int:  # what follows would do it too, in ten times the time
        put(str(value))
    elif isinstance(value, dict | list | tuple):
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        inner = margin + indent
        before = opening + inner
        for name, member in value.items() if isinstance(value, dict) else zip(repeat(None), value, strict=False):
            put(before if name is None else f"{before}{scalar(name)}{colon}")
            _write(member, put, scalar, colon, inner, indent)
            before = "," + inner
        put(margin + closing if value else opening + closing)
    else:
        put(scalar(value))
