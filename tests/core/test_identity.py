"""What happens where a job that is submitted meets one that is there already."""

import msgspec
import pytest

from supervisor.core.identity import Holder, Meeting, meet, replaced
from supervisor.core.job import Cause, OnConflict, State
from tests.store.support import new_job


@pytest.mark.parametrize("policy", OnConflict)
@pytest.mark.parametrize("state", State)
def test_a_key_answers_in_any_state_whatever_the_submit_says(policy: OnConflict, state: State) -> None:
    job = new_job(unique="u", on_conflict=policy)
    assert meet(job, Holder("x", state, by_key=True)) is Meeting.ANSWERED


@pytest.mark.parametrize(
    ("policy", "state", "meeting"),
    [
        (OnConflict.EXISTING, State.PENDING, Meeting.ANSWERED),
        (OnConflict.EXISTING, State.RUNNING, Meeting.ANSWERED),
        (OnConflict.REJECT, State.PENDING, Meeting.REFUSED),
        (OnConflict.REJECT, State.RUNNING, Meeting.REFUSED),
        (OnConflict.REPLACE, State.PENDING, Meeting.TAKES_OVER),
        (OnConflict.REPLACE, State.RUNNING, Meeting.REFUSED),
    ],
)
def test_a_unique_value_is_a_matter_of_what_the_submit_says(policy: OnConflict, state: State, meeting: Meeting) -> None:
    assert meet(new_job(unique="u", on_conflict=policy), Holder("x", state)) is meeting


def test_a_replaced_job_says_by_whom() -> None:
    error = replaced("abc")
    assert (error.cause, error.retry) == (Cause.REPLACED, False)
    assert "job abc " in error.message
    assert msgspec.json.decode(error.details) == {"replaced_by": "abc"}
