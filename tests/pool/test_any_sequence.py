"""Whatever happens in whatever order, jobs begin when they may, as many as may, and in their order: the feeder, the
store and its clock, on every store, against the plain rules.

Workers are not real here, nor is the clock. Now and then everything comes to rest; then the rules, applied to what the
store says of each job and to what has begun so far, must leave nothing that an idle worker could begin.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import trio
import trio.lowlevel
import trio.testing
from hypothesis import settings
from msgspec.structs import replace

from supervisor.config.model import NANOS, QueueConfig, Rate
from supervisor.core.job import Cause, JobError, NewJob, OnConflict, State
from supervisor.core.keys import lane_of
from supervisor.core.sweep import TAKES, Act
from supervisor.core.verdict import End, Verdict
from supervisor.errors import Conflict, NotFound
from supervisor.store.batch import Batch
from supervisor.store.port import Filter
from tests.pool.world import QUEUES, SHARED, Keys, Worker, World
from tests.store.support import Backend, MemoryBackend, SqliteBackend

LENGTH = 200  # steps of a run

# -- what may happen -------------------------------------------------------------------------------------------------


class Submit(NamedTuple):
    queue: str
    jobs: list[tuple[int, str | None, str | None]]  # priority, rate_key, concurrency_key
    delay: int  # milliseconds
    expires: int | None
    uniques: tuple[str | None, ...] = ()  # of the jobs, or none
    on_conflict: OnConflict = OnConflict.EXISTING


class Finish(NamedTuple):
    which: int
    end: str
    delay: int  # milliseconds


class Cancel(NamedTuple):
    which: int
    races: bool


class Retry(NamedTuple):
    which: int


class Delete(NamedTuple):
    which: int


class Sweep(NamedTuple):
    """One act on many, while jobs end."""

    act: Act
    queue: str | None
    states: tuple[State, ...]


class Resize(NamedTuple):
    """Of a pool, by one worker. One that goes has died, is idle and noticed when it would be given a job, or not."""

    which: int
    grows: bool
    noticed: bool


class Pause(NamedTuple):
    queue: str
    paused: bool


class Reload(NamedTuple):
    """Another policy for a queue, and perhaps other queues for the pool that has several."""

    policy: QueueConfig
    shared: tuple[str, ...] | None


class Advance(NamedTuple):
    milliseconds: int


class Step(NamedTuple):
    """Of the wall clock."""

    milliseconds: int


class Rest(NamedTuple):
    """Look, once all that has been handed over is done; without it the next step comes into the middle of that."""


class Crash(NamedTuple):
    loses: bool  # what was handed over, but not written


def script(rng: random.Random) -> list[Any]:
    """A backlog in one queue or two, and then whatever may happen to it, most of all that jobs end."""
    queues = rng.sample([queue.name for queue in QUEUES], rng.choice([1, 2]))
    backlog = [_submit(rng, rng.choice(queues)) for _ in range(rng.randrange(8))]
    steps: list[Any] = []
    for _ in range(LENGTH):
        steps.append(_step(rng, rng.choice(queues)))
        if rng.random() < 0.7:
            steps.append(Rest())
    return [*backlog, *steps, Rest()]


def _submit(rng: random.Random, queue: str) -> Submit:
    keys = [None, *"abcdef"[: rng.randint(1, 6)]]
    jobs = [(rng.randint(-2, 2), rng.choice(keys), rng.choice(keys)) for _ in range(rng.randint(1, 8))]
    if rng.random() < 0.7:
        return Submit(queue, jobs, 0, None)
    uniques = tuple(rng.choice([None, *"uvw"]) for _ in jobs)
    return Submit(queue, jobs[:2], 0, None, uniques[:2], rng.choice(list(OnConflict)))


def _sweep(rng: random.Random, queue: str) -> Sweep:
    act = rng.choice(list(Act))
    states = tuple(state for state in TAKES[act] if rng.random() < 0.7) or TAKES[act]
    return Sweep(act, rng.choice([queue, queue, None]), states)


def _later(rng: random.Random, queue: str) -> Submit:
    return _submit(rng, queue)._replace(
        delay=rng.choice([0, 100, 250, 1000, 3000]), expires=rng.choice([None, 200, 1500])
    )


def _reload(rng: random.Random, queue: str) -> Reload:
    def rate() -> Rate | None:
        return rng.choice([None, Rate(count=rng.randint(1, 10), period=NANOS)])

    [before] = [one for one in QUEUES if one.name == queue]
    policy = replace(
        before,
        rate=rng.choice([before.rate, rate()]), burst=rng.randint(1, 3),
        concurrency=rng.choice([before.concurrency, None, rng.randint(1, 4)]),
        rate_per_key=rng.choice([before.rate_per_key, rate()]), burst_per_key=rng.randint(1, 3),
        concurrency_per_key=rng.choice([before.concurrency_per_key, None, rng.randint(1, 2)]),
        on_throttle=rng.choice(["job", "queue"]),
        events=rng.random() < 0.5,
    )  # fmt: skip
    names = [queue.name for queue in QUEUES]
    return Reload(policy, tuple(rng.sample(names, rng.randint(1, 4))) if rng.random() < 0.5 else None)


def _bad_end(rng: random.Random) -> Finish:
    end = rng.choice(["failed", "final", "throttled", "released"])
    return Finish(rng.randrange(100), end, rng.choice([0, 100, 500, 2000]))


# How likely each is, about of 100.
STEPS: tuple[tuple[int, Callable[[random.Random, str], Any]], ...] = (
    (40, lambda rng, queue: Finish(rng.randrange(100), "ok", 0)),
    (15, lambda rng, queue: Advance(rng.choice([50, 250, 500, 1000, 1000, 5000]))),
    (15, _submit),
    (5, _later),
    (8, lambda rng, queue: _bad_end(rng)),
    (3, lambda rng, queue: Cancel(rng.randrange(100), races=rng.random() < 0.5)),
    (3, lambda rng, queue: Retry(rng.randrange(100))),
    (2, lambda rng, queue: Delete(rng.randrange(100))),
    (3, _sweep),
    (3, lambda rng, queue: Resize(rng.randrange(100), grows=rng.random() < 0.5, noticed=rng.random() < 0.5)),
    (6, lambda rng, queue: Pause(queue, paused=rng.random() < 0.3)),
    (2, lambda rng, queue: Step(rng.choice([-86_400_000, -1000, 1000, 86_400_000]))),
    (4, _reload),
    (1, lambda rng, queue: Crash(loses=rng.random() < 0.5)),
)


def _step(rng: random.Random, queue: str) -> Any:
    [make] = rng.choices([make for _, make in STEPS], [weight for weight, _ in STEPS])
    return make(rng, queue)


async def do(world: World, step: Any) -> None:  # noqa: C901
    match step:
        case Submit():
            await submit(world, step)
        case Finish(which, end, delay):
            busy = [worker for worker in world.workers if worker.run is not None]
            if busy:
                finish(world, busy[which % len(busy)], end, delay)
        case Cancel() | Retry() | Delete():
            if world.order:
                await change(world, step, world.order[step.which % len(world.order)])
        case Sweep():
            await sweep(world, step)
        case Resize():
            resize(world, step)
        case Pause():
            await pause(world, step)
        case Advance() | Step():
            set_time(world, step)
        case Reload(policy, shared):
            await world.reload([policy], shared or world.shared)


def set_time(world: World, step: Advance | Step) -> None:
    if isinstance(step, Advance):
        world.ns += step.milliseconds * 1_000_000
    else:
        world.skew += step.milliseconds * 1000
        world.clock.note(world.now())


async def change(world: World, step: Cancel | Retry | Delete, job_id: str) -> None:
    world.touched.add(job_id)
    match step:
        case Cancel(races=races):
            await cancel(world, job_id, races=races)
        case Retry():
            world.endings.pop(job_id, None)
            await forgiving(world.service.retry, job_id)
        case Delete():
            await forgiving(world.service.delete, job_id)


async def pause(world: World, step: Pause) -> None:
    if step.paused:
        await world.service.pause(step.queue)
        world.paused.add(step.queue)
    else:
        world.paused.discard(step.queue)
        world.throttled.pop(step.queue, None)
        await world.service.resume(step.queue)


async def submit(world: World, step: Submit) -> None:
    jobs = []
    uniques = step.uniques or (None,) * len(step.jobs)
    for (priority, rate_key, concurrency_key), unique in zip(step.jobs, uniques, strict=True):
        job_id = f"job-{len(world.order)}"
        world.order.append(job_id)
        if unique is not None:
            world.touched.update(one for one, value in world.uniques.items() if value == (step.queue, unique))
            world.uniques[job_id] = (step.queue, unique)
        world.queues[job_id] = step.queue
        world.keys[job_id] = Keys(rate_key, concurrency_key)
        lane = lane_of(rate_key, concurrency_key)
        now = world.now()
        jobs.append(
            NewJob(
                id=job_id, queue=step.queue, payload=b"1", created_at=now, run_at=now + step.delay * 1000,
                priority=priority, expires_at=None if step.expires is None else now + step.expires * 1000,
                unique=unique, on_conflict=step.on_conflict,
                lane=lane if lane or world.policies[step.queue].keyed else None,
            )
        )  # fmt: skip
    await forgiving(world.service.submit, jobs)


async def sweep(world: World, step: Sweep) -> None:
    """Meanwhile workers end, those that are to be killed and others."""
    jobs = [job_id for job_id, queue in world.queues.items() if step.queue in (None, queue)]
    world.touched.update(jobs)
    if step.act is Act.RETRY:
        for job_id in jobs:
            world.endings.pop(job_id, None)
    over = trio.Event()

    async def swept() -> None:
        await world.service.sweep(step.act, Filter(queue=step.queue, states=step.states), dry_run=False)
        over.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(swept)
        while not over.is_set():
            await trio.testing.wait_all_tasks_blocked()
            busy = [worker for worker in world.workers if worker.run is not None]
            ending = [*world.killed, *busy[:1]] if len(busy) % 3 == 0 else [*world.killed]
            world.killed.clear()
            for worker in ending:
                if worker.run is not None:
                    worker.end(Verdict(End.CANCELLED) if worker.run.cancel else Verdict(End.OK, result=b"1"))
            await trio.lowlevel.checkpoint()


def resize(world: World, step: Resize) -> None:
    pool = world.pools[step.which % len(world.pools)]
    if step.grows:
        worker = Worker(world, pool)
        world.workers.append(worker)
        pool.idle.append(worker)
        world.feeder.feed(pool)
    elif pool.idle:
        worker = pool.idle[step.which % len(pool.idle)]
        worker.dead = True
        if step.noticed:
            pool.idle.remove(worker)


def finish(world: World, worker: Worker, end: str, delay: int) -> None:
    assert worker.run is not None
    queue = worker.run.row.queue
    match end:
        case "ok":
            verdict = Verdict(End.OK, result=b"1")
        case "throttled":
            verdict = Verdict(End.THROTTLED, delay=max(delay, 1) / 1000)
            if world.policies[queue].on_throttle == "queue":
                until = world.ns + max(delay, 1) * 1_000_000
                world.throttled[queue] = max(until, world.throttled.get(queue, 0))
        case "released":
            verdict = Verdict(End.RELEASED)
        case _:
            verdict = Verdict(End.FAILED, error=JobError(cause=Cause.ERROR, message="no", retry=end == "failed"))
    worker.end(verdict)


async def cancel(world: World, job_id: str, *, races: bool) -> None:
    """`races`: the worker's reply is there first."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(forgiving, world.service.cancel, job_id)
        await trio.testing.wait_all_tasks_blocked()
        while world.killed:
            worker = world.killed.pop()
            worker.end(Verdict(End.OK, result=b"1") if races else Verdict(End.CANCELLED))


async def forgiving(verb: Callable[..., Any], *args: Any) -> None:
    with suppress(Conflict, NotFound):
        await verb(*args)


# -- the run -----------------------------------------------------------------------------------------------------------


@contextmanager
def time_of(world: World) -> Iterator[None]:
    """The monotonic clock that everything sees but trio, which has its own."""
    with patch("time.monotonic_ns", lambda: world.ns), patch("time.monotonic", lambda: world.ns / NANOS):
        yield


async def play(world: World, script: list[Any]) -> None:
    store = world.backend.open()
    rest = iter(script)
    while True:
        world.build(store)
        async with trio.open_nursery() as nursery:
            await nursery.start(world.committer.run)
            world.feeder.reread([*world.feeder.lines])
            await world.rest()
            world.check()
            crash = None
            for step in rest:
                if isinstance(step, Crash):
                    crash = step
                    break
                if isinstance(step, Rest):
                    await world.rest()
                    world.check()
                else:
                    await do(world, step)
            if crash is not None and crash.loses:
                world.committer._next = Batch()
            world.committer.close()
        if crash is None:
            return
        store = world.backend.crash()


def shares(rng: random.Random) -> dict[str, Any]:
    """How several queues divide a pool."""
    return {
        "order": rng.choice(["weight", "strict"]),
        "weight": tuple((name, rng.randint(1, 5)) for name in SHARED),
        "reserve": tuple((name, 1) for name in SHARED if rng.random() < 0.2),
    }


@pytest.mark.parametrize("make", [MemoryBackend, SqliteBackend])
@pytest.mark.parametrize("seed", range(settings().max_examples // 5))
def test_jobs_begin_when_they_may_and_in_their_order(make: Callable[..., Backend], seed: int) -> None:
    with TemporaryDirectory() as folder:
        backend = make(Path(folder)) if make is SqliteBackend else make()
        world = World(backend)
        world.shares = shares(random.Random(seed))
        with time_of(world), patch("supervisor.control.sweeping.BATCH", 5):
            trio.run(play, world, script(random.Random(seed)))
        backend.close()
