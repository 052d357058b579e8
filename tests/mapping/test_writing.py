"""Answers that nobody takes: a slow reader holds the run back, one that has left ends it, and neither keeps it."""

import os
from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.lines.line import Line
from supervisor.mapping import writing
from supervisor.mapping.answers import ReaderGone
from supervisor.mapping.coverage import Coverage
from supervisor.mapping.journal import Checkpoint, meaning
from supervisor.mapping.outputs import Outputs, open_outputs
from supervisor.mapping.sinks import Stream
from supervisor.mapping.writing import WritingAnswers
from tests.mapping.hands import settings_for

RESULT = b'"' + b"x" * 1000 + b'"'


def answers_to(fd: int) -> WritingAnswers:
    begun = Checkpoint(meaning=meaning(settings_for(Path())), stem="")
    return WritingAnswers(Outputs(Stream(fd, "the output"), None, None, begun), Coverage(), unordered=True)


def give(answers: WritingAnswers, count: int) -> int:
    """As many as there is room for."""
    given = 0
    while given < count and answers.room:
        given += 1
        line = Line(given, b"1")
        answers.expect(line)
        answers.passed(line, RESULT)
    return given


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "MAX_BYTES", 500_000)


@pytest.mark.usefixtures("_small")
async def test_a_reader_that_does_not_read_holds_the_run_back_and_does_not_keep_it() -> None:
    reader, writer = os.pipe()
    answers = answers_to(writer)
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answers.run)
            given = give(answers, 10_000)
            assert given == -(-500_000 // (len(RESULT) + 1))
            assert not answers.room
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert await answers.close(finished=False) == 0
    os.close(reader)  # and the thread has its end
    async with answers._one:
        os.close(writer)


@pytest.mark.usefixtures("_small")
async def test_there_is_room_again_when_it_reads_on() -> None:
    reader, writer = os.pipe()
    answers, room = answers_to(writer), trio.Event()
    answers.on_room = room.set
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answers.run)
            given = give(answers, 10_000)
            left = given * (len(RESULT) + 1)
            while left:
                left -= len(await trio.to_thread.run_sync(os.read, reader, 65536))
            await room.wait()
            assert answers.room
            nursery.cancel_scope.cancel()
        assert await answers.close(finished=True) == given
    os.close(reader)
    os.close(writer)


async def test_a_reader_that_has_left_ends_the_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    answers = answers_to(writer)
    give(answers, 1)
    with trio.fail_after(30), pytest.raises(ReaderGone):
        await answers.run()
    assert await answers.close(finished=False) == 0
    os.close(writer)


async def test_an_output_that_does_not_block_is_waited_for_all_the_same() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    answers = answers_to(writer)
    given = give(answers, 200)
    read = 0

    async def drain() -> None:
        nonlocal read
        while read < given * (len(RESULT) + 1):
            read += len(await trio.to_thread.run_sync(os.read, reader, 65536))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drain)
            assert await answers.close(finished=True) == given
    os.close(reader)
    os.close(writer)


async def test_a_name_that_leads_to_a_pipe_is_written_like_one(tmp_path: Path) -> None:
    """/dev/stdout, say."""
    (tmp_path / "in").touch()
    reader, writer = os.pipe()
    outputs = open_outputs(settings_for(tmp_path, output=Path(f"/dev/fd/{writer}"), resume=False))
    outputs.append(b"1\n", b"")
    assert os.read(reader, 10) == b"1\n"
    assert outputs.journal is None
    for fd in (reader, writer):
        os.close(fd)
