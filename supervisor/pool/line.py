"""What the feeder knows of one queue."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from supervisor.config.model import QueueConfig
from supervisor.core.ends import Ends
from supervisor.core.gate import Gate
from supervisor.core.job import Ready
from supervisor.core.keys import Keys
from supervisor.core.lanes import Lanes
from supervisor.core.lookahead import Lookahead
from supervisor.core.spread import Spread
from supervisor.pool.rates import Rate

if TYPE_CHECKING:
    from supervisor.pool.pool import Pool


class Line:
    """One queue: its policy, its look-ahead, and who serves it. `shut`: it gives nothing out, being paused by somebody
    or throttled by a worker's reply. `limited`: it may be that nothing of it may begin; times are monotonic
    nanoseconds."""

    def __init__(self, policy: QueueConfig) -> None:
        self.name = policy.name
        self.policy = policy
        self.claims_first = policy.on_daemon_crash == "fail"
        now = time.monotonic_ns()
        self.gate = Gate(policy, now)
        self.keys = Keys(policy, now) if policy.keyed else None
        self.limited = self.gate.limited or policy.keyed
        self.lanes: Lanes | None = None  # the look-ahead of a queue that limits keys
        self.ahead: Lookahead | Lanes = self._no_rows()
        self.paused = False
        self.throttled_until: int | None = None  # monotonic, in nanoseconds
        self.shut = False
        self.swept_by = 0  # so many: it is not read
        self.pools: list[Pool] = []
        self.configured = True
        self.reading = False
        self.reads = 0  # so many were asked for
        self.stale = True  # the look-ahead does not know the front of the queue
        self.overdue = False  # it lacks rows that were past their expiry, and the store may not have ended them
        self.submitted = Rate()
        self.ends = Ends(time.monotonic())
        self.waits = Spread()  # from due to checkout,
        self.runs = Spread()  # and from there to the end of the attempt

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

    def forget(self) -> None:
        """What was read ahead; a read that is under way brings it to nobody."""
        self.ahead = self._no_rows()
        self.stale = True

    def revise(self, policy: QueueConfig, running: Sequence[Ready]) -> None:
        """Another policy. `running`: the jobs that are checked out, each with its lane where the policy limits keys.
        What was read ahead stays, unless its order goes by other keys."""
        now = time.monotonic_ns()
        before, self.policy = self.policy, policy
        self.claims_first = policy.on_daemon_crash == "fail"
        if _limits(before) != _limits(policy):
            self.gate = self.gate.revised(policy, now, len(running))
            self.limited = self.gate.limited or policy.keyed
        if _key_limits(before) != _key_limits(policy):
            keys = self.keys or Keys(policy, now)
            self.keys = keys.revised(policy, now, [row.lane for row in running]) if policy.keyed else None
            self.lanes = None
            self.forget()

    def retire(self) -> None:
        """Its queue is configured no more: nothing is read, and what runs ends in it."""
        self.configured = False
        self.swept_by += 1
        self.forget()

    def return_to(self) -> None:
        """It is, again."""
        self.configured = True
        self.swept_by -= 1
        self.stale = True

    def _no_rows(self) -> Lookahead | Lanes:
        if self.keys is None:
            return Lookahead()
        self.lanes = Lanes(self.keys)
        return self.lanes

    def opens_at(self, now: int) -> int:
        """When the next job may begin, as core.gate says it."""
        opens = self.gate.opens_at(now)
        return opens if self.lanes is None or opens != now else self.lanes.opens_at(now)

    def limited_by(self, now: int) -> str | None:
        """The limit for which all jobs wait, by its name in the configuration."""
        return self.gate.closed_by(now) or (None if self.lanes is None else self.lanes.blocked_by(now))

    def starves(self, now: int) -> bool:
        """Rows that could begin may be there, but are to be read first."""
        if self.lanes is not None:
            return self.gate.opens_at(now) == now and self.lanes.starves(now)
        assert isinstance(self.ahead, Lookahead)
        return not (self.ahead or self.ahead.complete) and self.gate.opens_at(now) == now

    @property
    def waiting(self) -> int:
        """Jobs that could begin, as far as they were read ahead and nothing else is known of them."""
        return len(self.ahead) if self.lanes is None else self.lanes.ready_rows

    def enter(self, row: Ready, now: int) -> None:
        """Its job begins."""
        if self.gate.limited:
            self.gate.enter(now)
        if self.lanes is not None and row.lane:
            self.lanes.enter(row.lane, now)

    def leave(self, row: Ready) -> bool:
        """Its attempt is over. Whether another job may begin for it."""
        if self.gate.limited:
            self.gate.leave()
        freed = self.lanes is not None and row.lane and self.lanes.leave(row.lane)
        return bool(freed) or self.gate.limited


def _limits(policy: QueueConfig) -> tuple[object, ...]:
    return policy.rate, policy.burst, policy.concurrency, policy.keyed


def _key_limits(policy: QueueConfig) -> tuple[object, ...]:
    return policy.rate_per_key, policy.burst_per_key, policy.concurrency_per_key
