"""A daemon whose workers and whose clock are not real, and the plain rules by which jobs may begin."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import trio
from msgspec.structs import replace

from supervisor.config.model import NANOS, Backoff, Config, DaemonConfig, PoolConfig, QueueConfig, Rate, StoreConfig
from supervisor.control.service import Service
from supervisor.core.job import Job, State
from supervisor.core.verdict import End, Verdict
from supervisor.daemon.reloading import Reloading
from supervisor.pool.clock import Clock
from supervisor.pool.feeder import Feeder
from supervisor.pool.pool import Pool
from supervisor.pool.run import Run
from supervisor.pool.standing import Asked, standing
from supervisor.store.committer import Committer
from supervisor.store.limits import limit_keys
from tests.pool.rig import pool_config
from tests.store.support import NOW, Backend

AHEAD = 4  # rows that are read ahead: few, so that much is to be read
WORKERS = 3

QUEUES = (
    QueueConfig(name="plain", max_attempts=2, backoff=Backoff(base=1, cap=2)),
    QueueConfig(name="rate", rate=Rate(count=4, period=NANOS), burst=2, on_throttle="queue"),
    QueueConfig(name="few", concurrency=2, max_attempts=1),
    QueueConfig(
        name="keys", rate_per_key=Rate(count=2, period=NANOS), burst_per_key=2, concurrency_per_key=1, max_attempts=3
    ),
    QueueConfig(name="both", rate=Rate(count=10, period=NANOS), burst=3, concurrency=2, concurrency_per_key=1),
    QueueConfig(name="once", on_daemon_crash="fail", on_throttle="queue", concurrency=4, concurrency_per_key=2),
)
SHARED = ("few", "keys", "plain", "once")


class Revised(NamedTuple):
    """Other policies."""

    at: int  # nanoseconds
    life: int
    marks: int  # so many had been made before
    policies: dict[str, QueueConfig]


class Begun(NamedTuple):
    """A mark that a worker made."""

    at: int  # nanoseconds
    queue: str
    rate_key: str | None
    life: int  # of the daemon


@dataclass
class Keys:
    rate: str | None
    concurrency: str | None


@dataclass(eq=False)
class Worker:
    """An idle or busy child, and what the feeder wants of it."""

    world: "World"
    pool: Any
    run: Run | None = None
    reserved: Run | None = None  # whose claim is on its way to the disk
    dead: bool = False  # nobody has noticed yet

    def fit(self) -> bool:
        return not self.dead

    def take(self, run: Run) -> None:
        assert self.run is None
        assert self.reserved is None
        run.life = self  # type: ignore[assignment]
        self.world.taken(run)
        if run.claim_first:
            self.reserved = run
        else:
            self.start(run)

    def begin(self, run: Run) -> None:
        assert run is self.reserved
        self.reserved = None
        self.start(run)

    def start(self, run: Run) -> None:
        self.run = run
        self.world.began(run)

    def let_go(self) -> None:
        self.reserved = None
        self.free()

    def cancel(self, run: Run) -> None:
        if run is self.run:
            self.world.killed.append(self)

    def end(self, verdict: Verdict) -> None:
        """As a real one: the next job at once, or idle."""
        run, self.run = self.run, None
        assert run is not None
        self.world.touched.add(run.id)
        self.world.feeder.finished(run, verdict)
        self.free()

    def free(self) -> None:
        following = None if self.dead else self.world.feeder.checkout(self.pool)
        if following is None:
            self.pool.idle.append(self)
        else:
            self.take(following)


@dataclass
class World:
    """A daemon without processes, and the time it lives in."""

    backend: Backend
    ns: int = 10 * NANOS  # monotonic
    skew: int = 0  # microseconds that the wall clock is off
    shares: dict[str, Any] = field(default_factory=dict)  # of the pool of several queues
    shared: tuple[str, ...] = SHARED
    policies: dict[str, QueueConfig] = field(default_factory=lambda: {queue.name: queue for queue in QUEUES})
    revisions: list[Revised] = field(default_factory=list)  # in this life
    since: dict[str, int] = field(default_factory=dict)  # the mark from which on a queue's rate holds
    since_per_key: dict[str, int] = field(default_factory=dict)
    keys: dict[str, Keys] = field(default_factory=dict)
    queues: dict[str, str] = field(default_factory=dict)
    uniques: dict[str, tuple[str, str]] = field(default_factory=dict)  # queue and value
    order: list[str] = field(default_factory=list)  # of submission
    marks: list[Begun] = field(default_factory=list)
    starts: list[str] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    throttled: dict[str, int] = field(default_factory=dict)  # queues, until
    life: int = 0
    born: int = 0
    killed: list[Worker] = field(default_factory=list)
    endings: dict[str, State] = field(default_factory=dict)
    known: dict[str, Job] = field(default_factory=dict)  # at the last rest,
    rested_at: int = 0  # which was then by the wall clock
    rested_with: int = 0  # and so many had begun
    touched: set[str] = field(default_factory=set)  # jobs of which something was wanted since

    def now(self) -> int:
        return NOW + self.ns // 1000 + self.skew

    def build(self, store: Any) -> None:
        self.known.clear()
        self.killed.clear()
        self.life += 1
        self.born = self.ns
        self.throttled.clear()
        self.revisions = [Revised(self.ns, self.life, len(self.marks), self.policies)]
        queues = [*self.policies.values()]
        limit_keys(store, queues)
        self.committer = Committer(store)
        self.feeder = Feeder(self.committer, queues, now=self.now, jitter=lambda: 0.5)
        self.clock = Clock(self.committer, self.feeder, now=self.now)
        configs = [*(pool_config(["-"], Path("/"), name=queue.name, queues=(queue.name,)) for queue in queues)]
        self.pools = [SimpleNamespace(config=config) for config in [*configs, self.shared_pool()]]
        self.workers = []
        for pool in self.pools:
            pool.name, pool.sharing, pool.begun = pool.config.name, None, 0
            pool.stopping = trio.Event()
            pool.sizing = SimpleNamespace(pressed=lambda: None)
            pool.idle = [Worker(self, pool) for _ in range(WORKERS)]
            self.workers += pool.idle
            pool.feeder = self.feeder
            pool.give_one = partial(Pool.give_one, pool)
            self.feeder.serve(pool)
            pool.take_over = partial(self._take_over, pool)
        self._look_ahead_little()
        config = Config(
            source=Path("/stoker.toml"), daemon=DaemonConfig(socket=Path("/s"), state_dir=Path("/")),
            store=StoreConfig(), pools=tuple(pool.config for pool in self.pools), queues=tuple(queues),
        )  # fmt: skip
        self.service = Service(
            config, self.committer, store.reader(), self.feeder, [], version="0", epoch=1, now=self.now
        )
        for name in self.paused:
            self.feeder.pause(name, True)

    def shared_pool(self) -> PoolConfig:
        shares = {
            name: tuple(pair for pair in what if pair[0] in self.shared) if name != "order" else what
            for name, what in self.shares.items()
        }
        return pool_config(["-"], Path("/"), name="shared", queues=self.shared, **shares)

    def _take_over(self, pool: Any, config: PoolConfig) -> None:
        pool.config = config
        self.feeder.serve(pool)

    def _look_ahead_little(self) -> None:
        for line in self.feeder.lines.values():
            line.ahead.max_rows = AHEAD
            if line.lanes is not None:
                line.lanes._kept = 2

    async def reload(self, policies: Sequence[QueueConfig], shared: tuple[str, ...]) -> None:
        """Other policies, and other queues for the pool that has several."""
        self.shared = shared

        configs = (*(pool.config for pool in self.pools[:-1]), self.shared_pool())
        config = replace(
            self.service.config, pools=configs, queues=tuple({**self.policies, **_by_name(policies)}.values())
        )
        pools: Any = SimpleNamespace(
            configs=lambda: tuple(pool.config for pool in self.pools),
            get=lambda name: next(pool for pool in self.pools if pool.name == name),
            adopt=lambda new, configs: None,
        )
        for pool in self.pools:
            pool.rolling = None
        reloading = Reloading(
            pools, self.feeder, self.committer, self.service, read=lambda: config, in_force=self._in_force
        )
        await reloading._reload()

    def _in_force(self, config: Config) -> None:
        before, self.policies = self.policies, _by_name(config.queues)
        self.revisions.append(Revised(self.ns, self.life, len(self.marks), self.policies))
        for name, queue in self.policies.items():
            if (queue.rate, queue.burst) != (before[name].rate, before[name].burst):
                self.since[name] = len(self.marks)
            if (queue.rate_per_key, queue.burst_per_key) != (before[name].rate_per_key, before[name].burst_per_key):
                self.since_per_key[name] = len(self.marks)
        self._look_ahead_little()

    # -- what workers see ------------------------------------------------------------------------------------------

    def began(self, run: Run) -> None:
        assert run.id not in self.endings, "it had ended"
        assert run.row.queue not in self.paused
        assert self.throttled.get(run.row.queue, 0) <= self.ns
        assert run.row.expires_at is None or run.row.expires_at > self.now()
        assert len([one for one in self.workers if one.run and one.run.id == run.id]) == 1

    def taken(self, run: Run) -> None:
        """A token and a place are taken here."""
        self._in_order(run)
        keys = self.keys[run.id]
        queue = run.row.queue
        self.marks.append(Begun(self.ns, queue, keys.rate, self.life))
        self.starts.append(run.id)
        policy, running = self.policies[queue], [run.id, *self.running(queue)]
        assert len({*running}) == len(running)
        if policy.concurrency is not None:
            assert len(running) <= policy.concurrency
        if policy.concurrency_per_key is not None and keys.concurrency is not None:
            same = [one for one in running if self.keys[one].concurrency == keys.concurrency]
            assert len(same) <= policy.concurrency_per_key
        if policy.rate is not None:
            self._within(policy.rate, policy.burst, lambda mark: True, queue, self.since)
        if policy.rate_per_key is not None and keys.rate is not None:
            like = partial(_has_key, keys.rate)
            self._within(policy.rate_per_key, policy.burst_per_key, like, queue, self.since_per_key)

    def _within(
        self, rate: Rate, burst: int | None, like: Callable[[Begun], bool], queue: str, since: dict[str, int]
    ) -> None:
        """Over every window that ends now and in which the rate was this one, across deaths of the daemon too."""
        assert burst is not None
        mine = [mark.at for mark in self.marks[since.get(queue, 0) :] if mark.queue == queue and like(mark)]
        for count, since in enumerate(reversed(mine), 1):
            assert count <= Fraction(rate.count * (self.ns - since), rate.period) + burst

    def _in_order(self, run: Run) -> None:
        """None that could have begun, and that has been there since the last rest untouched, should have come first."""
        mine = (-run.row.priority, self.order.index(run.id))
        for job in self.known.values():
            untouched = job.id not in self.touched and job.run_at <= self.rested_at and job.queue == run.row.queue
            if untouched and job.id not in self.starts[self.rested_with :] and self.may_begin(job):
                assert mine <= (-job.priority, self.order.index(job.id))

    def running(self, queue: str) -> list[str]:
        """Also those that wait for their claim."""
        return [run.id for run in map(_run_of, self.workers) if run is not None and run.row.queue == queue]

    # -- the rules -------------------------------------------------------------------------------------------------

    def tokens(
        self, limit: Callable[[QueueConfig], tuple[Rate | None, int | None]], like: Callable[[Begun], bool], queue: str
    ) -> Fraction:
        """Of a bucket that was empty when this daemon was born, or when its queue began to have a rate."""
        level, at, rate, burst = Fraction(0), self.born, None, 0
        for number, revision in enumerate(self.revisions):
            new, most = limit(revision.policies[queue])
            if rate is not None:
                level = min(Fraction(burst), level + Fraction(rate.count * (revision.at - at), rate.period))
            level = min(level, Fraction(most or 0)) if rate is not None and new is not None else Fraction(0)
            at, rate, burst = revision.at, new, most or 0
            last = self.revisions[number + 1].marks if number + 1 < len(self.revisions) else len(self.marks)
            for mark in [mark for mark in self.marks[revision.marks : last] if like(mark)]:
                if rate is not None:
                    level += Fraction(rate.count * (mark.at - at), rate.period)
                    level, at = min(Fraction(burst), level) - 1, mark.at
        assert rate is not None
        return min(Fraction(burst), level + Fraction(rate.count * (self.ns - at), rate.period))

    def may_begin(self, job: Job) -> bool:
        policy, keys = self.policies[job.queue], self.keys[job.id]
        if job.state is not State.PENDING or job.run_at > self.now():
            return False
        if job.expires_at is not None and job.expires_at <= self.now():
            return False
        if job.queue in self.paused or self.throttled.get(job.queue, 0) > self.ns:
            return False
        running = self.running(job.queue)
        if policy.concurrency is not None and len(running) >= policy.concurrency:
            return False
        if policy.concurrency_per_key is not None and keys.concurrency is not None:
            same = [one for one in running if self.keys[one].concurrency == keys.concurrency]
            if len(same) >= policy.concurrency_per_key:
                return False
        if policy.rate is not None:
            left = self.tokens(lambda one: (one.rate, one.burst), lambda m: m.queue == job.queue, job.queue)
            if left < 1:
                return False
        return (
            policy.rate_per_key is None
            or keys.rate is None
            or self.tokens(
                lambda one: (one.rate_per_key, one.burst_per_key),
                lambda m: m.queue == job.queue and m.rate_key == keys.rate,
                job.queue,
            )
            >= 1
        )

    async def rest(self) -> None:
        """Until nothing more is read, written or begun."""
        quiet = 0
        while quiet < 3:
            before = (len(self.starts), len(self.feeder.running))
            while self.clock._next is not None and self.clock._next <= self.now():
                await self.clock._step(self.now())
            while self.killed:
                self.killed.pop().end(Verdict(End.CANCELLED))
            await self.committer.settle()
            self._ring()
            busy = any(line.reading for line in self.feeder.lines.values())
            quiet = 0 if busy or before != (len(self.starts), len(self.feeder.running)) else quiet + 1
        found = await self.committer.read(lambda store: store.get(self.order))
        self.known = {job.id: job for job in found if job is not None}
        self.rested_at, self.rested_with = self.now(), len(self.starts)
        self.touched.clear()

    def _ring(self) -> None:
        """The alarm, if somebody has asked for it."""
        alarm = self.feeder.alarm
        if alarm._next is not None and alarm._next <= self.ns:
            alarm._next = None
            alarm._ring()

    def check(self) -> None:
        for job in self.known.values():
            ended = self.endings.get(job.id)
            if job.state.final:
                assert ended in (None, job.state)
                self.endings[job.id] = job.state
        waits = [job for job in self.known.values() if job.state is State.PENDING and job.run_at <= self.now()]
        due = Counter(job.queue for job in waits)
        for pool in self.pools:
            stands = standing(pool, self.feeder, due, Asked(self.feeder))
            assert not (stands.idle and stands.waiting), f"the watchdog would take this for a standstill: {stands}"
            if pool.idle:
                mine = [job for job in self.known.values() if job.queue in pool.config.queues]
                left = [job.id for job in mine if self.may_begin(job) and not self._kept_back(pool, job.queue)]
                assert not left, f"{pool.name}: a worker is idle, and {len(left)} jobs could begin"

    def _kept_back(self, pool: Any, queue: str) -> bool:
        """The workers that are idle are reserved for other queues."""
        running = dict.fromkeys(pool.config.queues, 0)
        for worker in self.workers:
            run = _run_of(worker)
            if worker.pool is pool and run is not None:
                running[run.row.queue] += 1
        unused = {name: max(0, count - running[name]) for name, count in pool.config.reserve}
        return not unused.pop(queue, 0) and len(pool.idle) <= sum(unused.values())


def _has_key(key: str, mark: Begun) -> bool:
    return mark.rate_key == key


def _by_name(queues: Iterable[QueueConfig]) -> dict[str, QueueConfig]:
    return {queue.name: queue for queue in queues}


def _run_of(worker: Worker) -> Run | None:
    """What it has, or is kept for: unless that goes back just now without having begun."""
    waits = worker.reserved
    kept = waits is not None and waits.outcome is None and worker.world.feeder.running.get(waits.id) is waits
    return waits if kept else worker.run
