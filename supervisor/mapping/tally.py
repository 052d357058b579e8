"""How far a run is, how fast, and when it will be over: as text."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

WINDOW = 30.0  # seconds over which the rate is measured


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
        self._samples: deque[tuple[float, int]] = deque([(now, begun.answered)])

    def sample(self, now: float, progress: Progress) -> None:
        self._progress = progress
        self._samples.append((now, progress.answered))
        while len(self._samples) > 2 and now - self._samples[1][0] >= WINDOW:
            self._samples.popleft()

    @property
    def rate(self) -> float:
        """Lines a second, lately."""
        (since, before), (now, answered) = self._samples[0], self._samples[-1]
        return (answered - before) / (now - since) if now > since else 0.0

    @property
    def share(self) -> float | None:
        """From 0 to 1."""
        total = self._progress.total
        return None if total is None else min(1.0, self._progress.answered / total) if total else 1.0

    @property
    def left(self) -> float | None:
        """Seconds until the end, at the rate of now."""
        total, rate = self._progress.total, self.rate
        if total is None or not rate:
            return None
        return max(0.0, total - self._progress.answered) / rate

    def told(self, now: float) -> str:
        """`45 %, 1,234 lines, 81 a second, 0:02:10 left, 3 failed`."""
        progress, share, left = self._progress, self.share, self.left
        parts = [
            "" if share is None else f"{int(share * 100)} %",
            _lines(progress.answered),
            f"{_figure(self.rate)} a second",
            f"{_span(now - self._began)} so far" if left is None else f"{_span(left)} left",
            f"{progress.failed:,} failed" if progress.failed else "",
        ]
        return ", ".join(filter(None, parts))

    def summary(self, now: float) -> str:
        """`1,000 lines in 12.3 s (81 a second): 990 passed, 10 failed`."""
        progress, secs = self._progress, now - self._began
        done = progress.answered - self._begun.answered
        speed = f" ({_figure(done / secs)} a second)" if secs and done else ""
        failed = f", {progress.failed:,} failed" if progress.failed else ""
        earlier = f", {self._begun.answered:,} of them by an earlier run" if self._begun.answered else ""
        took = f"{secs:.1f} s" if secs < 60 else _span(secs)
        return f"{_lines(progress.answered)} in {took}{speed}: {progress.passed:,} passed{failed}{earlier}"


Look = Callable[[], Progress]


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _figure(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def _span(secs: float) -> str:
    minutes, seconds = divmod(round(secs), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
