"""Percentiles out of buckets are as good as they say, for as long as they say."""

import tracemalloc
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.spread import MOST, SLICE, SLICES, Spread, bucket, middle, percentiles

DURATIONS = st.one_of(st.integers(0, 100), st.integers(0, MOST), st.integers(0, 40).map(lambda power: (1 << power) - 1))
WANTED = (1, 50, 95, 99, 100)


def nearest_rank(samples: list[int], percent: int) -> int:
    return sorted(samples)[ceil(percent * len(samples) / 100) - 1]


def spread(samples: list[int]) -> Spread:
    made = Spread()
    for sample in samples:
        made.add(sample)
    return made


@given(DURATIONS)
def test_the_middle_of_a_bucket_is_off_by_a_thirty_second_at_most(micros: int) -> None:
    assert abs(middle(bucket(micros)) - micros) <= micros / 32


@given(DURATIONS, DURATIONS)
def test_a_longer_duration_is_in_no_lower_bucket(one: int, other: int) -> None:
    assert (bucket(one) <= bucket(other)) or one > other


def test_below_sixteen_microseconds_each_is_exact() -> None:
    assert [middle(bucket(micros)) for micros in range(16)] == list(range(16))


@given(st.lists(DURATIONS, min_size=1, max_size=200))
def test_percentiles_are_the_nearest_rank_of_the_samples_but_for_their_buckets(samples: list[int]) -> None:
    found = percentiles(spread(samples).counts(), WANTED)
    for percent, told in zip(WANTED, found, strict=True):
        true = nearest_rank(samples, percent)
        assert abs(told - true) <= true / 32


@given(st.lists(st.integers(-(10**9), 10**15), min_size=1))
def test_a_sample_is_counted_in_the_bucket_of_its_duration_whatever_clocks_did(samples: list[int]) -> None:
    counted: dict[int, int] = {}
    for sample in samples:
        number = bucket(min(max(sample, 0), MOST))
        counted[number] = counted.get(number, 0) + 1
    assert spread(samples).counts() == counted


TIMES = st.lists(st.tuples(st.floats(0, 90), st.integers(0, MOST)), max_size=60)


@given(TIMES)
def test_a_sample_is_there_for_at_least_all_slices_but_one_and_then_gone(steps: list[tuple[float, int]]) -> None:
    """`turn` comes once a second, as in the daemon."""
    made, now, added = Spread(), 0.0, []
    made.turn(now)
    for pause, micros in steps:
        for _ in range(int(pause)):
            now += 1.0
            made.turn(now)
        made.add(micros)
        added.append((now, micros))
    held = made.counts()
    young = [bucket(micros) for at, micros in added if now - at < SLICE * (SLICES - 1) - 1]
    not_old = [bucket(micros) for at, micros in added if now - at <= SLICE * SLICES + 1]
    for number in range(bucket(MOST) + 1):
        assert young.count(number) <= held.get(number, 0) <= not_old.count(number)
    assert 0 not in held.values()


def test_nothing_is_left_after_a_pause_of_five_minutes() -> None:
    made = spread([5, 500, 50_000])
    made.turn(0.0)
    made.turn(10_000.0)
    assert made.counts() == {}
    made.add(7)
    made.turn(10_001.0)
    assert made.counts() == {7: 1}


def test_memory_is_bounded_however_many_samples_there_are_and_however_they_are_spread() -> None:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    made = Spread()
    for turn in range(2 * SLICES):
        for number in range(bucket(MOST) + 1):
            made.add(int(middle(number)))
            made._counts[number] += 1000 + number  # each count an object of its own
        made.turn(turn * SLICE)
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(made.counts()) == bucket(MOST) + 1
    assert used < 110 * 1024
