"""Who is to blame for a child's end."""

import pytest

from supervisor.core.blame import Ending, Exit, Why, blame
from supervisor.core.job import Cause
from supervisor.core.respawn import LAST_DELAY, failed_boot, respawn_delay
from supervisor.core.verdict import End

EXIT = Exit("exited with code 3", code=3)


def verdict(why, *, unread=False, late=False, stderr="words"):
    return blame(Ending(why, "what was seen"), EXIT, unread=unread, late=late, stderr=stderr)


@pytest.mark.parametrize("why", [Why.EXITED, Why.CLOSED, Why.GARBAGE, Why.DESYNC, Why.OVERSIZE, Why.EXTRA])
def test_a_child_that_never_read_the_request_costs_the_job_nothing(why):
    assert verdict(why, unread=True).end is End.RELEASED


@pytest.mark.parametrize("why", [Why.EXTRA, Why.GARBAGE])
def test_words_that_belong_to_the_job_before_cost_this_one_nothing(why):
    assert verdict(why, late=True).end is End.RELEASED


def test_a_timeout_is_charged_even_if_the_request_was_never_read():
    assert verdict(Why.TIMEOUT, unread=True).error.cause is Cause.TIMEOUT


@pytest.mark.parametrize(
    ("why", "cause"),
    [
        (Why.EXITED, Cause.EXITED),
        (Why.CLOSED, Cause.EXITED),
        (Why.GARBAGE, Cause.GARBAGE),
        (Why.DESYNC, Cause.DESYNC),
        (Why.OVERSIZE, Cause.OVERSIZE),
        (Why.TIMEOUT, Cause.TIMEOUT),
    ],
)
def test_every_end_has_its_cause_and_the_last_words(why, cause):
    error = verdict(why).error
    assert (error.cause, error.stderr) == (cause, "words")


def test_an_exit_status_is_told_only_where_the_child_left_by_itself():
    assert verdict(Why.EXITED).error.exit_code == 3
    assert verdict(Why.GARBAGE).error.exit_code is None


@pytest.mark.parametrize(("why", "end"), [(Why.CANCEL, End.CANCELLED), (Why.RELEASE, End.RELEASED)])
def test_what_was_asked_for_is_nobodys_fault(why, end):
    assert verdict(why).end is end


@pytest.mark.parametrize("why", [Why.RELEASE, Why.EXTRA, Why.EXITED])
def test_what_was_released_says_whether_it_may_have_begun(why):
    def released(*, begun):
        return blame(Ending(why), EXIT, unread=False, late=True, stderr=None, begun=begun)

    assert released(begun=False).cut is None
    assert released(begun=True).cut is not None
    assert released(begun=True).end is End.RELEASED


def boot(*, answered=False, took_job=False, unread=False, lived=0.1, failures=0):
    return failed_boot(ready=True, answered=answered, took_job=took_job, unread=unread, lived=lived, failures=failures)


def test_a_child_that_answered_once_has_booted_however_it_ends():
    assert not boot(answered=True, took_job=True, unread=True)


def test_a_child_that_died_on_a_job_it_had_read_has_booted():
    assert not boot(took_job=True, unread=False)


def test_a_child_that_died_before_it_read_its_job_has_not_however_long_that_took():
    assert boot(took_job=True, unread=True, lived=50.0)


def test_an_idle_childs_death_is_forgiven_once_if_it_lived_a_second():
    assert boot(lived=0.5)
    assert not boot(lived=1.5)
    assert boot(lived=1.5, failures=1)


def test_respawn_is_immediate_at_first_then_doubles_to_its_cap_and_is_spread():
    assert respawn_delay(0, 0.9) == 0
    assert respawn_delay(2, 0.0) == 2 * respawn_delay(1, 0.0)
    assert respawn_delay(10_000, 0.0) == LAST_DELAY
    assert respawn_delay(3, 0.99) < respawn_delay(3, 0.0)
