"""How attempts end, per second."""

import pytest

from supervisor.core.ends import EVERY, MINUTE, MINUTES, Ends, PerSecond
from supervisor.core.job import Cause, JobError, Outcome, State

ERROR = JobError(cause=Cause.ERROR, message="no")


def outcome(state: State, error: JobError | None = None) -> Outcome:
    return Outcome(
        seq=1, attempt=1, state=state, started_at=0, finished_at=1, charged=0, crashes=0, interruptions=0, error=error
    )


def sampled(ends: Ends, begin: int, end: int, per_second: int) -> None:
    """So many done jobs in each second, and a sample at its end, as in the daemon."""
    for second in range(begin, end):
        ends.done += per_second
        ends.sample(float(second + 1))


@pytest.mark.parametrize(
    ("state", "error", "name"),
    [
        (State.DONE, None, "done"),
        (State.FAILED, ERROR, "failed"),
        (State.CANCELLED, None, "cancelled"),
        (State.PENDING, ERROR, "retried"),
        (State.PENDING, None, "released"),
    ],
)
def test_each_ending_is_counted_as_what_it_was(state: State, error: JobError | None, name: str) -> None:
    ends = Ends(0.0)
    ends.count(outcome(state, error))
    assert ends.per_second(10.0, MINUTE) == PerSecond(**{name: 0.1})
    assert ends.per_second(0.1, MINUTE) == PerSecond(**{name: 1.0})


def test_only_jobs_that_reached_their_end_are_finished() -> None:
    assert PerSecond(done=1.0, failed=0.25, cancelled=0.5, retried=7.0, released=9.0).final == 1.75


def test_a_young_daemon_tells_the_rate_since_its_start() -> None:
    ends = Ends(0.0)
    assert ends.per_second(0.0, MINUTE) == PerSecond()
    sampled(ends, 0, 20, per_second=3)
    assert ends.per_second(20.0, MINUTE).done == 3.0
    assert ends.per_second(20.0, MINUTES).done == 3.0


def test_the_minute_forgets_sooner_than_the_five() -> None:
    ends = Ends(0.0)
    sampled(ends, 0, 240, per_second=10)
    sampled(ends, 240, 240 + int(MINUTE + EVERY), per_second=0)
    now = 240 + MINUTE + EVERY
    assert ends.per_second(now, MINUTE).done == 0.0
    assert ends.per_second(now, MINUTES).done == pytest.approx((2400 - 10 * EVERY) / MINUTES, abs=0.01)
    sampled(ends, int(now), int(now + MINUTES), per_second=0)
    assert ends.per_second(now + MINUTES, MINUTES).done == 0.0


def test_what_is_kept_does_not_grow() -> None:
    ends = Ends(0.0)
    sampled(ends, 0, 5000, per_second=1)
    assert len(ends._samples) <= MINUTES / EVERY + 2
