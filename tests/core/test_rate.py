"""Over any window no more begins than the rate allows, and no less than it allows where enough waits."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.model import NANOS, Rate
from supervisor.core.rate import Bucket, usual_burst

RATES = st.builds(
    Rate,
    count=st.integers(1, 10_000),
    period=st.sampled_from([NANOS, 60 * NANOS, 3600 * NANOS]),
)
BURSTS = st.integers(1, 50)
STARTS = st.integers(0, 10**18)
PAUSES = st.lists(st.integers(0, 5 * NANOS), max_size=60)


def taken(rate: Rate, burst: int, start: int, pauses: list[int]) -> list[int]:
    """When tokens were taken by somebody who asks after each of the pauses, and takes what is there at once."""
    bucket, now, times = Bucket(rate, burst, start), start, []
    for pause in pauses:
        now += pause
        if bucket.next_at(now) == now:
            bucket.take(now)
            times.append(now)
    return times


@given(RATES, BURSTS, STARTS, PAUSES)
def test_no_window_has_more_than_the_rate_and_the_burst(rate: Rate, burst: int, start: int, pauses: list[int]) -> None:
    times = taken(rate, burst, start, pauses)
    for first, since in enumerate(times):
        for last in range(first, len(times)):
            window = times[last] - since
            assert last - first + 1 <= Fraction(rate.count * window, rate.period) + burst


@given(RATES, BURSTS, STARTS, PAUSES)
def test_nothing_is_taken_sooner_after_the_start_than_the_rate_alone_allows(
    rate: Rate, burst: int, start: int, pauses: list[int]
) -> None:
    """So that a daemon that is killed and started again cannot have spent a burst twice."""
    for number, time in enumerate(taken(rate, burst, start, pauses), start=1):
        assert number <= Fraction(rate.count * (time - start), rate.period)


@given(RATES, BURSTS, STARTS, st.integers(1, 200))
def test_who_always_waits_for_the_next_token_gets_the_whole_rate(
    rate: Rate, burst: int, start: int, count: int
) -> None:
    bucket, now = Bucket(rate, burst, start), start
    for _ in range(count):
        now = bucket.next_at(now)
        assert bucket.next_at(now) == now
        bucket.take(now)
    # He comes up to a nanosecond late each time, since he comes at whole ones; nothing else adds up.
    assert 0 <= now - (start + Fraction(count * rate.period, rate.count)) < count


@given(RATES, BURSTS, STARTS)
def test_after_a_long_pause_exactly_the_burst_is_there(rate: Rate, burst: int, start: int) -> None:
    bucket, now = Bucket(rate, burst, start), start + 10**6 * rate.period
    for _ in range(burst):
        assert bucket.next_at(now) == now
        bucket.take(now)
    assert bucket.next_at(now) > now


@pytest.mark.parametrize(
    ("count", "period", "burst"), [(100, 1, 10), (9, 1, 1), (1, 1, 1), (5000, 1, 500), (6000, 60, 10), (20, 3600, 1)]
)
def test_who_says_nothing_of_bursts_gets_a_tenth_of_a_second_at_once(count: int, period: int, burst: int) -> None:
    assert usual_burst(Rate(count=count, period=period * NANOS)) == burst


CHANGES = st.lists(st.tuples(RATES, BURSTS, st.lists(st.integers(0, 5 * NANOS), max_size=20)), min_size=1, max_size=4)


@given(CHANGES, STARTS)
def test_no_window_has_more_for_a_change_than_the_larger_burst_and_what_each_rate_gives_in_its_time(
    changes: list[tuple[Rate, int, list[int]]], start: int
) -> None:
    now, times, given_until, bucket = start, list[tuple[int, Fraction]](), Fraction(0), None
    for rate, burst, pauses in changes:
        bucket = Bucket(rate, burst, now) if bucket is None else bucket.revised(rate, burst, now)
        for pause in pauses:
            now += pause
            given_until += Fraction(rate.count * pause, rate.period)
            if bucket.has_one(now):
                bucket.take(now)
                times.append((now, given_until))
    most = max(burst for _, burst, _ in changes)
    for first, (_, since) in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= times[last][1] - since + most


@given(RATES, BURSTS, STARTS, PAUSES, RATES, BURSTS, st.lists(st.integers(0, 5 * NANOS), min_size=1, max_size=40))
def test_from_the_change_on_no_window_has_more_than_the_new_rate_and_burst(
    rate: Rate, burst: int, start: int, pauses: list[int], other: Rate, most: int, later: list[int]
) -> None:
    bucket, now, times = Bucket(rate, burst, start), start, []
    for pause in pauses:
        now += pause
        if bucket.has_one(now):
            bucket.take(now)
    bucket = bucket.revised(other, most, now)
    for pause in later:
        now += pause
        while bucket.has_one(now):
            bucket.take(now)
            times.append(now)
    for first, since in enumerate(times):
        for last in range(first, len(times)):
            assert last - first + 1 <= Fraction(other.count * (times[last] - since), other.period) + most


@given(RATES, BURSTS, STARTS, PAUSES, st.integers(0, 10 * NANOS))
def test_a_change_into_the_same_changes_nothing(
    rate: Rate, burst: int, start: int, pauses: list[int], later: int
) -> None:
    bucket, now = Bucket(rate, burst, start), start
    for pause in pauses:
        now += pause
        if bucket.has_one(now):
            bucket.take(now)
    twin = bucket.revised(rate, burst, now)
    for _ in range(burst + 1):
        now = bucket.next_at(now + later)
        assert twin.next_at(now) == now
        bucket.take(now)
        twin.take(now)
