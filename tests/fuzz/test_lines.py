import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.framing import Lines, LineTooLong
from tests.fuzz.strategies import chunks

LIMITS = st.integers(0, 40)
STREAMS = st.lists(st.binary(max_size=60) | st.sampled_from([b"\n", b"\n\n", b"x\n"]), max_size=8).map(b"".join)


def _expected(stream: bytes, limit: int) -> tuple[list[bytes], bool]:
    """The lines up to the first one that is too long, and whether there is one: straight from the definition."""
    *lines, rest = stream.split(b"\n")
    for number, line in enumerate(lines):
        if len(line) > limit:
            return lines[:number], True
    return lines, len(rest) > limit


@given(st.data(), STREAMS, LIMITS)
def test_the_lines_do_not_depend_on_how_the_stream_is_cut(data: st.DataObject, stream: bytes, limit: int) -> None:
    lines, found, broken = Lines(limit), [], False
    for chunk in data.draw(chunks(stream)):
        try:
            found += lines.feed(chunk)
        except LineTooLong as too_long:
            found += too_long.lines
            broken = True
        assert lines.partial <= limit
        assert lines.partial == len(lines.tail())
    assert (found, broken) == _expected(stream, limit)
    if not broken:
        assert lines.tail() == stream.rpartition(b"\n")[2]


@given(st.data(), STREAMS)
def test_once_broken_nothing_more_comes_out(data: st.DataObject, stream: bytes) -> None:
    lines = Lines(3)
    with pytest.raises(LineTooLong):
        lines.feed(b"1234")
    for chunk in data.draw(chunks(stream)):
        with pytest.raises(LineTooLong) as caught:
            lines.feed(chunk)
        assert caught.value.lines == []
        assert lines.partial == 0
