"""How much of what happens to jobs is logged.

The store's journal has all of it (`stoker events`). The log has the stories of jobs as far as anybody could read them,
and no more than a disk can bear. Whether an attempt is told is decided at its beginning, so that it is told whole or
not at all. Failures have an allowance of their own: ten thousand jobs that went well hide none that did not.
"""

import msgspec

from supervisor.config.model import NANOS, Rate
from supervisor.core.rate import Bucket

STORIES, STORIES_BURST = Rate(count=10, period=NANOS), 500
FAILURES, FAILURES_BURST = Rate(count=100, period=NANOS), 1000
EVERY = 10 * NANOS  # between two reports of what was left out

_LONG_AGO = -(10**18)  # both are full at the start


class LeftOut(msgspec.Struct, frozen=True):
    """Stories and failures that were not told, over so many seconds."""

    stories: int
    failures: int
    seconds: float


class Allowance:
    """Times are nanoseconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._stories = Bucket(STORIES, STORIES_BURST, _LONG_AGO)
        self._failures = Bucket(FAILURES, FAILURES_BURST, _LONG_AGO)
        self._stories_out = 0
        self._failures_out = 0
        self._since = 0  # of the first that was left out and not reported

    def story(self, now: int) -> bool:
        """Whether one more may be told; if not, it is counted."""
        if self._stories.has_one(now):
            self._stories.take(now)
            return True
        self._count(now)
        self._stories_out += 1
        return False

    def failure(self, now: int) -> bool:
        """The same for a failure."""
        if self._failures.has_one(now):
            self._failures.take(now)
            return True
        self._count(now)
        self._failures_out += 1
        return False

    def _count(self, now: int) -> None:
        if not (self._stories_out or self._failures_out):
            self._since = now

    def left_out(self, now: int, *, every: int = EVERY) -> LeftOut | None:
        """What is to be reported, if there is any and it is time; from then on it counts anew."""
        if not (self._stories_out or self._failures_out) or now - self._since < every:
            return None
        found = LeftOut(self._stories_out, self._failures_out, round((now - self._since) / NANOS, 3))
        self._stories_out = self._failures_out = 0
        return found
