import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocol.text import BadText, check_utf8, compact, quote
from tests.fuzz.strategies import damaged, dumped, values

TEXTS = damaged(values.map(dumped)) | st.binary(max_size=40)


def _refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} was let through")


def _meaning(text: bytes) -> Any:
    """As the standard library reads it; numbers as they are written."""
    return json.loads(text.decode(), parse_int=str, parse_float=str, parse_constant=_refuse)


@given(TEXTS)
def test_what_is_compacted_means_the_same_and_the_rest_is_bad_text(text: bytes) -> None:
    try:
        short = compact(text)
    except BadText:
        return
    assert _meaning(short) == _meaning(text)
    assert compact(short) == short
    assert len(short) <= len(text)
    assert b"\n" not in short


@given(values)
def test_all_json_is_accepted(value: Any) -> None:
    assert json.loads(compact(dumped(value))) == value


@given(st.binary(max_size=30), st.integers(0, 70_000))
def test_utf8_is_what_python_says_it_is_wherever_the_pieces_end(tail: bytes, padding: int) -> None:
    data = b"x" * padding + tail
    try:
        data.decode()
    except UnicodeDecodeError:
        expected = False
    else:
        expected = True
    try:
        check_utf8(data)
    except BadText:
        assert not expected
    else:
        assert expected


@given(st.binary(max_size=2000), st.integers(1, 300))
def test_a_quote_is_printable_and_short(line: bytes, limit: int) -> None:
    shown = quote(line, limit)
    assert shown.isprintable()
    assert len(shown) <= 10 * limit + 3
