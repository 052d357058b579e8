"""How several queues share a pool, simulated: workers, jobs of any length, and queues that come and go."""

import heapq
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.model import PoolConfig
from supervisor.core.shares import UNKNOWN, Share, Shares, least_workers

LONGEST = 50_000_000  # ns, of a job
HOUR = 3_600_000_000_000


def config(*queues: str, **changes: object) -> PoolConfig:
    return PoolConfig(name="p", command=("true",), queues=queues or ("a", "b"), cwd=Path("/"), **changes)


class House:
    """A pool with `workers`. `lengths` has for each queue those of its jobs, again and again."""

    def __init__(self, pool: PoolConfig, workers: int, lengths: Sequence[Sequence[int]]) -> None:
        self.shares = Shares(pool)
        self.workers = workers
        self.now = 5
        self.backlog = dict.fromkeys(self.shares.all, 0)
        self._lengths = dict(zip(self.shares.all, lengths, strict=True))
        self._taken = dict.fromkeys(self.shares.all, 0)
        self._running: list[tuple[int, int, int, Share]] = []
        self._began: dict[tuple[int, int], int] = {}
        self.picked: list[Share] = []

    @property
    def free(self) -> int:
        return self.workers - len(self._running)

    def decide(self) -> None:
        """Give out what can be given out; whoever breaks a rule meanwhile is found out here."""
        while self.free > 0 and self._give(self.free - 1):
            pass
        kept = [share for share in self.shares.all if self.backlog[share] and self.shares.may(share, self.free - 1)]
        assert self.free <= 0 or not kept, "a worker idles beside a job that it could have"

    def _give(self, others: int) -> bool:
        ready = [share for share in self.shares.all if self.backlog[share]]
        self.shares.look(ready, self.now)
        share = self.shares.pick(ready, self.now, others=others)
        if share is None:
            return False
        unused = sum(max(0, one.reserve - one.running) for one in self.shares.all if one is not share)
        assert share.running < share.reserve or others >= unused, "it took a place that is reserved"
        length = self._lengths[share][self._taken[share] % len(self._lengths[share])]
        self._taken[share] += 1
        self.backlog[share] -= 1
        share.begin(self.now)
        self.picked.append(share)
        heapq.heappush(self._running, (self.now + length, self._taken[share], id(share), share))
        self._began[(self._taken[share], id(share))] = self.now
        return True

    def step(self) -> None:
        """Until the next job ends."""
        if self._running:
            self.now, number, place, share = heapq.heappop(self._running)
            share.end(self._began.pop((number, place)), self.now)
        self.decide()

    def used(self) -> list[float]:
        """By weight."""
        return [share.used(self.now) / share.weight for share in self.shares.all]


weights = st.integers(1, 7)
lengths = st.lists(st.integers(1, LONGEST), min_size=1, max_size=5)


@st.composite
def pools(draw: st.DrawFn, *, reserving: bool = False, strict: bool | None = None) -> PoolConfig:
    queues = [f"q{number}" for number in range(draw(st.integers(2, 4)))]
    order = draw(st.booleans()) if strict is None else strict
    return config(
        *queues,
        order="strict" if order else "weight",
        weight=() if order else tuple((queue, draw(weights)) for queue in queues),
        reserve=tuple((queue, draw(st.integers(0, 2))) for queue in queues) if reserving else (),
    )


@given(pools(strict=False), st.data())
def test_one_worker_is_shared_by_weight_to_within_one_job(pool: PoolConfig, data: st.DataObject) -> None:
    house = House(pool, 1, [data.draw(lengths) for _ in pool.queues])
    house.backlog = dict.fromkeys(house.backlog, 1000)
    house.decide()
    for _ in range(100):
        house.step()
        for one, other in combinations(house.shares.all, 2):
            apart = abs(one.used(house.now) / one.weight - other.used(house.now) / other.weight)
            assert apart <= max(LONGEST / one.weight, LONGEST / other.weight) + 1


@given(pools(strict=False), st.integers(2, 6), st.data())
def test_several_workers_are_shared_by_weight_to_within_one_job_each_also_while_they_become_more_and_fewer(
    pool: PoolConfig, workers: int, data: st.DataObject
) -> None:
    house = House(pool, workers, [data.draw(lengths) for _ in pool.queues])
    house.backlog = dict.fromkeys(house.backlog, 1000)
    house.decide()
    longest = max(LONGEST, UNKNOWN)
    for _ in range(100):
        house.workers = data.draw(st.integers(0, workers)) if data.draw(st.booleans()) else house.workers
        house.step()
        for one, other in combinations(house.shares.all, 2):
            apart = abs(one.used(house.now) / one.weight - other.used(house.now) / other.weight)
            assert apart <= workers * (longest / one.weight + longest / other.weight) + 1


@given(weights, weights, st.integers(1, 4), st.lists(st.tuples(st.booleans(), st.integers(1, 30))), st.data())
def test_a_queue_that_comes_back_gets_its_share_and_nothing_of_the_past(
    weight: int, other: int, workers: int, phases: list[tuple[bool, int]], data: st.DataObject
) -> None:
    """One always has jobs; the other comes and goes, and its jobs go on for a while after it has gone."""
    pool = config("steady", "guest", weight=(("steady", weight), ("guest", other)))
    house = House(pool, workers, [data.draw(lengths), data.draw(lengths)])
    steady, guest = house.shares.all
    house.backlog[steady] = 10_000
    bound = workers * LONGEST * (1 / weight + 1 / other) * 2 + 1
    for present, steps in phases:
        house.backlog[guest] = 10_000 if present else 0
        house.decide()
        at_steady, at_guest = house.used()
        for _ in range(steps):
            house.step()
            if present:
                gained = house.used()[1] - at_guest
                assert gained <= house.used()[0] - at_steady + bound


def test_an_hour_alone_is_neither_credit_nor_debt() -> None:
    house = House(config(), 1, [[1000], [1000]])
    a, b = house.shares.all
    house.backlog[a] = 1
    house.decide()
    house.step()
    house.now += HOUR
    house.backlog = {a: 100, b: 100}
    house.decide()
    for _ in range(100):
        house.step()
    assert abs(house.picked.count(a) - house.picked.count(b)) <= 2


def test_a_job_that_runs_for_long_counts_while_it_runs() -> None:
    house = House(config(), 2, [[HOUR], [1_000_000]])
    a, b = house.shares.all
    house.backlog = {a: 100, b: 1000}
    house.decide()
    for _ in range(100):
        house.step()
    assert a.running == 1
    assert house.picked.count(b) > 90


def test_workers_that_become_free_together_do_not_all_go_to_whoever_is_behind_by_a_moment() -> None:
    house = House(config("a", "b", weight=(("a", 3),)), 8, [[1000], [1000]])
    house.backlog = dict.fromkeys(house.backlog, 100)
    house.decide()
    a, b = house.shares.all
    assert (a.running, b.running) == (6, 2)


@given(pools(strict=True), st.integers(1, 4), st.data())
def test_in_strict_order_nobody_is_served_before_an_earlier_queue(
    pool: PoolConfig, workers: int, data: st.DataObject
) -> None:
    house = House(pool, workers, [data.draw(lengths) for _ in pool.queues])
    for _ in range(30):
        share = data.draw(st.sampled_from(house.shares.all))
        house.backlog[share] += data.draw(st.integers(0, 3))
        waited = dict(house.backlog)
        before = len(house.picked)
        house.decide()
        places = [house.shares.all.index(one) for one in house.picked[before:]]
        assert places == sorted(places)
        for place in places:
            assert all(not waited[one] or not house.backlog[one] for one in house.shares.all[:place])
        house.step()


@given(pools(reserving=True), st.integers(0, 3), st.data())
def test_a_queue_that_does_not_use_its_reserve_never_waits_and_no_worker_idles_for_anything_else(
    pool: PoolConfig, more: int, data: st.DataObject
) -> None:
    """`House` looks for both kinds of broken promise at each decision."""
    house = House(pool, least_workers(pool) + more, [data.draw(lengths) for _ in pool.queues])
    for _ in range(60):
        share = data.draw(st.sampled_from(house.shares.all))
        house.backlog[share] += data.draw(st.integers(0, 4))
        house.decide()
        assert all(not house.backlog[one] or one.running >= one.reserve for one in house.shares.all)
        if data.draw(st.booleans()):
            house.step()


@given(pools(reserving=True), st.data())
def test_with_the_least_workers_every_queue_gets_some(pool: PoolConfig, data: st.DataObject) -> None:
    for name in pool.queues:
        house = House(pool, least_workers(pool), [data.draw(lengths) for _ in pool.queues])
        share = next(one for one in house.shares.all if one.queue == name)
        house.backlog[share] = 1
        house.decide()
        assert share.running == 1


def test_a_queue_takes_its_own_reserved_worker_while_another_one_is_reserved_too() -> None:
    shares = Shares(config(reserve=(("a", 1), ("b", 1))))
    a, _ = shares.all
    assert shares.may(a, 0)
    a.begin(0)
    assert not shares.may(a, 0)


def test_queues_that_come_back_together_start_level() -> None:
    shares = Shares(config())
    a, b = shares.all
    a.begin(0)
    a.end(0, HOUR)
    shares.look([], HOUR)
    shares.look([a, b], HOUR)
    assert a.standing(HOUR) == b.standing(HOUR)


def test_other_weights_are_a_new_start() -> None:
    house = House(config(), 1, [[1000], [1000]])
    a, b = house.shares.all
    house.backlog[a] = 10_000
    house.decide()
    for _ in range(1000):
        house.step()
    house.shares.revise(config("b", "a", weight=(("a", 3),)), house.now)
    house.backlog[b] = 10_000
    assert house.shares.all == (b, a)
    before = len(house.picked)
    for _ in range(400):
        house.step()
    assert abs(house.picked[before:].count(a) - 300) <= 3
