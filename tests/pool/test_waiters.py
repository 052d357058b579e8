"""Who is told of which end."""

from supervisor.core.job import Outcome, State
from supervisor.pool.waiters import Waiters


def outcome(state: State) -> Outcome:
    return Outcome(seq=1, attempt=1, state=state, started_at=0, finished_at=1, charged=0, crashes=0, interruptions=0)


def test_who_collects_a_job_hears_of_each_attempt_until_it_lets_it_go() -> None:
    waiters, heard = Waiters(), []
    waiters.collect("a", lambda job_id, end: heard.append((job_id, end)))
    first, last = outcome(State.PENDING), outcome(State.DONE)
    waiters.recorded("a", first)
    waiters.recorded("a", last)
    waiters.recorded("b", last)
    waiters.gone("a")
    waiters.let_go("a")
    waiters.gone("a")
    assert heard == [("a", first), ("a", last), ("a", None)]


def test_a_job_that_is_collected_is_left_where_it_is_but_nobody_waits_for_it() -> None:
    waiters = Waiters()
    waiters.collect("a", lambda job_id, end: None)
    assert [*waiters] == ["a"]
    assert "a" not in waiters
    assert waiters.concerns("a")
    waiters.let_go("a")
    assert not waiters.concerns("a")
