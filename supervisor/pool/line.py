"""What the feeder knows of one queue."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from supervisor.config.model import QueueConfig
from supervisor.core.gate import Gate
from supervisor.core.lookahead import Lookahead
from supervisor.pool.rates import Rate

if TYPE_CHECKING:
    from supervisor.pool.pool import Pool


class Line:
    """One queue: its policy, its look-ahead, and who serves it. `shut`: it gives nothing out, being paused by somebody
    or throttled by a worker's reply."""

    def __init__(self, policy: QueueConfig) -> None:
        self.name = policy.name
        self.policy = policy
        self.claims_first = policy.on_daemon_crash == "fail"
        self.ahead = Lookahead()
        self.paused = False
        self.throttled_until: int | None = None  # monotonic, in nanoseconds
        self.shut = False
        self.swept_by = 0  # so many: it is not read
        self.gate = Gate(policy, time.monotonic_ns())
        self.pools: list[Pool] = []
        self.reading = False
        self.stale = True  # the look-ahead does not know the front of the queue
        self.submitted = Rate()
        self.finished = Rate()

    def pause(self, paused: bool) -> None:
        self.paused = paused
        if not paused:
            self.throttled_until = None
        self.shut = paused or self.throttled_until is not None

    def throttle(self, until: int) -> None:
        """Whichever reply asks for the longest wait."""
        self.throttled_until = until if self.throttled_until is None else max(until, self.throttled_until)
        self.shut = True

    def open_again(self, now: int) -> None:
        """If it was throttled, and that is over."""
        if self.throttled_until is not None and self.throttled_until <= now:
            self.throttled_until = None
            self.shut = self.paused
