"""A run without workers: the real ends, between them lines that are done in an order that somebody chooses, and a cut
that may come at any time."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from unittest.mock import patch

import trio
from msgspec.structs import replace

from supervisor.core.job import Cause, JobError
from supervisor.errors import StokerError
from supervisor.lines.line import Line, parse
from supervisor.lines.records import refusal_record
from supervisor.mapping import input as reading
from supervisor.mapping import writing
from supervisor.mapping.ends import open_ends
from supervisor.mapping.input import ReadingFeed
from supervisor.mapping.journal import SUFFIX
from supervisor.mapping.settings import Settings
from supervisor.mapping.writing import WritingAnswers

FAILING = b'{"fail":true}'
GIVEN_UP = JobError(cause=Cause.ERROR, message="no")
LIMIT = 1000


@contextmanager
def tiny() -> Iterator[None]:
    """Everything is read, written and noted in small pieces, without pauses."""
    with (
        patch.multiple(writing, PAUSE=0.0, GROUP=40, CHECKPOINT=0.0, SHARE=0, MAX_LINES=20, MAX_BYTES=500),
        patch.multiple(reading, LINES=5),
    ):
        yield


def settings_for(folder: Path, **more: object) -> Settings:
    plain = Settings(
        command=("worker",),
        cwd=folder,
        input=folder / "in",
        output=folder / "out",
        resume=True,
        progress=False,
        max_payload=LIMIT,
        read_ahead=60,
    )
    return replace(plain, **more)


class Cut:
    """After so many answers, and so many turns of the loop; `gently`: as Ctrl-C does it, else as a SIGKILL."""

    def __init__(self, answers: int, turns: int = 0, *, gently: bool = False) -> None:
        self.answers = answers
        self.turns = turns
        self.gently = gently


class Run:
    def __init__(self, settings: Settings, random: Random, cut: Cut | None = None, *, width: int = 7) -> None:
        self.settings = settings
        self.answered: list[int] = []  # as they were
        self._random = random
        self._cut = cut
        self._width = width
        ends = open_ends(settings)
        assert isinstance(ends.feed, ReadingFeed)
        assert isinstance(ends.answers, WritingAnswers)
        self.feed, self.answers = ends.feed, ends.answers
        self._flying: list[Line] = []
        self._news = trio.Event()
        self.feed.on_line = self.answers.on_room = lambda: self._news.set()

    async def __call__(self) -> bool:
        """Whether it came to its end."""
        try:
            finished = await self._map()
            if finished or (self._cut is not None and self._cut.gently):
                await self.answers.close(finished=finished)
        except (StokerError, BaseExceptionGroup):
            await self.answers.close(finished=False)
            raise
        finally:
            with trio.CancelScope(shield=True):
                async with self.answers._one:
                    self.answers._outputs.close()
        return finished

    async def _map(self) -> bool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.feed.run)
            nursery.start_soon(self.answers.run)
            finished = await self._work()
            if not finished and self._cut is not None and not self._cut.gently:
                self._snapshot()
            nursery.cancel_scope.cancel()
        return finished

    async def _work(self) -> bool:
        while True:
            self._news = trio.Event()
            self._take()
            if self._cut is not None and len(self.answered) >= self._cut.answers:
                for _ in range(self._cut.turns):
                    await trio.lowlevel.checkpoint()
                return False
            if self._flying:
                self._finish(self._flying.pop(self._random.randrange(len(self._flying))))
                await trio.lowlevel.checkpoint()
            elif self.feed.ended:
                return True
            else:
                await self._news.wait()

    def _take(self) -> None:
        while len(self._flying) < self._width and self.answers.room and (line := self.feed.take()):
            self.answers.expect(line)
            self._flying.append(line)

    def _finish(self, line: Line) -> None:
        self.answered.append(line.number)
        if line.payload is None:
            self.answers.refused(line)
        elif line.payload == FAILING:
            self.answers.failed(line, GIVEN_UP)
        else:
            self.answers.passed(line, line.payload)

    def _snapshot(self) -> None:
        """What a kill at this moment leaves, in the folder of the next run. Threads write on meanwhile: the journal is
        copied first, since the files may be ahead of it, but not it of them."""
        folder = self.settings.cwd
        journal = folder / f"out{SUFFIX}"
        (folder / "next").mkdir()
        for path in (journal, folder / "in", folder / "out", folder / "errors"):
            if path.exists():
                shutil.copy(path, folder / "next")


def torn(folder: Path, random: Random) -> None:
    """What a power cut leaves behind what was synced: anything."""
    for name in ("out", "errors", f"out{SUFFIX}.part"):
        path = folder / name
        if name.endswith(".part") or path.exists():
            with path.open("ab") as file:
                file.write(random.randbytes(random.randrange(30)))


def expected(text: bytes, *, records: bool, apart: bool) -> tuple[list[bytes], list[bytes]]:
    """The lines of the output and of the errors file, in order."""
    output: list[bytes] = []
    errors: list[bytes] = []
    for number, one in enumerate(text.split(b"\n"), 1):
        if not one.strip():
            continue
        failure = None
        if (line := parse(number, one, max_payload=LIMIT)).payload is None:
            failure = refusal_record(number, line.custom_id, line.cause, line.complaint)
        elif line.payload == FAILING:
            failure = b'{"line":%d,"error":{"cause":"error","message":"no"}}\n' % number
        if failure is not None:
            (errors if apart else output).append(failure)
        else:
            output.append(_answer(number, one, records))
    return output, errors


def _answer(number: int, text: bytes, records: bool) -> bytes:
    value = json.loads(text)
    name = {"custom_id": value["custom_id"]} if isinstance(value, dict) and "custom_id" in value else {}
    answer = {"line": number, **name, "result": value} if records else value
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"
