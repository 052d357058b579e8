"""How fast something goes, and how long it will go on. Pure: the time is an argument."""

from collections import deque

SPAN = 30.0  # seconds that are looked at, so that a slow start or a pause is forgotten
STEP = 0.5  # seconds between two figures that are kept


class Pace:
    """Of one count that only grows."""

    def __init__(self) -> None:
        self._kept: deque[tuple[float, int]] = deque()
        self._last = (0.0, 0)

    def note(self, at: float, done: int) -> None:
        """So many at this time (seconds of any clock that goes forward)."""
        self._last = (at, done)
        if not self._kept or at - self._kept[-1][0] >= STEP:
            self._kept.append(self._last)
        while len(self._kept) > 1 and at - self._kept[1][0] >= SPAN:
            self._kept.popleft()

    def rate(self) -> float | None:
        """A second, of late; None as long as nobody can know."""
        if not self._kept:
            return None
        since, before = self._kept[0]
        at, done = self._last
        return (done - before) / (at - since) if at - since >= STEP else None

    def left(self, rest: float) -> float | None:
        """Seconds until as many more are done; None where that cannot be known, or nothing moves."""
        rate = self.rate()
        return rest / rate if rate else None
