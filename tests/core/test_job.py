"""The life of a job as a table."""

import pytest

from supervisor.core.job import TRANSITIONS, Event, State, advance
from supervisor.errors import IllegalTransition


def test_every_transition_starts_and_ends_where_the_table_says():
    for (before, event), after in TRANSITIONS.items():
        assert advance(before, event) is after


def test_an_event_the_table_does_not_have_is_refused_by_name():
    with pytest.raises(IllegalTransition, match="done job cannot claim"):
        advance(State.DONE, Event.CLAIM)


def test_final_states_are_left_by_a_retry_alone_and_done_never():
    leaving = {(before, event) for before, event in TRANSITIONS if before.final}
    assert {event for _, event in leaving} == {Event.RETRY}
    assert State.DONE not in {before for before, _ in leaving}
