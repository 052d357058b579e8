"""How many jobs may begin in how much time: a token bucket, in whole numbers so that no rounding adds up.

It is kept as GCRA (ITU-T I.371, annex A): one instant, at which the bucket would be full again if nothing were taken.
Over any window of t seconds at most `count * t / period + burst` tokens are taken, wherever the window lies.
"""

from supervisor.config.model import NANOS, Rate


class Bucket:
    """It holds `burst` tokens. Times are nanoseconds of a clock that never goes back. `empty_at`: an instant at which
    nothing was in it, such as the daemon's start: what was taken before it died is not known, so it counts as all."""

    __slots__ = ("_count", "_full_at", "_period", "_spare")  # there may be one for each of many keys

    def __init__(self, rate: Rate, burst: int, empty_at: int) -> None:
        self._count, self._period = rate.count, rate.period
        self._spare = (burst - 1) * rate.period
        self._full_at = empty_at * rate.count + burst * rate.period  # in nanoseconds / count

    def next_at(self, now: int) -> int:
        """The first instant, `now` or later, at which a token is there."""
        return max(now, -((self._spare - self._full_at) // self._count))

    def has_one(self, now: int) -> bool:
        """Whether `next_at(now)` is `now`."""
        return self._full_at - self._spare <= now * self._count

    def full(self, now: int) -> bool:
        return self._full_at <= now * self._count

    def take(self, now: int) -> None:
        """One token; only when `next_at(now)` is `now`."""
        full_at, empty_before = self._full_at, now * self._count
        self._full_at = (full_at if full_at > empty_before else empty_before) + self._period

    def copy(self) -> "Bucket":
        twin = object.__new__(Bucket)
        twin._count, twin._period, twin._spare, twin._full_at = self._count, self._period, self._spare, self._full_at
        return twin

    def revised(self, rate: Rate, burst: int, now: int) -> "Bucket":
        """Another bucket with what this one has in it now, as far as it holds that. A part of a token is rounded down:
        no window, be it one that began before, gets more for the change than the larger of both would have let in."""
        missing = max(0, self._full_at - now * self._count)  # of a full one, in periods of this one to a token
        level = max(0, self._spare + self._period - missing)
        twin = Bucket(rate, burst, now)
        twin._full_at -= min(level * rate.period // self._period, burst * rate.period)
        return twin


def usual_burst(rate: Rate) -> int:
    """A tenth of a second's worth, at least one: so that being a little late now and then costs no throughput."""
    return max(1, rate.count * NANOS // (10 * rate.period))
