import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lines.line import Line, line_of, parse
from supervisor.lines.reading import LineReader
from tests.fuzz.strategies import values

ROOMY = 1 << 20


def parsed(text: bytes) -> Line:
    return parse(1, text, max_payload=ROOMY)


@pytest.mark.parametrize(
    ("text", "payload"),
    [
        (b"17", b"17"),
        (b' { "a" : [ 1 , "b  c" ] } \r', b'{"a":[1,"b  c"]}'),
        (b"null", b"null"),
        (b'"\xc3\xa4"', b'"\xc3\xa4"'),
        (b"1e999", b"1e999"),
        (b"123456789012345678901234567890", b"123456789012345678901234567890"),
    ],
)
def test_the_payload_is_the_line_without_white_space_outside_strings(text: bytes, payload: bytes) -> None:
    assert parsed(text) == Line(1, payload)


@pytest.mark.parametrize(
    ("text", "custom_id"),
    [
        (b'{"custom_id":"a","x":1}', b'"a"'),
        (b'{"x":1, "custom_id" : 12.50}', b"12.50"),
        (b'{"custom_id":-1}', b"-1"),
        (b'{"custom_id":""}', b'""'),
        (b'{"custom_id":"\\u00e4\\n"}', b'"\\u00e4\\n"'),
        (b'{"custom\\u005fid":"a"}', b'"a"'),
        (b'{"custom_id":1,"custom_id":"last"}', b'"last"'),
        (b'{"custom_id":null}', None),
        (b'{"custom_id":true}', None),
        (b'{"custom_id":{"a":1}}', None),
        (b'{"custom_id":["a"]}', None),
        (b'{"custom_id":"a","custom_id":null}', None),
        (b'{"a":{"custom_id":"a"}}', None),
        (b'[{"custom_id":"a"}]', None),
        (b'"custom_id"', None),
        (b'{"x":"custom_id"}', None),
        (b"17", None),
    ],
)
def test_the_custom_id_is_the_string_or_number_of_that_name_as_it_was_written(
    text: bytes, custom_id: bytes | None
) -> None:
    line = parsed(text)
    assert line.custom_id == custom_id
    assert line.payload is not None


@given(values)
def test_any_value_goes_through_unchanged(value: object) -> None:
    line = parsed(json.dumps(value, indent=1).replace("\n", " ").encode())
    assert line.payload is not None
    assert json.loads(line.payload) == value
    own = value.get("custom_id") if isinstance(value, dict) else None
    told = isinstance(own, str | int | float) and not isinstance(own, bool)
    assert (line.custom_id is not None) == told


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b'{"a":', "truncated"),
        (b"{'a':1}", "expected '\"' (byte 1)"),
        (b"1 2", "trailing characters"),
        (b'"\xff"', "not UTF-8"),
        (b"\xff\xfe1\0", "not UTF-8"),
        (b'"a\0b"', "invalid character"),
        (b"NaN", "invalid character"),
        (b"01", "invalid number"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
    ],
)
def test_a_line_that_is_not_json_says_why_and_shows_itself(text: bytes, why: str) -> None:
    line = parsed(text)
    assert (line.number, line.payload, line.custom_id, line.cause) == (1, None, None, "not_json")
    assert line.complaint.startswith("the line is not JSON (")
    assert why in line.complaint
    assert len(line.complaint) < 500
    assert line.complaint.isprintable()


def test_a_payload_over_the_limit_is_too_large_and_keeps_its_custom_id() -> None:
    line = parse(7, b'{"custom_id": "a", "x": "yyyyyyyyyy"}', max_payload=20)
    assert (line.payload, line.custom_id, line.cause) == (None, b'"a"', "too_large")
    assert line.complaint == (
        "the line has 34 bytes (without white space), and 20 are allowed: send a reference to the data"
    )


def test_white_space_does_not_count_for_the_limit() -> None:
    assert parse(1, b" [ 1 , 2 ] ", max_payload=5).payload == b"[1,2]"


def test_a_line_that_was_too_long_to_be_read_is_too_large() -> None:
    found, _ = LineReader(io.BytesIO(b'"' + b"x" * 100 + b'"\n'), max_line=50).read(1, 1000)
    line = line_of(found[0], max_payload=ROOMY)
    assert (line.number, line.payload, line.cause) == (1, None, "too_large")
    assert "longer than the 50 bytes" in line.complaint


@given(st.text(alphabet=st.characters(exclude_characters="\n", exclude_categories=["Cs"])))
def test_a_raw_line_is_a_string_whatever_it_says(text: str) -> None:
    line = parse(1, text.encode(), max_payload=ROOMY, raw=True)
    assert line.payload is not None
    assert msgspec.json.decode(line.payload) == text.removesuffix("\r")
    assert line.custom_id is None


def test_a_raw_line_that_is_not_utf8_is_refused() -> None:
    line = parse(1, b"a\xff", max_payload=ROOMY, raw=True)
    assert (line.payload, line.cause) == (None, "not_json")
    assert line.complaint == "the line is not UTF-8 (invalid start byte): 'a\\xff'"
