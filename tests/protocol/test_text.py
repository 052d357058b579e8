import json

import pytest

from protocol.text import BadText, check_utf8, compact, quote

LONG = "ü€😀".encode() * 50_000  # 450 kB: characters of 2, 3 and 4 bytes across every piece border


@pytest.mark.parametrize("text", [b"", b"plain", "ü€😀".encode(), LONG, b"x" + LONG, b"xx" + LONG])
def test_utf8_passes(text: bytes) -> None:
    check_utf8(text)


@pytest.mark.parametrize(
    "text", [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", "ü".encode()[:1], LONG + b"\xf0\x9f"]
)
def test_what_is_not_utf8_does_not(text: bytes) -> None:
    with pytest.raises(BadText, match="not UTF-8"):
        check_utf8(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a":1}', b'{"a":1}'),
        (b' { "a" : [ 1 , 2 ] ,\r\n\t"b" : "x  y" } ', b'{"a":[1,2],"b":"x  y"}'),
        (b"1.50", b"1.50"),
        (b"123456789012345678901234567890", b"123456789012345678901234567890"),
        (rb'"\u00fc \/ \" "', rb'"\u00fc \/ \" "'),
        (b" \t null ", b"null"),
        ('"ü  ü"'.encode(), '"ü  ü"'.encode()),
        (b'{"a": 1, "a": 2}', b'{"a":1,"a":2}'),
    ],
)
def test_compact_takes_out_white_space_and_nothing_else(text: bytes, expected: bytes) -> None:
    assert compact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"1 2",
        b"NaN",
        b"-Infinity",
        b"'a'",
        b'{"a":1,}',
        b'"\t"',
        rb'"\ud800"',
        b'"\xff"',
        b"01",
        b"\xef\xbb\xbf1",
    ],
)
def test_compact_refuses_what_is_not_json(text: bytes) -> None:
    with pytest.raises(BadText):
        compact(text)


def test_compact_refuses_what_is_nested_too_deep() -> None:
    with pytest.raises(BadText, match="nested too deep"):
        compact(b"[" * 100_000 + b"]" * 100_000)


def test_a_quote_shows_a_short_line_as_it_is() -> None:
    assert quote('Loading "model" ü…'.encode()) == "'Loading \"model\" ü…'"


def test_a_quote_is_cut() -> None:
    assert quote(b"x" * 1_000_000, limit=10) == "'xxxxxxxxxx…'"
    assert quote("😀".encode() * 11, limit=10) == f"'{'😀' * 10}…'"
    assert quote("😀".encode() * 10, limit=10) == f"'{'😀' * 10}'"


def test_a_quote_cannot_steer_a_terminal_or_a_log() -> None:
    shown = quote(b"\x1b[31mred\r\n\x00\xff\xc2\x9b")
    assert shown.isprintable()
    assert shown == r"'\x1b[31mred\r\n\x00\xff\x9b'"


def test_compact_text_means_the_same() -> None:
    value = {"list": [1, 2.5, None, True, {"deep": ["ü", "\u2028", "tab\there"]}], "": {}}
    assert json.loads(compact(json.dumps(value, indent=3).encode())) == value
