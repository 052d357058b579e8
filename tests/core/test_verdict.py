"""What becomes of a job after an attempt."""

import msgspec
import pytest

from supervisor.config.model import Backoff, QueueConfig
from supervisor.core.job import MICROS, Cause, JobError, Outcome, State
from supervisor.core.retry import backoff
from supervisor.core.verdict import End, Spent, Verdict, judge

NOW = 1_000 * MICROS
QUEUE = QueueConfig(
    name="q", max_attempts=3, max_crashes=2, backoff=Backoff(base=2.0, factor=3.0, cap=10.0, jitter=0.5)
)
SPENT = Spent(seq=7, attempt=4, max_attempts=None, charged=0, crashes=0, interruptions=1, started_at=NOW - 5)


def outcome(verdict: Verdict, *, cancel: bool = False, **spent: object) -> Outcome:
    return judge(msgspec.structs.replace(SPENT, **spent), verdict, QUEUE, cancel=cancel, now=NOW, jitter=0.5)


def failure(cause: Cause = Cause.ERROR, retry: bool = True) -> Verdict:
    return Verdict(End.FAILED, error=JobError(cause=cause, message="m", retry=retry))


def test_a_result_makes_the_job_done_and_costs_nothing():
    done = outcome(Verdict(End.OK, result=b"1"))
    assert (done.state, done.result, done.charged, done.interruptions) == (State.DONE, b"1", 0, 1)


def test_a_result_over_the_queues_limit_fails_the_job_and_is_not_repeated():
    policy = msgspec.structs.replace(QUEUE, max_result=10)

    def judged(result: bytes, cancel: bool = False) -> Outcome:
        return judge(SPENT, Verdict(End.OK, result=result), policy, cancel=cancel, now=NOW, jitter=0.5)

    assert judged(b"1" * 10).state is State.DONE
    for cancel in (False, True):
        failed = judged(b"1" * 11, cancel)
        assert (failed.state, failed.result, failed.charged, failed.crashes) == (State.FAILED, None, 1, 0)
        assert failed.error is not None
        assert (failed.error.cause, failed.error.retry) == (Cause.OVERSIZE, False)
        assert "the job ran, but its result has 11 bytes, and queue q takes 10" in failed.error.message


def test_a_failure_is_charged_and_comes_back_after_its_backoff():
    again = outcome(failure(), charged=1)
    assert (again.state, again.charged, again.crashes) == (State.PENDING, 2, 0)
    assert again.run_at == NOW + 6 * MICROS


def test_the_last_attempt_fails_the_job():
    assert outcome(failure(), charged=2).state is State.FAILED


def test_the_jobs_own_max_attempts_wins_over_the_queues():
    assert outcome(failure(), charged=2, max_attempts=4).state is State.PENDING
    assert outcome(failure(), max_attempts=1).state is State.FAILED


def test_retry_false_fails_the_job_at_once():
    assert outcome(failure(retry=False)).state is State.FAILED


@pytest.mark.parametrize("cause", [Cause.EXITED, Cause.OOM])
def test_a_job_that_kills_its_worker_too_often_is_poison_and_keeps_the_last_exit(cause):
    error = JobError(cause=cause, message="gone", exit_code=3, stderr="last words")
    poison = outcome(Verdict(End.FAILED, error=error), crashes=1, max_attempts=100)
    assert poison.state is State.FAILED
    assert poison.error is not None
    assert (poison.error.cause, poison.error.exit_code, poison.error.stderr) == (Cause.POISON, 3, "last words")
    assert "2 times" in poison.error.message


@pytest.mark.parametrize("cause", [Cause.ERROR, Cause.TIMEOUT, Cause.DESYNC, Cause.GARBAGE, Cause.OVERSIZE])
def test_other_failures_are_no_crashes(cause):
    assert outcome(failure(cause), crashes=1).crashes == 1


def test_a_throttled_job_comes_back_when_it_asked_to_and_is_not_charged():
    back = outcome(Verdict(End.THROTTLED, delay=30.0), charged=2)
    assert (back.state, back.run_at, back.charged) == (State.PENDING, NOW + 30 * MICROS, 2)


def test_a_released_job_is_due_at_once_and_not_charged():
    back = outcome(Verdict(End.RELEASED), charged=2)
    assert (back.state, back.run_at, back.charged) == (State.PENDING, None, 2)


@pytest.mark.parametrize(
    ("verdict", "state"),
    [
        (Verdict(End.OK, result=b"1"), State.DONE),
        (failure(retry=False), State.FAILED),
        (failure(), State.CANCELLED),
        (Verdict(End.THROTTLED, delay=1.0), State.CANCELLED),
        (Verdict(End.RELEASED), State.CANCELLED),
        (Verdict(End.CANCELLED), State.CANCELLED),
    ],
)
def test_a_cancel_wins_over_everything_that_would_go_back_to_the_queue(verdict, state):
    assert outcome(verdict, cancel=True).state is state


@pytest.mark.parametrize(("charged", "wait"), [(1, 2.0), (2, 6.0), (3, 10.0), (5000, 10.0)])
def test_backoff_grows_to_its_cap(charged, wait):
    assert backoff(QUEUE.backoff, charged, 0.5) == wait


@pytest.mark.parametrize(("charged", "wait"), [(0, 1.0), (1, 1.0), (2, 10.0), (3, 60.0), (4, 60.0), (5000, 60.0)])
def test_the_last_of_a_list_of_delays_repeats(charged, wait):
    assert backoff(Backoff(delays=(1.0, 10.0, 60.0)), charged, 0.5) == wait


def test_a_list_of_delays_is_spread_too():
    listed = Backoff(delays=(10.0,))
    assert (backoff(listed, 1, 0.0), backoff(listed, 1, 0.5)) == (8.0, 10.0)
    assert backoff(Backoff(delays=(10.0,), jitter=0.0), 1, 0.9) == 10.0


def test_the_jobs_own_backoff_wins_over_the_queues():
    own = Backoff(delays=(60.0, 0.5), jitter=0.0)
    assert outcome(failure(), backoff=own).run_at == NOW + 60 * MICROS
    assert outcome(failure(), backoff=own, charged=1).run_at == NOW + MICROS // 2


@pytest.mark.parametrize("max_attempts", [1, 2, 3, 7])
def test_a_list_says_how_long_to_wait_and_max_attempts_how_often_whichever_is_longer(max_attempts):
    own = Backoff(delays=(1.0, 2.0, 3.0), jitter=0.0)
    waits, charged = [], 0
    while (after := outcome(failure(), charged=charged, max_attempts=max_attempts, backoff=own)).run_at is not None:
        charged = after.charged
        waits.append((after.run_at - NOW) / MICROS)
    assert (after.state, after.charged) == (State.FAILED, max_attempts)
    assert waits == [1.0, 2.0, 3.0, 3.0, 3.0, 3.0][: max_attempts - 1]


def test_what_was_cut_short_goes_back_but_where_work_must_not_run_twice():
    cut = Verdict(End.RELEASED, cut="the daemon was stopped")
    assert outcome(cut).state is State.PENDING
    failed = once(cut)
    assert (failed.state, failed.charged, failed.interruptions) == (State.FAILED, 0, 2)
    assert failed.error is not None
    assert (failed.error.cause, failed.error.retry) == (Cause.INTERRUPTED, False)
    assert failed.error.message.startswith("the daemon was stopped while this job ran")


def test_where_work_must_not_run_twice_what_never_began_goes_back_and_what_was_cancelled_is():
    assert once(Verdict(End.RELEASED)).state is State.PENDING
    assert once(Verdict(End.THROTTLED, delay=1.0)).state is State.PENDING
    assert once(failure()).state is State.PENDING
    cut = once(Verdict(End.RELEASED, cut="the daemon was stopped"), cancel=True)
    assert (cut.state, cut.error, cut.interruptions) == (State.CANCELLED, None, 1)


def once(verdict: Verdict, *, cancel: bool = False) -> Outcome:
    policy = msgspec.structs.replace(QUEUE, on_daemon_crash="fail")
    return judge(SPENT, verdict, policy, cancel=cancel, now=NOW, jitter=0.5)


def test_backoff_spreads_by_its_jitter():
    assert backoff(QUEUE.backoff, 1, 0.0) == 1.0
    assert backoff(QUEUE.backoff, 1, 1.0) == 3.0
