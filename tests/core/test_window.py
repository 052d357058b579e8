"""How many jobs of a batch stand in the store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.window import MOST_JOBS, PER_WORKER, Pace, window


def test_a_quarter_of_a_second_of_work() -> None:
    assert window(1000.0, 4, 1) == 250


def test_a_few_for_each_worker_before_anything_is_known() -> None:
    assert window(0.0, 4, 1) == 4 * PER_WORKER
    assert window(0.0, 0, 1) == PER_WORKER


def test_never_more_than_the_most() -> None:
    assert window(1e9, 4, 1) == MOST_JOBS


def test_it_is_shared_evenly() -> None:
    assert window(1000.0, 4, 5) == 50


def test_half_of_a_bounded_queue_is_left_to_others() -> None:
    assert window(1000.0, 4, 1, limit=100) == 50


@given(st.floats(0, 1e12), st.integers(0, 10_000), st.integers(0, 100), st.one_of(st.none(), st.integers(1, 1_000_000)))
def test_each_batch_has_at_least_one_and_all_together_no_more_than_the_most(
    rate: float, workers: int, sharers: int, limit: int | None
) -> None:
    each = window(rate, workers, sharers, limit)
    assert each >= 1
    assert each * sharers <= max(MOST_JOBS, sharers)


def test_the_pace_follows_what_happens() -> None:
    pace = Pace(0.0)
    now = 0.0
    for _ in range(30):
        now += 0.1
        pace.add(100)
        last = pace.per_second(now)
    assert last == pytest.approx(1000, rel=0.05)
    assert pace.per_second(now + 10) == pytest.approx(0, abs=1)


def test_a_pace_that_is_asked_again_at_once_answers_the_same() -> None:
    pace = Pace(0.0)
    pace.add(50)
    first = pace.per_second(1.0)
    pace.add(1)
    assert pace.per_second(1.01) == first > 0
