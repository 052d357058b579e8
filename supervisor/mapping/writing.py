"""Answers on their way out: in order or not, in groups, from a thread, and no more of them in memory than fit."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress

import trio
from msgspec.structs import replace

from supervisor.core.job import JobError
from supervisor.errors import StokerError
from supervisor.lines.line import Line
from supervisor.lines.records import error_record, refusal_record, result_record
from supervisor.mapping.answers import OutputFailed
from supervisor.mapping.coverage import Coverage
from supervisor.mapping.journal import Checkpoint, Kept
from supervisor.mapping.outputs import Outputs
from supervisor.mapping.turns import Answer, AnyOrder, InOrder, Turns

MAX_LINES = 10_000  # expected, and not written yet
MAX_BYTES = 64 * 1024 * 1024  # answered, and not written yet
GROUP = 128 * 1024  # bytes that are written without waiting for more
PAUSE = 0.1  # seconds in which more may come
CHECKPOINT = 0.5  # seconds between two, at least,
SHARE = 10  # and so many times as long as the last one took
PATIENCE = 1.0  # seconds for a reader that is slow, when all ends


def _nothing() -> None:
    pass


class Group:
    """Answers that are written at once; failures `apart`, or with the rest."""

    def __init__(self, answers: Sequence[Answer], apart: bool) -> None:
        self.numbers = [answer.number for answer in answers]
        self.size = sum(len(answer.text) for answer in answers)
        self._failed = sum(answer.failed for answer in answers)
        self._output = b"".join(answer.text for answer in answers if not (apart and answer.failed))
        self._errors = b"".join(answer.text for answer in answers if apart and answer.failed)
        self._kept = (Kept(), Kept())

    def append_to(self, outputs: Outputs) -> None:
        """Blocks. Raises ReaderGone and OutputFailed."""
        outputs.append(self._output, self._errors)
        self._kept = outputs.kept

    def after(self, before: Checkpoint, coverage: Coverage) -> Checkpoint:
        """How far the run is with these, which are in `coverage` already."""
        return replace(
            before,
            input=coverage.place,
            answered=coverage.beyond(),
            reach=coverage.reach,
            output=self._kept[0],
            errors=self._kept[1],
            passed=before.passed + len(self.numbers) - self._failed,
            failed=before.failed + self._failed,
        )


class WritingAnswers:
    """The Answers of a run. `coverage` is shared with the feed; `hasty`: somebody looks on, nothing is held back."""

    def __init__(
        self,
        outputs: Outputs,
        coverage: Coverage,
        *,
        unordered: bool = False,
        records: bool = False,
        hasty: bool = False,
    ) -> None:
        self.on_room: Callable[[], None] = _nothing
        self.passed_count = outputs.begun.passed
        self.failed_count = outputs.begun.failed
        self._outputs = outputs
        self._coverage = coverage
        self._turns: Turns = AnyOrder() if unordered else InOrder()
        self._records = records
        self._hasty = hasty
        self._open = 0  # expected, and not answered yet
        self._lines = 0  # expected, and not written yet
        self._bytes = 0  # answered, and not written yet
        self._was_full = False
        self._due: list[Answer] = []
        self._due_bytes = 0
        self._news = trio.Event()
        self._many = trio.Event()
        # The thread that writes may be left behind, blocked; whoever writes next waits for it, since there is but one.
        self._one = trio.CapacityLimiter(1)
        self._groups: deque[Group] = deque()  # for that thread, and what it
        self._written: deque[Group] = deque()  # has done of them
        self._failure: StokerError | None = None
        self._good = outputs.begun
        self._unkept = False  # something was written since the last checkpoint
        self._broken = False  # none can be had any more
        self._next_checkpoint = 0.0

    @property
    def open_count(self) -> int:
        """Lines that were expected, and are not answered yet."""
        return self._open

    @property
    def room(self) -> bool:
        room = self._lines < MAX_LINES and self._bytes < MAX_BYTES
        self._was_full |= not room
        return room

    def expect(self, line: Line) -> None:
        self._open += 1
        self._lines += 1
        self._turns.expect(line.number)

    def passed(self, line: Line, result: bytes) -> None:
        self.passed_count += 1
        text = result_record(line.number, line.custom_id, result) if self._records else result + b"\n"
        self._answer(Answer(line.number, text, False))

    def failed(self, line: Line, error: JobError) -> None:
        self.failed_count += 1
        self._answer(Answer(line.number, error_record(line.number, line.custom_id, error), True))

    def refused(self, line: Line) -> None:
        self.failed_count += 1
        text = refusal_record(line.number, line.custom_id, line.cause, line.complaint)
        self._answer(Answer(line.number, text, True))

    def _answer(self, answer: Answer) -> None:
        self._open -= 1
        self._bytes += len(answer.text)
        for due in self._turns.answer(answer):
            self._due.append(due)
            self._due_bytes += len(due.text)
        if self._due:
            self._news.set()
            if self._due_bytes >= GROUP:
                self._many.set()

    async def run(self) -> None:
        while True:
            with trio.move_on_at(self._next_checkpoint if self._unkept else float("inf")):
                await self._news.wait()
                if not self._hasty:
                    with trio.move_on_after(PAUSE):
                        await self._many.wait()
            if self._due:
                await self._write()
            if self._unkept and trio.current_time() >= self._next_checkpoint:
                await self._checkpoint()

    async def close(self, *, finished: bool) -> int:
        """Where all is finished, it waits for whoever reads the output. Otherwise a reader that does not read is left
        after a second, and what failed before is not tried again."""
        if finished:
            await self._write()
            await self._in_thread(self._outputs.finish)
        else:
            patience = PATIENCE if self._outputs.journal is None else float("inf")
            with trio.move_on_after(patience, shield=True):
                await self._leave()
        return self._good.passed + self._good.failed

    async def _leave(self) -> None:
        async with self._one:  # what was left behind in its thread is over
            self._account()
        if self._failure is None:
            await self._write()
        if not self._broken:
            with suppress(OutputFailed) if self._failure else nullcontext():
                await self._checkpoint()

    async def _write(self) -> None:
        """Raises ReaderGone and OutputFailed."""
        if self._due:
            self._groups.append(Group(self._due, self._outputs.errors is not None))
            self._due, self._due_bytes = [], 0
            self._news, self._many = trio.Event(), trio.Event()
        # Cancelled, it may not have begun: the next one finds what there was to be written.
        await self._in_thread(self._append)

    def _append(self) -> None:
        """In the thread."""
        if self._failure is not None:
            raise self._failure
        try:
            while self._groups:
                self._groups[0].append_to(self._outputs)
                self._written.append(self._groups.popleft())
        except StokerError as error:
            self._failure = error
            raise

    async def _checkpoint(self) -> None:
        began = trio.current_time()
        good = self._good
        await self._in_thread(lambda: self._keep(good))
        self._unkept = self._good is not good
        now = trio.current_time()
        self._next_checkpoint = now + max(CHECKPOINT, SHARE * (now - began))

    def _keep(self, good: Checkpoint) -> None:
        """In the thread."""
        try:
            self._outputs.keep(good)
        except StokerError as error:
            self._broken = True
            self._failure = error
            raise

    async def _in_thread(self, act: Callable[[], None]) -> None:
        try:
            await trio.to_thread.run_sync(act, abandon_on_cancel=True, limiter=self._one)
        finally:
            self._account()

    def _account(self) -> None:
        """For what was written since the last time."""
        while self._written:
            group = self._written.popleft()
            self._lines -= len(group.numbers)
            self._bytes -= group.size
            self._coverage.answer(group.numbers)
            self._good = group.after(self._good, self._coverage)
            self._unkept = self._outputs.journal is not None
        if self._was_full:
            self._was_full = False
            if self.room:
                self.on_room()
