"""How a pool that serves several queues divides its workers among them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from protocol.control import ShareView
from supervisor.config.model import PoolConfig
from supervisor.core.shares import Share, Shares
from supervisor.pool.rates import Rate

if TYPE_CHECKING:
    from supervisor.pool.feeder import Line

BILLION = 1_000_000_000


class Turn:
    """A queue's turn, and the moment when it began: what its job is charged from."""

    __slots__ = ("_share", "_since", "line")

    def __init__(self, line: Line, share: Share, now: int) -> None:
        self.line = line
        self._share = share
        self._since = now

    def begin(self) -> None:
        self._share.begin(self._since)

    def end(self) -> None:
        self._share.end(self._since, time.monotonic_ns())


class Sharing:
    """A pool of one queue has none: there is nothing to decide, and no clock to read."""

    def __init__(self, config: PoolConfig, lines: dict[str, Line]) -> None:
        self._lines = {queue: lines[queue] for queue in config.queues}
        self._shares = Shares(config)
        self._rates = {queue: Rate() for queue in config.queues}

    def turns(self, others: int) -> Iterator[Turn]:
        """Whose job is to be given to a free worker, while `others` are free besides; and if that queue turns out to
        have none, whose then."""
        lines, now = self._lines, time.monotonic_ns()
        open_ = [share for share in self._shares.all if not lines[share.queue].shut]
        # Rows that are being read count: a queue has not gone away because its jobs are finished faster than read.
        self._shares.look([one for one in open_ if lines[one.queue].ahead or not lines[one.queue].ahead.complete], now)
        ready = [share for share in open_ if lines[share.queue].ahead]
        while (share := self._shares.pick(ready, now, others=others)) is not None:
            yield Turn(lines[share.queue], share, now)
            ready.remove(share)

    def keeps_back(self, idle: int) -> bool:
        """Whether the idle workers are kept for queues that have no job, while others have."""
        return not any(
            self._shares.may(share, idle - 1)
            for share in self._shares.all
            if self._lines[share.queue].ahead and not self._lines[share.queue].shut
        )

    def revise(self, config: PoolConfig) -> None:
        """Other weights and reserves of the same queues."""
        self._shares.revise(config, time.monotonic_ns())

    def sample(self, now: float) -> None:
        for share in self._shares.all:
            rate = self._rates[share.queue]
            rate.total = share.used(time.monotonic_ns())
            rate.sample(now)

    def views(self) -> list[ShareView]:
        return [self._view(share) for share in self._shares.all]

    def _view(self, share: Share) -> ShareView:
        rate, used = self._rates[share.queue], share.used(time.monotonic_ns())
        rate.total = used
        return ShareView(
            queue=share.queue,
            weight=share.weight,
            reserve=share.reserve,
            running=share.running,
            workers=round(rate.per_second(time.monotonic()) / BILLION, 3),
            used_secs=round(used / BILLION, 3),
        )
