"""How a pool that serves several queues divides its workers among them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol.control import ShareView
from supervisor.config.model import NANOS, PoolConfig
from supervisor.core.shares import Share, Shares
from supervisor.pool.rates import Rate

if TYPE_CHECKING:
    from supervisor.pool.line import Line
    from supervisor.pool.run import Run


class Sharing:
    """A pool of one queue has none: there is nothing to decide, and no clock to read. `may_begin` says whether anything
    but the worker is missing for a line's next job, `starves` whether it is on its way from the store."""

    def __init__(
        self,
        config: PoolConfig,
        lines: dict[str, Line],
        may_begin: Callable[[Line], bool],
        starves: Callable[[Line], bool],
    ) -> None:
        self._may_begin = may_begin
        self._starves = starves
        self._lines = lines
        self._shares = Shares(config)
        self._pairs = self._paired()
        self._known: list[Share] | None = None  # who was ready when the shares were last told who waits
        self._rates = {queue: Rate() for queue in config.queues}

    def ready(self, now: int) -> list[Share]:
        """Those with a job to give. `next` needs a list of its own."""
        may_begin = self._may_begin
        ready = [share for line, share in self._pairs if line.ahead and may_begin(line)]
        if ready != self._known:
            # Rows that are being read count: a queue has not gone because its jobs are done faster than they are read.
            reading = [one for line, one in self._pairs if self._starves(line)]
            self._shares.look(ready + reading, now)
            self._known = None if reading else ready.copy()
        return ready

    def next(self, ready: list[Share], now: int, others: int) -> tuple[Line, Share] | None:
        """Whose job goes to a free worker, while `others` are free besides. It is taken off `ready`: should its queue
        have none after all, the next one is asked for."""
        share = self._shares.pick(ready, now, others=others)
        if share is None:
            return None
        ready.remove(share)
        return self._lines[share.queue], share

    def keeps_back(self, idle: int) -> bool:
        """Whether the idle workers are kept for queues that have no job, while others have."""
        return not any(
            self._shares.may(share, idle - 1) for line, share in self._pairs if line.ahead and self._may_begin(line)
        )

    def may(self, queue: str, idle: int) -> bool:
        """Whether a job of the queue may have one of so many idle workers, or all are kept for others."""
        return any(share.queue == queue and self._shares.may(share, idle - 1) for share in self._shares.all)

    def revise(self, config: PoolConfig) -> None:
        """Other weights and reserves, or other queues."""
        self._shares.revise(config, time.monotonic_ns())
        self._pairs = self._paired()
        self._known = None
        self._rates = {queue: self._rates.get(queue) or Rate() for queue in config.queues}

    def begun(self, run: Run) -> None:
        """One that began before its queue had a share."""
        share = next((share for share in self._shares.all if share.queue == run.row.queue), None)
        if share is not None and run.share is None:
            run.share = share
            share.begin(run.since)

    def _paired(self) -> tuple[tuple[Line, Share], ...]:
        return tuple((self._lines[share.queue], share) for share in self._shares.all)

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
            workers=round(rate.per_second(time.monotonic()) / NANOS, 3),
            used_secs=round(used / NANOS, 3),
        )
