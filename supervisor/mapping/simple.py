"""The plainest ends that work: they stand in until the real ones are there."""

import os
from collections import deque
from collections.abc import Callable

import trio

from supervisor.core.job import JobError
from supervisor.lines.line import Line, line_of
from supervisor.lines.reading import LineReader
from supervisor.lines.records import error_record, refusal_record, result_record
from supervisor.mapping.answers import OutputFailed, ReaderGone
from supervisor.mapping.settings import Settings

LINES = 1000


def _nothing() -> None:
    pass


class SimpleFeed:
    def __init__(self, settings: Settings) -> None:
        self.on_line: Callable[[], None] = _nothing
        self._settings = settings
        self._lines: deque[Line] = deque()
        self._wanted = trio.Event()
        self._at_end = False

    @property
    def ended(self) -> bool:
        return self._at_end and not self._lines

    def take(self) -> Line | None:
        if len(self._lines) <= LINES // 2:
            self._wanted.set()
        return self._lines.popleft() if self._lines else None

    async def run(self) -> None:
        settings = self._settings
        with open(settings.input or 0, "rb", closefd=settings.input is not None, buffering=0) as file:
            reader = LineReader(file)
            while True:
                lines, blank = await trio.to_thread.run_sync(
                    reader.read, LINES, settings.read_ahead, abandon_on_cancel=True
                )
                if not lines and not blank:
                    break
                self._lines += [line_of(one, max_payload=settings.max_payload, raw=settings.raw_input) for one in lines]
                self.on_line()
                if len(self._lines) > LINES // 2:
                    self._wanted = trio.Event()
                    await self._wanted.wait()
        self._at_end = True
        self.on_line()


class SimpleAnswers:
    def __init__(self, settings: Settings) -> None:
        self.on_room: Callable[[], None] = _nothing
        self.passed_count = self.failed_count = 0
        self._settings = settings
        self._order: deque[int] = deque()
        self._kept: dict[int, bytes] = {}
        self._out: list[bytes] = []
        self._fd = (
            1 if settings.output is None else os.open(settings.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        )
        self._was_full = False
        self._news = trio.Event()

    @property
    def room(self) -> bool:
        full = len(self._order) > LINES or len(self._out) > LINES
        self._was_full |= full
        return not full

    def expect(self, line: Line) -> None:
        self._order.append(line.number)

    def passed(self, line: Line, result: bytes) -> None:
        self.passed_count += 1
        record = result_record(line.number, line.custom_id, result) if self._settings.records else result + b"\n"
        self._answer(line.number, record)

    def failed(self, line: Line, error: JobError) -> None:
        self.failed_count += 1
        self._answer(line.number, error_record(line.number, line.custom_id, error))

    def refused(self, line: Line) -> None:
        self.failed_count += 1
        self._answer(line.number, refusal_record(line.number, line.custom_id, line.cause, line.complaint))

    def _answer(self, number: int, record: bytes) -> None:
        self._kept[number] = record
        while self._order and self._order[0] in self._kept:
            self._out.append(self._kept.pop(self._order.popleft()))
        if self._out:
            self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            await trio.sleep(0.05)
            await self._write()

    async def _write(self) -> None:
        data, self._out = b"".join(self._out), []
        try:
            await trio.to_thread.run_sync(self._write_all, data)
        except BrokenPipeError:
            raise ReaderGone("nobody reads the output any more") from None
        except OSError as error:
            raise OutputFailed(f"cannot write the output: {error.strerror}") from None
        if self._was_full and self.room:
            self._was_full = False
            self.on_room()

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    async def close(self, *, finished: bool) -> int:
        await self._write()
        return self.passed_count + self.failed_count


class SimpleScreen:
    def say(self, text: str) -> None:
        os.write(2, (text + "\n").encode())

    async def run(self) -> None:
        await trio.sleep_forever()

    def close(self) -> None:
        pass
