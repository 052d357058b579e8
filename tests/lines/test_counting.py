import io

from hypothesis import example, given
from hypothesis import strategies as st

from supervisor.lines.counting import LineCount
from supervisor.lines.reading import LineReader
from tests.fuzz.strategies import chunks
from tests.lines.test_reading import STREAMS, everything


@given(st.data(), STREAMS)
def test_as_many_lines_are_counted_as_will_be_read_however_they_come(data: st.DataObject, stream: bytes) -> None:
    lines = LineCount()
    for chunk in data.draw(chunks(stream)):
        lines.feed(chunk)
    assert lines.count == len(everything(LineReader(io.BytesIO(stream)))[0])


@example([b"\xef", b"\xbb", b"\xbf", b"\n"], 0)
@example([b"\xef", b"\xbb"], 1)
@example([b"\xef\xbb\xbf"], 0)
@example([b"\xef\xbb\xbf", b"\xef\xbb\xbf"], 1)
@example([b" ", b"\t", b"\r", b"\n", b"x"], 1)
@example([b"x", b"y", b"\n", b"z"], 2)
@given(st.just([b"1\n", b"", b"2\n"]), st.just(2))
def test_pieces_of_lines_are_one_line(pieces: list[bytes], count: int) -> None:
    lines = LineCount()
    for piece in pieces:
        lines.feed(piece)
    assert lines.count == count
