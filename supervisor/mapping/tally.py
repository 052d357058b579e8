"""How far a run is, how fast, and when it will be over: as text."""

from collections.abc import Callable
from typing import NamedTuple

from supervisor.core.pace import Pace
from supervisor.core.words import lines, per_second


class Progress(NamedTuple):
    """What is known at one moment. `known`: lines that were met, answered or not; `offset`: bytes read of the `size`
    that the input has, if that can be known; `whole`: no more lines will be met."""

    passed: int
    failed: int
    known: int = 0
    offset: int = 0
    size: int | None = None
    whole: bool = False

    @property
    def answered(self) -> int:
        return self.passed + self.failed

    @property
    def total(self) -> float | None:
        """Lines in all: as many as the bytes let expect, until it is certain."""
        if self.whole:
            return float(self.known)
        if self.size is None or not self.offset:
            return None
        return self.known * max(1.0, self.size / self.offset)


class Tally:
    """Pure: the time is an argument, in seconds of a clock that only goes on. It begins with what is there then."""

    def __init__(self, now: float, begun: Progress) -> None:
        self._began = now
        self._begun = begun
        self._progress = begun
        self._pace = Pace()
        self._pace.note(now, begun.answered)

    def sample(self, now: float, progress: Progress) -> None:
        self._progress = progress
        self._pace.note(now, progress.answered)

    @property
    def rate(self) -> float:
        """Lines a second, lately."""
        return self._pace.rate() or 0.0

    @property
    def share(self) -> float | None:
        """From 0 to 1."""
        total = self._progress.total
        return None if total is None else min(1.0, self._progress.answered / total) if total else 1.0

    @property
    def left(self) -> float | None:
        """Seconds until the end, at the rate of now."""
        total = self._progress.total
        return None if total is None else self._pace.left(max(0.0, total - self._progress.answered))

    def told(self, now: float) -> str:
        """`45 %, 1,234 lines, 81 a second, 0:02:10 left, 3 failed`."""
        progress, share, left = self._progress, self.share, self.left
        parts = [
            "" if share is None else f"{int(share * 100)} %",
            lines(progress.answered),
            f"{per_second(self.rate)} a second",
            f"{_span(now - self._began)} so far" if left is None else f"{_span(left)} left",
            f"{progress.failed:,} failed" if progress.failed else "",
        ]
        return ", ".join(filter(None, parts))

    def summary(self, now: float) -> str:
        """`1,000 lines in 12.3 s (81 a second): 990 passed, 10 failed`."""
        progress, secs = self._progress, now - self._began
        done = progress.answered - self._begun.answered
        speed = f" ({per_second(done / secs)} a second)" if secs and done else ""
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        earlier = f", {self._begun.answered:,} of them by an earlier run" if self._begun.answered else ""
        took = f"{secs:.1f} s" if secs < 60 else _span(secs)
        return f"{lines(progress.answered)} in {took}{speed}: {progress.passed:,} passed{failed}{earlier}"


Look = Callable[[], Progress]


def _span(secs: float) -> str:
    minutes, seconds = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
