"""Lines out of whatever a client sends."""

from hypothesis import given
from hypothesis import strategies as st

from protocol.framing import LineTooLong
from supervisor.control.intake import Intake

MAX = 8
TOO_LONG = "too long"


def lines_of(intake: Intake, *chunks: bytes) -> list[bytes | str]:
    found = [line for chunk in chunks for line in intake.feed(chunk)] + intake.end()
    return [TOO_LONG if isinstance(line, LineTooLong) else line for line in found]


def test_lines_come_out_in_order_across_chunks() -> None:
    assert lines_of(Intake(MAX), b"one\ntw", b"o\nthree\n") == [b"one", b"two", b"three"]


def test_the_last_line_needs_no_newline() -> None:
    assert lines_of(Intake(MAX), b"one\ntwo") == [b"one", b"two"]


def test_a_line_over_the_limit_is_reported_at_once_and_skipped_to_its_end() -> None:
    intake = Intake(MAX)
    assert len(intake.feed(b"ok\n123456789")) == 2
    assert intake.feed(b"still the same line") == []
    assert intake.feed(b"its end\nnext\n") == [b"next"]


def test_a_long_line_in_the_middle_of_a_chunk_costs_its_neighbours_nothing() -> None:
    assert lines_of(Intake(MAX), b"a\n123456789\nb\n987654321\n\nc\n") == [b"a", TOO_LONG, b"b", TOO_LONG, b"", b"c"]


def test_a_line_of_exactly_the_limit_is_fine() -> None:
    assert lines_of(Intake(MAX), b"12345678\n", b"1234567", b"8\n") == [b"12345678", b"12345678"]


def test_nothing_of_a_skipped_line_is_left_at_the_end() -> None:
    assert lines_of(Intake(MAX), b"123456789", b"rest") == [TOO_LONG]


@given(st.lists(st.text("ab\n", max_size=30).map(str.encode)))
def test_however_the_bytes_are_split_the_lines_are_the_same(chunks: list[bytes]) -> None:
    expected = [line if len(line) <= MAX else TOO_LONG for line in b"".join(chunks).split(b"\n")]
    if expected[-1] == b"":
        expected.pop()
    assert lines_of(Intake(MAX), *chunks) == expected
