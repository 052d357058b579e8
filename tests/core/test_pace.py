"""How fast something goes, and how long it will go on."""

from supervisor.core.pace import SPAN, Pace


def test_nothing_is_said_before_there_is_anything_to_say() -> None:
    pace = Pace()
    assert (pace.rate(), pace.left(5)) == (None, None)
    pace.note(100.0, 0)
    pace.note(100.1, 50)
    assert (pace.rate(), pace.left(5)) == (None, None)


def test_the_rate_is_what_was_done_in_the_time_and_the_rest_takes_as_long_for_each() -> None:
    pace = Pace()
    for second in range(11):
        pace.note(100.0 + second, 20 * second)
    assert (pace.rate(), pace.left(800)) == (20.0, 40.0)


def test_what_was_before_does_not_count_any_more() -> None:
    pace = Pace()
    pace.note(0.0, 0)
    for second in range(600, 640):  # after ten minutes without a line
        pace.note(float(second), 10 * (second - 600))
    assert pace.rate() == 10.0


def test_what_stands_still_has_no_end() -> None:
    pace = Pace()
    for second in range(int(3 * SPAN)):
        pace.note(float(second), min(second, 10))
    assert (pace.rate(), pace.left(5)) == (0.0, None)


def test_however_often_it_is_told_it_keeps_a_bounded_number_of_figures() -> None:
    pace = Pace()
    for tick in range(100_000):
        pace.note(tick / 100, tick)
    assert len(pace._kept) <= 2 * SPAN + 2
    assert pace.rate() is not None
    assert abs((pace.rate() or 0) - 100) < 1
