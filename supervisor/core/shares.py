"""Which queue of a pool is next, when several have jobs: by what each has used of the workers' time, or by their order.

A queue's *standing* is the running time it has used, divided by its weight; the lowest is next. Jobs that run count for
the time they have taken so far, and besides for as long again as this queue's jobs usually take. Without that,
workers that become free together would all go to the queue that is behind by a microsecond.

Standings compare only queues that want workers. Whoever has no job loses what it falls behind meanwhile: when it comes
back it starts level with the others. (What one has had too much is not forgiven to it as long as another one waits.)

Numbers of jobs were rejected as a measure: a queue of slow jobs would crowd out one of quick ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from supervisor.config.model import PoolConfig

UNKNOWN = 10_000_000  # ns; what a job takes before any has ended. Only its being the same for all matters
_MEMORY = 8  # jobs, about, over which the usual time of a job is averaged


class Share:
    """What one queue has had of a pool. Times and instants are monotonic nanoseconds: whole numbers add up exactly."""

    __slots__ = ("_forgone", "_spent", "picked", "queue", "reserve", "running", "usual", "waits", "weight")

    def __init__(self, queue: str, weight: int = 1, reserve: int = 0) -> None:
        self.queue = queue
        self.weight = weight
        self.reserve = reserve
        self.running = 0
        self.usual: int | None = None  # what a job of it takes
        self.waits = False  # it had jobs to give when that was last looked at
        self.picked = 0  # the number of the decision in which it was last chosen
        self._spent = 0  # what the jobs took that have ended, less the instants at which those that run began
        self._forgone = 0  # time that it did not want, counted as if it had been used

    def begin(self, now: int) -> None:
        """A job of it was given to a worker."""
        self.running += 1
        self._spent -= now

    def end(self, began: int, now: int) -> None:
        """One that began then is over, however it ended."""
        taken = now - began
        self.running -= 1
        self._spent += now
        self.usual = taken if self.usual is None else self.usual + (taken - self.usual) // _MEMORY

    def used(self, now: int) -> int:
        """The running time of all its jobs, also of those that run still."""
        return self._spent + self.running * now

    def standing(self, now: int) -> float:
        return (self._spent + self._forgone + self.running * now) / self.weight

    def expected(self, now: int, usual: int) -> float:
        """Its standing, were each of its jobs to run for `usual` from now."""
        return (self._spent + self._forgone + self.running * (now + usual)) / self.weight

    def raise_to(self, standing: float, now: int) -> None:
        """Give up what it is behind; nothing where it is ahead."""
        self._forgone += max(0, int((standing - self.standing(now)) * self.weight))

    def start_level(self, now: int) -> None:
        """Forget the past, credit and debt."""
        self._forgone = -self.used(now)


class Shares:
    """The queues of one pool, in the order in which its configuration names them."""

    def __init__(self, config: PoolConfig) -> None:
        self.all = tuple(Share(queue) for queue in config.queues)
        self._decisions = 0
        self._apply(config)

    def _apply(self, config: PoolConfig) -> None:
        weights, reserves = dict(config.weight), dict(config.reserve)
        for share in self.all:
            share.weight = weights.get(share.queue, 1)
            share.reserve = reserves.get(share.queue, 0)
        self._strict = config.order == "strict"
        self._reserving = any(reserves.values())

    def revise(self, config: PoolConfig, now: int) -> None:
        """Another configuration, perhaps with other queues: a new start for all, since the old standings mean nothing
        in it."""
        known = {share.queue: share for share in self.all}
        self.all = tuple(known.get(queue) or Share(queue) for queue in config.queues)
        self._apply(config)
        for share in self.all:
            share.start_level(now)

    def look(self, waiting: Sequence[Share], now: int) -> None:
        """Who wants workers, whether or not it can have one: to be told before a decision whenever it is not as it was,
        also when nobody does."""
        returned = [share for share in waiting if not share.waits]
        if returned:
            present = [share for share in waiting if share.waits]
            if present:
                level = min(share.standing(now) for share in present)
            else:  # nobody was kept waiting, so nobody is owed anything
                level = max(share.standing(now) for share in self.all)
            for share in returned:
                share.raise_to(level, now)
        for share in self.all:
            share.waits = False
        for share in waiting:
            share.waits = True

    def pick(self, ready: Sequence[Share], now: int, *, others: int) -> Share | None:
        """Whose job goes to a worker that is free, while `others` are free besides; None: it is kept for a queue that
        has no job now. `ready` are those with a job to give."""
        if self._reserving:
            ready = [share for share in ready if self.may(share, others)]
        if not ready:
            return None
        self._decisions += 1
        if self._strict:
            return min(ready, key=self.all.index)
        chosen = ready[0] if len(ready) == 1 else self._lowest(ready, now)
        chosen.picked = self._decisions
        return chosen

    def may(self, share: Share, others: int) -> bool:
        """Whether it can have a free worker, while `others` are free besides: nobody takes the last ones that are
        reserved and unused."""
        return share.running < share.reserve or others >= _unused(one for one in self.all if one is not share)

    def _lowest(self, ready: Sequence[Share], now: int) -> Share:
        chosen, lowest = ready[0], float("inf")
        for share in ready:
            standing = share.expected(now, self._unknown() if share.usual is None else share.usual)
            if standing < lowest or (standing == lowest and share.picked < chosen.picked):
                chosen, lowest = share, standing
        return chosen

    def _unknown(self) -> int:
        """For a job that nobody knows anything of: that it is no quicker than those of others."""
        return max(share.usual or 0 for share in self.all) or UNKNOWN


def least_workers(config: PoolConfig) -> int:
    """Workers with which every queue of the pool gets some: those that are reserved, and one for all who have none."""
    reserved = dict(config.reserve)
    return max(1, sum(reserved.values()) + any(not reserved.get(queue) for queue in config.queues))


def _unused(shares: Iterable[Share]) -> int:
    return sum(max(0, share.reserve - share.running) for share in shares)
