"""How attempts end, and how many in a second: over the last minute, and over the last five."""

from collections import deque

import msgspec

from supervisor.core.job import Outcome, State

EVERY = 10.0  # seconds between two samples
MINUTE = 60.0
MINUTES = 300.0

_NAMES = ("done", "failed", "cancelled", "retried", "released")


class PerSecond(msgspec.Struct, frozen=True, kw_only=True):
    """`retried`: failed attempts whose job is tried again. `released`: given back at nobody's cost, throttled ones
    included."""

    done: float = 0.0
    failed: float = 0.0
    cancelled: float = 0.0
    retried: float = 0.0
    released: float = 0.0

    @property
    def final(self) -> float:
        """Of jobs that reached their end."""
        return round(self.done + self.failed + self.cancelled, 3)


class Ends:
    """Totals since the start, and samples of them. Times are seconds of a clock that never goes back."""

    def __init__(self, now: float) -> None:
        self.done = 0
        self.failed = 0
        self.cancelled = 0
        self.retried = 0
        self.released = 0
        self._samples: deque[tuple[float, tuple[int, ...]]] = deque([(now, self._totals())])

    def count(self, outcome: Outcome) -> None:
        if outcome.state is State.DONE:
            self.done += 1
        elif outcome.state is State.FAILED:
            self.failed += 1
        elif outcome.state is State.CANCELLED:
            self.cancelled += 1
        elif outcome.error is not None:
            self.retried += 1
        else:
            self.released += 1

    def sample(self, now: float) -> None:
        """To be called about once a second."""
        samples = self._samples
        if now - samples[-1][0] < EVERY:
            return
        totals = self._totals()
        samples.append((now, samples[-1][1] if samples[-1][1] == totals else totals))  # idle: one tuple, not thirty
        while now - samples[1][0] >= MINUTES:
            samples.popleft()

    def per_second(self, now: float, window: float) -> PerSecond:
        """Over `window` seconds and up to EVERY more, or all since the start, at least one."""
        since, before = next((one for one in reversed(self._samples) if now - one[0] >= window), self._samples[0])
        secs = max(now - since, 1.0)
        rates = ((last - first) / secs for first, last in zip(before, self._totals(), strict=True))
        return PerSecond(**{name: round(rate, 3) for name, rate in zip(_NAMES, rates, strict=True)})

    def _totals(self) -> tuple[int, ...]:
        return (self.done, self.failed, self.cancelled, self.retried, self.released)
