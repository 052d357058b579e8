"""Where answers go."""

from collections.abc import Callable
from typing import Protocol

from supervisor.core.job import JobError
from supervisor.errors import StokerError
from supervisor.lines.line import Line


class ReaderGone(StokerError):
    """Whoever read our output does so no more: a broken pipe."""

    code = "reader_gone"


class OutputFailed(StokerError):
    """An answer could not be written: a full disk, say."""

    code = "output_failed"


class Answers(Protocol):
    """Each line that was expected is answered once: by `passed`, `failed` or `refused`. These only keep the answer; a
    task of its own writes it soon. Counts: lines that are answered, those of the run that is resumed included.

    `on_room` is called, in trio's thread, when there is room again after there was none."""

    on_room: Callable[[], None]
    passed_count: int
    failed_count: int

    @property
    def room(self) -> bool:
        """Whether another line may be expected: what waits for its turn, or to be written, is bounded."""

    def expect(self, line: Line) -> None:
        """It was taken from the feed, in whose order these come; its answer will follow."""

    def passed(self, line: Line, result: bytes) -> None:
        """`result` is JSON."""

    def failed(self, line: Line, error: JobError) -> None:
        """It was given up."""

    def refused(self, line: Line) -> None:
        """It has no payload: its `cause` and `complaint` say why."""

    async def run(self) -> None:
        """Write what comes, until cancelled. Raises ReaderGone and OutputFailed."""

    async def close(self, *, finished: bool) -> int:
        """Write what can be written, and make it last; the number of lines that are answered then, in all runs.
        `finished`: every line of the input is, and nothing has to be resumed. Raises as `run` does."""
