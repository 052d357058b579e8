"""Lines are read ahead, some of them, and whatever blocks is left behind."""

import os
import threading
from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.mapping import input as reading
from supervisor.mapping.coverage import Coverage
from supervisor.mapping.feed import InputFailed
from supervisor.mapping.input import ReadingFeed, Source, open_source
from supervisor.mapping.settings import Settings
from tests.mapping.hands import settings_for

READ_AHEAD = 10_000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_for(tmp_path, read_ahead=READ_AHEAD)


def feed_of(fd: int, settings: Settings) -> ReadingFeed:
    return ReadingFeed(Source(fd, "the input"), settings, Coverage())


async def test_a_pipe_that_never_says_anything_keeps_nobody(settings: Settings) -> None:
    reader, writer = os.pipe()
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed_of(reader, settings).run)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    os.close(writer)  # and the thread has its end


async def test_a_line_that_is_there_comes_before_the_pipe_says_more(settings: Settings) -> None:
    reader, writer = os.pipe()
    feed, came = feed_of(reader, settings), trio.Event()
    feed.on_line = came.set
    os.write(writer, b"1\n2")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        with trio.fail_after(30):
            await came.wait()
        first = feed.take()
        assert first is not None
        assert first.payload == b"1"
        assert feed.take() is None
        assert not feed.ended
        os.close(writer)
    second = feed.take()
    assert second is not None
    assert second.payload == b"2"
    assert feed.ended


@pytest.mark.parametrize("size", [2, 4000])
async def test_of_endless_input_a_bounded_part_is_read(settings: Settings, size: int) -> None:
    """It goes on as soon as lines are taken, and no further than that."""
    reader, writer = os.pipe()
    written = 0

    def pour() -> None:
        nonlocal written
        line = b"1" * (size - 1) + b"\n"
        try:
            while True:
                written += os.write(writer, line)
        except BrokenPipeError:
            pass

    pouring = threading.Thread(target=pour)
    pouring.start()
    feed = feed_of(reader, settings)
    taken = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        with trio.fail_after(60):
            while taken < 3000:
                line = feed.take()
                if line is None:
                    await trio.lowlevel.checkpoint()
                    continue
                taken += 1
                assert feed.waiting <= 2 * reading.LINES
                assert feed.waiting * (size - 1) <= 2 * (READ_AHEAD + size)
        nursery.cancel_scope.cancel()
    os.close(reader)
    await trio.to_thread.run_sync(pouring.join)
    os.close(writer)


async def test_blank_lines_are_passed_over_and_counted(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"\n1\n  \n\n2\n\n")
    coverage = Coverage()
    feed = ReadingFeed(open_source(tmp_path / "in"), settings, coverage)
    await feed.run()
    lines = [feed.take(), feed.take()]
    assert [line and line.number for line in lines] == [2, 5]
    coverage.answer([2, 5])
    assert coverage.place.number == 6
    assert coverage.place.offset == 10


async def test_a_source_that_does_not_block_is_waited_for_all_the_same(settings: Settings) -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    feed, came = feed_of(reader, settings), trio.Event()
    feed.on_line = came.set
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        os.write(writer, b"1\n")
        with trio.fail_after(30):
            await came.wait()
        assert feed.take() is not None
        os.close(writer)
    assert feed.ended


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputFailed, match="No such file"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(InputFailed, match="it is a folder"):
        open_source(tmp_path)
