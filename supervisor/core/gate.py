"""What keeps a queue's jobs from beginning although workers are idle: its rate and its concurrency.

A job waits where it is, pending and unclaimed. A token is taken at its checkout and not given back; a place is taken
then too, and free again when the attempt's whole process tree is gone.
"""

from supervisor.config.model import QueueConfig
from supervisor.core.rate import Bucket, usual_burst

NEVER = 2**63 - 1  # nanoseconds: not before a place is given back


class Gate:
    """One queue's. `now` is in nanoseconds of a clock that never goes back; `start` is the daemon's: the bucket was
    empty then."""

    def __init__(self, policy: QueueConfig, start: int) -> None:
        self.limited = policy.rate is not None or policy.concurrency is not None
        self._concurrency = policy.concurrency
        self._bucket: Bucket | None = None
        if policy.rate is not None:
            self._bucket = Bucket(policy.rate, policy.burst or usual_burst(policy.rate), start)
        self._running = 0

    def revised(self, policy: QueueConfig, now: int, running: int) -> "Gate":
        """For another policy, with what is left in the bucket; one that is new is empty. So many jobs run."""
        gate = Gate(policy, now)
        gate._running = running
        if gate._bucket is not None and self._bucket is not None:
            assert policy.rate is not None
            gate._bucket = self._bucket.revised(policy.rate, policy.burst or usual_burst(policy.rate), now)
        return gate

    def opens_at(self, now: int) -> int:
        """When the next job may begin: `now`, later, or NEVER."""
        if self._concurrency is not None and self._running >= self._concurrency:
            return NEVER
        return now if self._bucket is None else self._bucket.next_at(now)

    def closed_by(self, now: int) -> str | None:
        """Which limit keeps the next job waiting, by its name in the configuration."""
        opens = self.opens_at(now)
        if opens == now:
            return None
        return "concurrency" if opens == NEVER else "rate"

    def enter(self, now: int) -> None:
        """A job begins; only when `opens_at(now)` is `now`."""
        self._running += 1
        if self._bucket is not None:
            self._bucket.take(now)

    def leave(self) -> None:
        """Its attempt is over."""
        self._running -= 1
