"""Bytes that are likely to hurt: nonsense, messages that are nearly right, and every way to cut them up."""

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

text = st.text(max_size=20)  # without surrogates: they are no text
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=10,
)

# What breaks parsers: half escapes, half characters, huge numbers, other languages' constants, deep nesting.
SPLINTERS = [
    *[
        b"\\",
        b"\\u",
        b"\\ud800",
        b"\\ud83d\\ude00",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\r",
        b"\n",
        b"\0",
        b" ",
    ],
    *[b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8"],
    *[b"NaN", b"-Infinity", b"1e999", b"-0", b"01", b"9" * 400, b"null", b"true", b"[" * 3000, b'{"a":' * 3000],
]


def dumped(message: Any) -> bytes:
    """With or without ASCII escapes, with or without white space: whatever the message's hash says."""
    odd = len(repr(message)) % 2 == 1
    return json.dumps(message, ensure_ascii=odd, separators=(", ", ": ") if odd else (",", ":")).encode()


@st.composite
def damaged(draw: st.DrawFn, lines: st.SearchStrategy[bytes]) -> bytes:
    """A line to which a few accidents happened."""
    line = draw(lines)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(line)))
        end = min(len(line), start + draw(st.integers(0, 8)))
        put = draw(st.sampled_from([b"", line[start:end] * 2, *SPLINTERS]) | st.binary(max_size=4))
        line = line[:start] + put + line[end:]
    return line


@st.composite
def chunks(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """`data`, cut anywhere."""
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=12)))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


def objects(members: Iterable[tuple[str, st.SearchStrategy[Any]]]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with some of these members, each of the right kind or of any."""
    return st.fixed_dictionaries({}, optional={name: right | values for name, right in members})
