"""How fast a count grows, over the last minute."""

from collections import deque

WINDOW = 60.0  # seconds


class Rate:
    """Sampled about once a second; exact over whole samples."""

    def __init__(self) -> None:
        self.total = 0
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, now: float) -> None:
        self._samples.append((now, self.total))
        while now - self._samples[0][0] > WINDOW:
            self._samples.popleft()

    def per_second(self, now: float) -> float:
        if not self._samples:
            return 0.0
        since, before = self._samples[0]
        return round((self.total - before) / max(now - since, 1.0), 3)
