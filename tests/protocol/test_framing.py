import time
import tracemalloc

import pytest

from protocol.framing import Lines, LineTooLong


def test_a_chunk_that_is_one_line_is_that_line() -> None:
    lines = Lines(100)
    assert lines.feed(b"one\n") == [b"one"]
    assert lines.feed(b"two\n") == [b"two"]
    assert lines.partial == 0


def test_a_chunk_may_hold_many_lines_and_a_part() -> None:
    lines = Lines(100)
    assert lines.feed(b"a\n\nb\nc") == [b"a", b"", b"b"]
    assert lines.partial == 1
    assert lines.tail() == b"c"
    assert lines.feed(b"d\ne\n") == [b"cd", b"e"]
    assert lines.tail() == b""


def test_a_line_may_come_byte_by_byte() -> None:
    lines = Lines(100)
    found = [line for byte in b"slow\nworker\n" for line in lines.feed(bytes([byte]))]
    assert found == [b"slow", b"worker"]


def test_only_a_line_feed_ends_a_line() -> None:
    text = "carriage\r, form\f, vertical\v, next\x85, separators\u2028\u2029".encode()
    assert Lines(100).feed(text + b"\n") == [text]


def test_an_empty_chunk_changes_nothing() -> None:
    lines = Lines(100)
    assert lines.feed(b"") == []
    lines.feed(b"ab")
    assert lines.feed(b"") == []
    assert lines.feed(b"c\n") == [b"abc"]


@pytest.mark.parametrize("chunks", [[b"12345\n"], [b"12", b"345", b"\n"], [b"1\n12345\n"], [b"1234", b"5\n1"]])
def test_a_line_of_exactly_the_limit_passes(chunks: list[bytes]) -> None:
    lines = Lines(5)
    assert b"12345" in [line for chunk in chunks for line in lines.feed(chunk)]


@pytest.mark.parametrize(
    "chunks", [[b"123456\n"], [b"123456"], [b"123", b"456"], [b"12345", b"6\n"], [b"12345", b"6\n7\n"]]
)
def test_a_line_over_the_limit_is_refused_finished_or_not(chunks: list[bytes]) -> None:
    lines = Lines(5)
    for chunk in chunks[:-1]:
        assert lines.feed(chunk) == []
    with pytest.raises(LineTooLong, match="longer than the 5 bytes") as caught:
        lines.feed(chunks[-1])
    assert caught.value.lines == []
    assert lines.partial == 0


@pytest.mark.parametrize("flood", [b"123456", b"123456\nlate\n"])
def test_the_lines_in_front_of_one_too_long_are_not_lost(flood: bytes) -> None:
    lines = Lines(5)
    lines.feed(b"rep")
    with pytest.raises(LineTooLong) as caught:
        lines.feed(b"ly\nok\n" + flood)
    assert caught.value.lines == [b"reply", b"ok"]


def test_a_broken_stream_stays_broken_and_holds_nothing() -> None:
    lines = Lines(5)
    with pytest.raises(LineTooLong):
        lines.feed(b"123456")
    for chunk in (b"ok\n", b"x", b""):
        with pytest.raises(LineTooLong) as caught:
            lines.feed(chunk)
        assert caught.value.lines == []
        assert lines.tail() == b""


def test_a_flood_byte_by_byte_holds_no_more_than_the_limit() -> None:
    limit = 200_000
    lines = Lines(limit)
    tracemalloc.start()
    try:
        for _ in range(limit):
            lines.feed(b"x")
        held, _ = tracemalloc.get_traced_memory()
        with pytest.raises(LineTooLong):
            lines.feed(b"x")
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.3 * limit
    assert peak < 1.3 * limit + 65536
    assert after < 10_000


def test_a_long_line_costs_no_more_than_short_ones_of_the_same_length_together() -> None:
    chunk = b"x" * 65536

    def seconds(chunks_per_line: int) -> float:
        lines = Lines(16 * 1024 * 1024)
        start = time.thread_time()
        for number in range(1, 256):
            lines.feed(chunk if number % chunks_per_line else chunk[:-1] + b"\n")
        return time.thread_time() - start

    # Copying or scanning what is held once per chunk would make it 16 times as much.
    assert min(seconds(256) for _ in range(5)) < 6 * min(seconds(16) for _ in range(5)) + 0.01
