import io
import os
import threading
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lines.reading import LineReader, RawLine
from tests.fuzz.strategies import chunks

STREAMS = st.lists(
    st.binary(max_size=30)
    | st.sampled_from([b"\n", b"\r\n", b" \n", b"\t \r\n", b"x\n", b'{"a":1}\n', b"\0\n", b"\xef\xbb\xbf", b" " * 25]),
    max_size=12,
).map(b"".join)


class Pieces(io.RawIOBase):
    """A file that gives these pieces, one to a read."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def read(self, size: int = -1) -> bytes:
        if not self._pieces:
            return b""
        piece = self._pieces.pop(0)
        if len(piece) > size:
            self._pieces.insert(0, piece[size:])
        return piece[:size]


def defined(stream: bytes, limit: int) -> tuple[list[RawLine], list[int]]:
    """The lines and the numbers of the blank ones, straight from the definition."""
    found, blank, end = [], [], 0
    lines = stream.split(b"\n")
    last = lines.pop()
    for number, text in enumerate([*lines, last] if last else lines, 1):
        end = min(end + len(text) + 1, len(stream))
        shown = text.removeprefix(b"\xef\xbb\xbf") if number == 1 else text
        if not shown.strip():
            blank.append(number)
        elif len(text) <= limit:
            found.append(RawLine(number, end, shown, True))
        else:
            cut = text[:limit]
            found.append(RawLine(number, end, cut.removeprefix(b"\xef\xbb\xbf") if number == 1 else cut, False))
    return found, blank


def everything(reader: LineReader, lines: int = 1000, size: int = 1 << 30) -> tuple[list[RawLine], list[int]]:
    found: list[RawLine] = []
    blank: list[int] = []
    for more, numbers in batches(reader, lines, size):
        found += more
        blank += numbers
    return found, blank


def batches(reader: LineReader, lines: int, size: int) -> Iterator[tuple[list[RawLine], list[int]]]:
    while True:
        found, blank = reader.read(lines, size)
        if not (found or blank):
            return
        yield found, list(blank)


@given(st.data(), STREAMS, st.integers(3, 40), st.integers(1, 5), st.integers(1, 30), st.integers(1, 50))
def test_the_lines_do_not_depend_on_how_the_stream_is_cut_or_asked_for(
    data: st.DataObject, stream: bytes, limit: int, lines: int, size: int, block: int
) -> None:
    file = Pieces(data.draw(chunks(stream)))
    reader = LineReader(file, max_line=limit, block=block)  # type: ignore[arg-type]
    assert everything(reader, lines, size) == defined(stream, limit)
    assert reader.offset == len(stream)


@given(STREAMS, st.integers(1, 5), st.integers(0, 5))
def test_reading_goes_on_from_the_place_of_any_line(stream: bytes, lines: int, after: int) -> None:
    first = LineReader(io.BytesIO(stream))
    got = [first.read(lines, 1 << 20) for _ in range(after)]
    rest = io.BytesIO(stream)
    rest.seek(first.offset)
    second = LineReader(rest, number=first.number, offset=first.offset)
    found, blank = everything(second)
    assert [line for more, _ in got for line in more] + found == defined(stream, 1 << 30)[0]
    assert [number for _, more in got for number in more] + blank == defined(stream, 1 << 30)[1]


def test_lines_are_numbered_as_an_editor_does_blank_ones_included() -> None:
    found, blank = everything(LineReader(io.BytesIO(b"1\n\n \t\r\n2\r\n\n3")))
    assert [(line.number, line.text) for line in found] == [(1, b"1"), (4, b"2\r"), (6, b"3")]
    assert blank == [2, 3, 5]


def test_the_end_of_each_line_is_the_place_behind_it() -> None:
    found, _ = everything(LineReader(io.BytesIO(b"one\n\ntwo\nthree")))
    assert [line.end for line in found] == [4, 9, 14]


def test_no_more_lines_are_read_than_asked_for() -> None:
    reader = LineReader(io.BytesIO(b"1\n2\n3\n4\n"))
    assert [line.number for line in reader.read(3, 1000)[0]] == [1, 2, 3]
    assert [line.number for line in reader.read(3, 1000)[0]] == [4]
    assert reader.read(3, 1000) == ([], [])


def test_no_further_line_is_read_behind_the_size_asked_for() -> None:
    reader = LineReader(io.BytesIO(b"1234\n1234\n1234\n"))
    assert [line.number for line in reader.read(100, 6)[0]] == [1, 2]
    assert [line.number for line in reader.read(100, 1)[0]] == [3]


def test_a_byte_order_mark_is_not_part_of_the_first_line() -> None:
    found, _ = everything(LineReader(io.BytesIO(b'\xef\xbb\xbf{"a":1}\n\xef\xbb\xbf2\n')))
    assert [line.text for line in found] == [b'{"a":1}', b"\xef\xbb\xbf2"]


def test_a_file_of_nothing_but_a_byte_order_mark_has_a_blank_line() -> None:
    assert everything(LineReader(io.BytesIO(b"\xef\xbb\xbf"))) == ([], [1])


def test_a_line_longer_than_the_limit_is_cut_and_the_next_one_is_whole() -> None:
    found, _ = everything(LineReader(io.BytesIO(b"x" * 11 + b"\nnext\n"), max_line=10))
    assert found == [RawLine(1, 12, b"x" * 10, False), RawLine(2, 17, b"next", True)]


def test_a_line_of_white_space_longer_than_the_limit_is_blank() -> None:
    assert everything(LineReader(io.BytesIO(b" " * 1000 + b"\n1\n"), max_line=10, block=7))[1] == [1]


def test_a_line_whose_text_begins_behind_the_limit_is_not_blank() -> None:
    found, blank = everything(LineReader(io.BytesIO(b" " * 1000 + b"1" + b" " * 1000 + b"\n"), max_line=10, block=7))
    assert (found, blank) == ([RawLine(1, 2002, b" " * 10, False)], [])


@pytest.mark.parametrize("ended", [b"\n", b""])
def test_memory_is_bounded_however_long_a_line_is(ended: bytes) -> None:
    block = b"x" * 65536
    reader = LineReader(Pieces([block] * 1600 + [ended]), max_line=1 << 20)  # type: ignore[arg-type]
    tracemalloc.start()
    found, _ = reader.read(10, 1 << 30)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(line.number, line.end, line.whole) for line in found] == [(1, 1600 * 65536 + len(ended), False)]
    assert peak < 5 << 20


def test_a_line_that_is_there_in_a_pipe_does_not_wait_for_the_next() -> None:
    out, into = os.pipe()
    os.write(into, b"1\n2\nhal")
    reader = LineReader(out)
    assert [line.text for line in reader.read(100, 1000)[0]] == [b"1", b"2"]
    later = threading.Thread(target=os.write, args=(into, b"f\n"))
    later.start()
    assert [line.text for line in reader.read(100, 1000)[0]] == [b"half"]
    later.join()
    os.close(into)
    assert reader.read(100, 1000) == ([], [])
    os.close(out)
