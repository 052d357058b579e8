"""Where each line of a batch is: the place before the first that is not answered, whatever order they end in."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from supervisor.batch.tracking import HELD_BYTES, Place, Sent, Step, Tracking
from supervisor.core.job import Outcome, State
from supervisor.lines.line import Line


def step(number: int) -> Step:
    return Step(Line(number, b"1"), Place(number - 1, 10 * (number - 1)), Place(number, 10 * number))


def outcome(state: State = State.DONE, *, result: bytes = b"1", run_at: int | None = None) -> Outcome:
    return Outcome(
        seq=1,
        attempt=1,
        state=state,
        started_at=0,
        finished_at=1,
        charged=0,
        crashes=0,
        interruptions=0,
        run_at=run_at,
        result=result,
    )


def sent(tracking: Tracking, numbers: Sequence[int]) -> None:
    tracking.take([step(number) for number in numbers])
    for number in numbers:
        tracking.send(str(number), Sent(number, None, 1))


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_the_place_is_before_the_first_line_that_is_not_written(order: list[int], ended: int) -> None:
    tracking = Tracking()
    sent(tracking, range(1, 9))
    for number in order[:ended]:
        tracking.heard(str(number), outcome())
    group = tracking.collect()
    missing = order[ended:]
    assert sorted(one.number for one in group.endings) == sorted(order[:ended])
    assert group.place == (Place(min(missing) - 1, 10 * (min(missing) - 1)) if missing else Place(8, 80))


@given(st.sets(st.integers(1, 8)), st.permutations(range(1, 9)), st.integers(0, 8))
def test_so_it_is_with_lines_of_an_earlier_life(inherited: set[int], order: list[int], read: int) -> None:
    """They may end before the reader comes by, or after."""
    tracking = Tracking()
    for number in inherited:
        tracking.inherit(str(number), number)
    written: set[int] = set()
    for number in order[:4]:
        if number in inherited:
            tracking.heard(str(number), outcome())
            written.add(number)
    tracking.collect()
    for number in range(1, read + 1):
        if number in inherited:
            tracking.pass_over(step(number))
        else:
            sent(tracking, [number])
    place = tracking.collect().place
    assert place.number == next((n - 1 for n in range(1, read + 1) if n not in written), read)


def test_an_end_is_heard_once() -> None:
    tracking = Tracking()
    sent(tracking, [1])
    tracking.heard("1", outcome())
    tracking.heard("1", outcome())
    group = tracking.collect()
    assert len(group.endings) == 1
    assert group.over == ["1"]  # somebody had it run once more: it is deleted again


def test_a_job_that_waits_for_its_next_attempt_takes_no_ones_place() -> None:
    tracking = Tracking()
    sent(tracking, [1, 2])
    tracking.heard("1", outcome(State.PENDING, run_at=100))
    assert (tracking.under_way, len(tracking.sent)) == (1, 2)
    tracking.heard("2", outcome(State.PENDING))
    assert tracking.under_way == 1
    tracking.heard("1", outcome())
    assert (tracking.under_way, len(tracking.sent)) == (1, 1)


def test_of_large_results_the_store_is_asked_again() -> None:
    tracking = Tracking()
    sent(tracking, range(1, 7))
    for number in range(1, 7):
        tracking.heard(str(number), outcome(result=b"x" * (HELD_BYTES // 2)))
    group = tracking.collect()
    assert [one.number for one in group.endings] == [1, 2]
    assert [one.number for one in group.far.values()] == [3, 4, 5, 6]


def test_lines_that_could_not_be_handed_over_are_given_again() -> None:
    tracking = Tracking()
    steps = [step(1), step(2)]
    tracking.take(steps)
    tracking.untake(steps)
    assert tracking.collect().place == Place(0, 0)
    sent(tracking, [1, 2])
    assert tracking.place == Place(2, 20)


def test_a_line_of_an_earlier_life_has_its_custom_id_from_the_file_once_the_reader_came_by() -> None:
    tracking = Tracking()
    for number in (1, 2):
        tracking.inherit(str(number), number)
    for number in (1, 2):
        found = step(number)
        tracking.pass_over(found._replace(line=Line(number, b"1", b'"a"')))
    tracking.heard("1", outcome())
    tracking.heard("2", None)
    assert [(one.number, one.custom_id) for one in tracking.collect().endings] == [(1, b'"a"'), (2, b'"a"')]


def test_the_record_of_a_job_of_an_earlier_life_that_is_deleted_at_once_waits_for_the_reader() -> None:
    """Who alone knows the custom_id by then."""
    tracking = Tracking()
    tracking.inherit("1", 1)
    tracking.heard("1", None)
    group = tracking.collect()
    assert (group.endings, group.far, group.complete) == ([], {}, False)
    tracking.pass_over(step(1)._replace(line=Line(1, b"1", b'"a"')))
    assert [(one.number, one.custom_id, one.state) for one in tracking.collect().endings] == [(1, b'"a"', None)]
