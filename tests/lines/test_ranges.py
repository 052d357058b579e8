import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.lines.ranges import Ranges

NUMBERS = st.integers(1, 40)
PAIRS = st.tuples(NUMBERS, st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def check(ranges: Ranges, numbers: set[int]) -> None:
    assert ranges.count() == len(numbers)
    assert [number for number in range(60) if number in ranges] == sorted(numbers)
    assert ranges.first_missing() == next(number for number in range(1, 60) if number not in numbers)
    pairs = ranges.pairs()
    assert {number for first, last in pairs for number in range(first, last + 1)} == numbers
    # As few as they can be: between two of them something is missing.
    assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(pairs))
    assert ranges.last() == max(numbers, default=0)


@given(st.lists(NUMBERS | PAIRS, max_size=40))
def test_ranges_are_the_set_of_what_was_added(added: list[int | tuple[int, int]]) -> None:
    ranges, numbers = Ranges(), set[int]()
    for one in added:
        if isinstance(one, int):
            ranges.add(one)
            numbers.add(one)
        else:
            ranges.add_range(*one)
            numbers.update(range(one[0], one[1] + 1))
        check(ranges, numbers)


@given(st.lists(NUMBERS, max_size=40), st.lists(PAIRS, max_size=10))
def test_they_come_back_from_their_pairs(added: list[int], pairs: list[tuple[int, int]]) -> None:
    ranges = Ranges(pairs)
    ranges.update(added)
    numbers = set(added) | {number for first, last in pairs for number in range(first, last + 1)}
    check(ranges, numbers)
    check(Ranges(ranges.pairs()), numbers)


@pytest.mark.parametrize("pair", [(0, 1), (2, 1), (-3, -2)])
def test_what_is_no_range_is_refused(pair: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is no range of numbers from 1"):
        Ranges([pair])


def test_answers_in_order_stay_one_range() -> None:
    ranges = Ranges()
    ranges.update(range(1, 100_001))
    assert ranges.pairs() == [(1, 100_000)]
