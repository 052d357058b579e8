"""What is kept of a queue's ended jobs."""

from math import inf

from supervisor.config.model import Retention
from supervisor.core.job import MICROS, State
from supervisor.core.retention import STEP_SECS, STEPS, Keep, keeps, next_step

NOW = 10**15
DAY = 86400 * MICROS


def test_by_default_failed_jobs_are_kept_longer_than_the_others() -> None:
    week = NOW - 7 * DAY
    assert keeps(["q"], {}, Retention(), NOW) == [
        Keep(queue="q", state=State.DONE, since=week, most=None, now=NOW),
        Keep(queue="q", state=State.FAILED, since=NOW - 30 * DAY, most=None, now=NOW),
        Keep(queue="q", state=State.CANCELLED, since=week, most=None, now=NOW),
        Keep(queue="q", state=State.EXPIRED, since=week, most=None, now=NOW),
    ]


def test_what_is_kept_for_ever_in_any_number_is_not_looked_for() -> None:
    forever = Retention(done=inf, failed=inf, cancelled=inf, expired=inf)
    assert keeps(["q"], {}, forever, NOW) == []


def test_what_is_kept_for_ever_may_have_a_number() -> None:
    some = Retention(done=inf, failed=inf, cancelled=inf, expired=inf, max_failed=5)
    assert keeps(["q"], {}, some, NOW) == [Keep(queue="q", state=State.FAILED, since=None, most=5, now=NOW)]


def test_a_queue_has_its_own_and_one_that_nobody_knows_has_that_of_the_others() -> None:
    since = {
        keep.queue: keep.since for keep in keeps(["q", "r"], {"q": Retention(done=1)}, Retention(done=2), NOW)[::4]
    }
    assert since == {"q": NOW - MICROS, "r": NOW - 2 * MICROS}


def test_steps_become_as_large_as_their_time_allows() -> None:
    assert next_step(100, STEP_SECS) == 100
    assert next_step(100, STEP_SECS / 3) == 200
    assert next_step(100, STEP_SECS * 3) == 50
    assert next_step(STEPS[0], 1.0) == STEPS[0]
    assert next_step(STEPS[1], 0.0) == STEPS[1]
