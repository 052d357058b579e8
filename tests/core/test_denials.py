"""Which refusals are told."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.denials import EVERY, MOST, Denials


def test_the_first_is_told_and_the_same_again_only_after_a_while_with_how_many_were_left_out() -> None:
    denials = Denials()
    assert [denials.tell(1001, "restart", now) for now in (0.0, 1.0, 2.0)] == [0, None, None]
    assert denials.tell(1001, "restart", EVERY) == 2
    assert denials.tell(1001, "restart", EVERY + 1) is None


def test_another_method_and_another_user_are_told_beside_it() -> None:
    denials = Denials()
    assert [denials.tell(*one, 0.0) for one in ((1, "restart"), (1, "drain"), (2, "restart"))] == [0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 500), st.floats(0, 5))))
def test_however_many_users_are_refused_what_is_told_of_them_is_bounded(asked: list[tuple[int, float]]) -> None:
    denials, now, told = Denials(), 0.0, []
    for uid, passed in asked:
        now += passed
        if denials.tell(uid, "drain", now) is not None:
            told.append(now)
    assert all(sum(start <= moment < start + EVERY for moment in told) <= 2 * MOST for start in told)


def test_those_for_whom_there_was_no_room_are_counted() -> None:
    denials = Denials()
    for uid in range(MOST):
        assert denials.tell(uid, "drain", 0.0) == 0
    assert denials.tell(MOST, "drain", 1.0) is None
    assert denials.tell(MOST, "drain", EVERY) == 1
