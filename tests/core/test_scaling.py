"""How many workers an elastic pool has: single decisions, any sequence of loads, and a simulated pool."""

from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.model import PoolConfig
from supervisor.core.scaling import SHRINK_PACE, Load, scale

GROW_AFTER, SHRINK_AFTER = 0.5, 60.0


def pool(grow_after=GROW_AFTER, shrink_after=SHRINK_AFTER, low=1, high=16):
    return PoolConfig(
        name="thumbs",
        command=("thumb",),
        queues=("thumbs",),
        cwd=Path("/"),
        min=low,
        max=high,
        grow_after=grow_after,
        shrink_after=shrink_after,
    )


def step(config=None, low=1, high=16, **load):
    calm = {"size": 2, "starting": 0, "idle": 0, "idle_for": 0.0, "waiting": 0, "waited": 0.0, "settled_for": 1000.0}
    return scale(Load(**calm | load), config or pool(), low, high)


# -- growing -----------------------------------------------------------------------------------------------------------


def test_a_pool_grows_when_jobs_have_waited_grow_after_and_says_why():
    grown = step(size=2, waiting=30, waited=0.52)
    assert (grown.grow, grown.shrink) == (2, 0)
    assert grown.reason == "30 jobs wait, for 520ms now (grow_after = 500ms)"


def test_before_that_it_says_when_to_look_again():
    assert step(waiting=30, waited=0.2) == step(waiting=1, waited=0.2)
    early = step(waiting=30, waited=0.2)
    assert (early.grow, early.again) == (0, pytest.approx(0.3))


def test_it_grows_again_only_after_another_grow_after():
    early = step(waiting=30, waited=0.9, settled_for=0.4)
    assert (early.grow, early.again) == (0, pytest.approx(0.1))


@pytest.mark.parametrize(
    ("load", "grow"),
    [
        ({"size": 1, "waiting": 100}, 1),
        ({"size": 4, "waiting": 100}, 4),
        ({"size": 4, "waiting": 3}, 3),
        ({"size": 4, "waiting": 3, "starting": 2}, 1),
        ({"size": 4, "waiting": 2, "starting": 2}, 0),
        ({"size": 4, "waiting": 100, "starting": 3}, 1),
        ({"size": 4, "waiting": 100, "starting": 4}, 1),
        ({"size": 12, "waiting": 100}, 4),
        ({"size": 16, "waiting": 100}, 0),
        ({"size": 16, "waiting": 100, "leaving": 4}, 0),
        ({"size": 15, "waiting": 100, "leaving": 4}, 1),
    ],
)
def test_growth_doubles_what_runs_but_not_beyond_the_jobs_nor_the_cap(load, grow):
    assert step(**load, waited=5.0).grow == grow


def test_jobs_that_wait_beside_an_idle_worker_wait_for_something_else():
    assert step(waiting=100, waited=5.0, idle=1).grow == 0


def test_a_job_that_finds_no_worker_gets_one_at_once():
    grown = step(low=0, size=0, waiting=3, waited=0.0, settled_for=0.0)
    assert (grown.grow, grown.reason) == (1, "3 jobs wait, and there is no worker")


def test_a_job_that_finds_nobody_but_those_who_leave_gets_one_at_once():
    assert step(low=0, size=2, leaving=2, waiting=1).grow == 1


def test_one_that_must_leave_first_where_there_may_be_one_only_is_waited_for():
    assert step(low=0, high=1, size=1, leaving=1, waiting=1).grow == 0


def test_a_pool_whose_program_does_not_start_does_not_grow():
    assert step(waiting=100, waited=50.0, degraded=True).grow == 0


def test_but_it_tries_one_when_there_is_none():
    assert step(low=0, size=0, waiting=1, degraded=True).grow == 1


# -- shrinking ---------------------------------------------------------------------------------------------------------


def test_a_pool_shrinks_by_one_when_a_worker_has_been_idle_for_long_and_says_why():
    less = step(size=8, idle=8, idle_for=62.0, settled_for=62.0)
    assert (less.grow, less.shrink) == (0, 1)
    assert less.reason == "a worker has been idle for 1m2s (shrink_after = 1m)"


def test_before_that_it_says_when_a_worker_could_go():
    early = step(size=8, idle=3, idle_for=50.0)
    assert (early.shrink, early.again) == (0, pytest.approx(10.0))


def test_the_next_one_goes_a_moment_later_and_not_before_the_last_one_is_gone():
    assert step(size=8, idle=7, idle_for=62.0, leaving=1, settled_for=SHRINK_PACE).shrink == 0
    assert step(size=7, idle=7, idle_for=62.0, settled_for=SHRINK_PACE / 2).again == pytest.approx(SHRINK_PACE / 2)
    assert step(size=7, idle=7, idle_for=62.0, settled_for=SHRINK_PACE).shrink == 1


@pytest.mark.parametrize("load", [{"waiting": 1}, {"idle": 0}, {"size": 4, "low": 4}, {"size": 5, "leaving": 1}])
def test_nobody_goes_while_work_waits_or_nobody_is_idle_or_none_can_be_spared(load):
    assert step(**{"low": 4, "size": 8, "idle": 3, "idle_for": 100.0} | load).shrink == 0


def test_the_last_worker_of_a_pool_that_may_be_empty_goes_too():
    assert step(low=0, size=1, idle=1, idle_for=60.0).shrink == 1


# -- caps that moved ---------------------------------------------------------------------------------------------------


def test_a_pool_below_its_low_is_filled_up_at_once():
    more = step(low=4, size=1)
    assert (more.grow, more.reason) == (3, "1 worker is fewer than min = 4")


def test_a_pool_above_its_high_is_cut_at_once_whatever_its_workers_do():
    less = step(high=3, size=8, waiting=100, waited=5.0)
    assert (less.shrink, less.reason) == (5, "8 workers are more than max = 3")


def test_those_who_leave_are_not_taken_away_twice_nor_counted_as_staying():
    assert step(high=3, size=8, leaving=5).shrink == 0
    assert step(low=4, high=8, size=4, leaving=1).grow == 1
    assert step(low=4, high=4, size=4, leaving=1).grow == 0


def test_a_pool_of_a_fixed_size_is_said_to_have_a_size():
    assert step(low=4, high=4, size=2).reason == "2 workers are fewer than size = 4"
    assert step(low=4, high=4, size=5).reason == "5 workers are more than size = 4"


@given(st.integers(0, 50), st.integers(0, 10**6), st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_pool_of_a_fixed_size_is_left_alone(size, waiting, waited, idle_for):
    still = step(low=size, high=size, size=size, waiting=waiting, waited=waited, idle=size // 2, idle_for=idle_for)
    grows_from_nothing = (still.grow, still.shrink, still.again)
    assert grows_from_nothing == (0, 0, inf)


# -- any load ----------------------------------------------------------------------------------------------------------

seconds = st.floats(0, 1000) | st.sampled_from([0.0, GROW_AFTER, SHRINK_AFTER, SHRINK_PACE])


@st.composite
def loads(draw):
    size = draw(st.integers(0, 40))
    leaving = draw(st.integers(0, size))
    starting = draw(st.integers(0, size - leaving))
    idle = draw(st.integers(0, size - leaving - starting))
    waiting = draw(st.integers(0, 100))
    return Load(
        size=size,
        starting=starting,
        idle=idle,
        leaving=leaving,
        idle_for=draw(seconds) if idle else 0.0,
        waiting=waiting,
        waited=draw(seconds) if waiting else 0.0,
        settled_for=draw(seconds),
        degraded=draw(st.booleans()),
    )


@st.composite
def caps(draw):
    low = draw(st.integers(0, 30))
    return low, draw(st.integers(low, 40))


@given(loads(), caps())
def test_no_load_takes_a_pool_beyond_its_caps(load, cap):
    low, high = cap
    now = scale(load, pool(), low, high)
    staying = load.size - load.leaving
    assert not (now.grow and now.shrink)
    assert now.grow >= 0
    assert now.shrink >= 0
    assert bool(now.reason) == bool(now.grow or now.shrink)
    if now.grow:
        assert load.size + now.grow <= high
    if now.shrink:
        assert low <= staying - now.shrink <= high


@given(loads(), caps())
def test_at_the_moment_it_named_it_does_something_unless_something_happens(load, cap):
    first = scale(load, pool(), *cap)
    assert first.again > 0
    if first.grow or first.shrink or first.again == inf:
        return
    later = Load(
        **{name: getattr(load, name) for name in load.__struct_fields__}
        | {
            "idle_for": load.idle_for + first.again + 1e-6 if load.idle else 0.0,
            "waited": load.waited + first.again + 1e-6 if load.waiting else 0.0,
            "settled_for": load.settled_for + first.again + 1e-6,
        }
    )
    then = scale(later, pool(), *cap)
    assert then.grow or then.shrink


# -- a pool over time --------------------------------------------------------------------------------------------------


class Simulated:
    """A pool and its queue on a clock of hundredths of a second. Each worker boots for `boot` ticks, then is busy for
    `work` ticks a job; one that is told to go is gone `going` ticks later."""

    def __init__(self, config, *, size, boot=0, work=10, going=1):
        self.config = config
        self.now = 0
        self.boot, self.work, self.going = boot, work, going
        self.ready = [0] * size  # since when each that has come up is idle, or until when it is busy
        self.booting = []  # when they will have come up
        self.gone = []  # when those who leave will be gone
        self.waiting = 0
        self.waited_since = None
        self.changed = -(10**9)
        self.changes = []  # (tick, +n or -n, size after it)

    @property
    def size(self):
        return len(self.ready) + len(self.booting) + len(self.gone)

    def idle(self):
        return [since for since in self.ready if since <= self.now]

    def load(self):
        idle = self.idle()
        return Load(
            size=self.size,
            starting=len(self.booting),
            idle=len(idle),
            leaving=len(self.gone),
            idle_for=(self.now - min(idle)) / 100 if idle else 0.0,
            waiting=self.waiting,
            waited=(self.now - self.waited_since) / 100 if self.waiting else 0.0,
            settled_for=(self.now - self.changed) / 100,
        )

    def tick(self, arriving=0):
        self.now += 1
        self.waiting += arriving
        self.ready += [at for at in self.booting if at <= self.now]
        self.booting = [at for at in self.booting if at > self.now]
        self.gone = [at for at in self.gone if at > self.now]
        self._dispatch()
        if self.now % 10 == 0:
            self._scale()

    def _dispatch(self):
        for since in sorted(self.idle(), reverse=True):  # the one used last first, as pools do
            if self.waiting:
                self.ready.remove(since)
                self.ready.append(self.now + self.work)
                self.waiting -= 1
        if not self.waiting:
            self.waited_since = None
        elif self.waited_since is None:
            self.waited_since = self.now

    def _scale(self):
        now = scale(self.load(), self.config, self.config.min, self.config.max)
        if now.grow:
            self.booting += [self.now + self.boot] * now.grow
        for _ in range(now.shrink):
            self.ready.remove(min(self.idle()))
            self.gone.append(self.now + self.going)
        if now.grow or now.shrink:
            self.changed = self.now
            self.changes.append((self.now, now.grow - now.shrink, self.size))
        assert self.size <= self.config.max
        assert self.size - len(self.gone) >= self.config.min


def test_a_step_in_the_load_takes_a_pool_to_its_cap_in_log_steps_and_back_one_by_one():
    simulated = Simulated(pool(low=2, high=64), size=2)
    simulated.tick(arriving=20_000)
    while simulated.waiting:
        simulated.tick()
    assert [size for _, _, size in simulated.changes] == [4, 8, 16, 32, 64]
    grown = simulated.now
    simulated.changes.clear()
    while simulated.size > 2 and simulated.now < grown + 20_000:
        simulated.tick()
    assert [change for _, change, _ in simulated.changes] == [-1] * 62
    first, last = simulated.changes[0][0], simulated.changes[-1][0]
    assert first >= grown + 100 * SHRINK_AFTER
    assert last <= first + 100 * 2 * 62 * SHRINK_PACE


def test_a_pool_whose_workers_boot_slowly_does_not_start_more_than_there_are_jobs():
    simulated = Simulated(pool(low=1, high=64), size=1, boot=3_000, work=10_000)
    simulated.tick(arriving=5)
    for _ in range(3_000):
        simulated.tick()
    assert simulated.size == 5


def test_a_pool_that_may_be_empty_serves_a_single_job_and_is_empty_again():
    simulated = Simulated(pool(low=0, high=4, shrink_after=5.0), size=0, boot=30)
    simulated.tick(arriving=1)
    for _ in range(1_000):
        simulated.tick()
    assert [change for _, change, _ in simulated.changes] == [1, -1]
    assert simulated.changes[0][0] <= 10
    assert simulated.size == 0


def test_a_load_that_comes_and_goes_faster_than_grow_after_changes_nothing():
    simulated = Simulated(pool(low=2, high=64, grow_after=0.5), size=2, work=10)
    for _ in range(200):
        simulated.tick(arriving=8)  # four rounds of 0.1 s for two workers
        for _ in range(60):
            simulated.tick()
    assert simulated.changes == []


def test_a_load_that_comes_and_goes_faster_than_shrink_after_changes_nothing_once_it_has_been_met():
    simulated = Simulated(pool(low=2, high=8, shrink_after=5.0), size=2, work=50)
    for _ in range(100):
        simulated.tick(arriving=64)
        for _ in range(800):  # busy for four seconds at full size, then idle for another four
            simulated.tick()
    assert simulated.size == 8
    assert all(tick < 1_000 for tick, _, _ in simulated.changes)


@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 40)), min_size=1, max_size=12),
    st.integers(0, 4),
    st.integers(0, 200),
    st.integers(1, 100),
)
def test_after_any_growth_nobody_goes_for_shrink_after(bursts, low, boot, work):
    config = pool(low=low, high=low + 8, grow_after=0.3, shrink_after=2.0)
    simulated = Simulated(config, size=low, boot=boot, work=work)
    for pause, arriving in bursts:
        simulated.tick(arriving)
        for _ in range(pause):
            simulated.tick()
    for (before, change, _), (then, next_change, _) in zip(simulated.changes, simulated.changes[1:], strict=False):
        if change > 0 > next_change:
            assert then - before >= 200
        if change < 0 and next_change < 0:
            assert next_change == -1
            assert then - before >= 100 * SHRINK_PACE
