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
