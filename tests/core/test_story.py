"""Stories and failures of jobs are told up to a rate, each with an allowance of its own, and the rest is counted."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.model import NANOS
from supervisor.core.story import EVERY, FAILURES_BURST, STORIES, STORIES_BURST, Allowance, LeftOut


def test_a_burst_is_told_and_what_comes_behind_it_as_fast_as_the_rate_allows() -> None:
    allowance = Allowance()
    assert sum(allowance.story(0) for _ in range(STORIES_BURST + 100)) == STORIES_BURST
    assert sum(allowance.story(NANOS) for _ in range(100)) == STORIES.count


def test_failures_are_told_when_there_were_too_many_stories() -> None:
    allowance = Allowance()
    while allowance.story(0):
        pass
    assert sum(allowance.failure(0) for _ in range(2 * FAILURES_BURST)) == FAILURES_BURST


def test_what_was_left_out_is_reported_some_time_after_the_first_of_it_and_then_counted_anew() -> None:
    allowance = Allowance()
    assert allowance.left_out(0) is None
    for _ in range(STORIES_BURST + 7):
        allowance.story(5)
    assert allowance.left_out(5 + EVERY - 1) is None
    assert allowance.left_out(5 + EVERY) == LeftOut(stories=7, failures=0, seconds=EVERY / NANOS)
    assert allowance.left_out(5 + 2 * EVERY) is None
    assert allowance.left_out(5 + 2 * EVERY, every=0) is None


@given(st.lists(st.tuples(st.integers(0, NANOS), st.booleans()), max_size=3000))
def test_each_is_told_or_reported(steps: list[tuple[int, bool]]) -> None:
    allowance = Allowance()
    now = told = reported = 0
    for step, failure in steps:
        now += step
        told += allowance.failure(now) if failure else allowance.story(now)
        if (out := allowance.left_out(now)) is not None:
            reported += out.stories + out.failures
    if (out := allowance.left_out(now, every=0)) is not None:
        reported += out.stories + out.failures
    assert told + reported == len(steps)
