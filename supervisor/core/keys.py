"""What keeps jobs of one key from beginning although others of their queue may: its rate and its concurrency.

A job may have two keys, one for each. The pair is its lane: jobs of one lane wait for the same things, in claim order.
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

import msgspec

from supervisor.config.model import QueueConfig
from supervisor.core.gate import NEVER
from supervisor.core.rate import Bucket, usual_burst

NO_KEYS = ""  # the lane of jobs without any, in a queue that limits keys
SWEEP_AT = 1024  # buckets, from which on those that say nothing are thrown away now and then

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str | None, str | None]).decode


def lane_of(rate_key: str | None, concurrency_key: str | None) -> str:
    """The lane of a job with these keys, as a text that every store can keep and compare."""
    if rate_key is None and concurrency_key is None:
        return NO_KEYS
    return _encode((rate_key, concurrency_key)).decode()


@lru_cache(4096)
def keys_of(lane: str | None) -> tuple[str | None, str | None]:
    """rate_key and concurrency_key."""
    return _decode(lane) if lane else (None, None)


class Keys:
    """One queue's. Times are as in core.gate; `start` is the daemon's, at which every bucket was empty and nothing ran.

    Memory: a bucket for each key that is not full, and a count for each key of which jobs run.
    """

    def __init__(self, policy: QueueConfig, start: int) -> None:
        self._rate, self._most = policy.rate_per_key, policy.concurrency_per_key
        self._buckets: dict[str, Bucket] = {}
        self._running: dict[str, int] = {}
        self._sweep_at = SWEEP_AT
        if self._rate is not None:
            # Stands for each key that nothing was taken of.
            self._untouched = Bucket(self._rate, policy.burst_per_key or usual_burst(self._rate), start)

    def revised(self, policy: QueueConfig, now: int, running: Iterable[str | None]) -> "Keys":
        """For another policy, with what is left in the buckets; where there were none, they are empty. `running`: the
        lane of each job that runs."""
        keys = Keys(policy, now)
        if keys._most is not None:
            keys._running = dict(Counter(key for lane in running if (key := keys_of(lane)[1]) is not None))
        if keys._rate is not None and self._rate is not None:
            rate, burst = keys._rate, policy.burst_per_key or usual_burst(keys._rate)
            keys._untouched = self._untouched.revised(rate, burst, now)
            keys._buckets = {key: bucket.revised(rate, burst, now) for key, bucket in self._buckets.items()}
            keys._sweep(now)
        return keys

    def opens_at(self, rate_key: str | None, concurrency_key: str | None, now: int) -> int:
        """When the next job with these keys may begin: `now`, later, or NEVER (before one of its key has ended)."""
        most = self._most
        if most is not None and concurrency_key is not None and self._running.get(concurrency_key, 0) >= most:
            return NEVER
        if self._rate is None or rate_key is None:
            return now
        return (self._buckets.get(rate_key) or self._untouched).next_at(now)

    def lets_in(self, lane: str | None, now: int) -> bool:
        """Whether `opens_at` is `now` for jobs of this lane; for each job this is asked, and works no instant out."""
        rate_key, concurrency_key = keys_of(lane)
        most = self._most
        if most is not None and concurrency_key is not None and self._running.get(concurrency_key, 0) >= most:
            return False
        if self._rate is None or rate_key is None:
            return True
        return (self._buckets.get(rate_key) or self._untouched).has_one(now)

    def enter(self, lane: str | None, now: int) -> None:
        """A job of this lane begins; only when `opens_at` is `now`."""
        rate_key, concurrency_key = keys_of(lane)
        if self._most is not None and concurrency_key is not None:
            self._running[concurrency_key] = self._running.get(concurrency_key, 0) + 1
        if self._rate is not None and rate_key is not None:
            bucket = self._buckets.get(rate_key)
            if bucket is None:
                if len(self._buckets) >= self._sweep_at:
                    self._sweep(now)
                bucket = self._buckets[rate_key] = self._untouched.copy()
            bucket.take(now)

    def leave(self, lane: str | None) -> str | None:
        """Its attempt is over. Returns the concurrency key of which a place is free again."""
        key = keys_of(lane)[1]
        if self._most is None or key is None:
            return None
        left = self._running[key] - 1
        if left:
            self._running[key] = left
        else:
            del self._running[key]
        return key

    def _sweep(self, now: int) -> None:
        """A full bucket is like one that nothing was ever taken of, which by then is full as well."""
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.full(now)}
        self._sweep_at = max(SWEEP_AT, 2 * len(self._buckets))
