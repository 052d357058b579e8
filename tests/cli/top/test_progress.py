"""A worker says how far it is in words and numbers of its own; each is shown as something."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.top.progress import BAR, bar, share, words

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("progress", "drawn", "said"),
    [
        (None, "", ""),
        ({"progress": None}, "", ""),
        ({"progress": 0}, "..........", "0%"),
        ({"progress": 0.4, "message": "page 4 of 10"}, "####......", "40% page 4 of 10"),
        ({"progress": 0.999}, "#########.", "99%"),
        ({"progress": 1}, "##########", "100%"),
        ({"progress": None, "done": 512, "total": 1024}, "#####.....", "50% 512/1024"),
        ({"progress": 0.25, "done": 1, "total": 2}, "##........", "25% 1/2"),
        ({"progress": None, "done": 7}, "", "7"),
        ({"progress": None, "done": 7, "total": 0}, "", "7/0"),
        ({"progress": None, "done": 9, "total": 7}, "", "9/7"),
        ({"progress": 42}, "", "42"),
        ({"progress": -0.5}, "", "-0.5"),
        ({"progress": 1e300}, "", "1e+300"),
        ({"progress": INFINITE}, "", "inf"),
        ({"progress": None, "done": INFINITE, "total": INFINITE}, "", "inf/inf"),
        ({"progress": None, "message": "two\nlines\x1b[2J"}, "", "two lines\\x1b[2J"),
        ({"progress": None, "message": None}, "", ""),
    ],
)
def test_progress_is_drawn_where_it_is_a_share_and_said_in_any_case(
    progress: dict[str, Any] | None, drawn: str, said: str
) -> None:
    assert (bar(progress), words(progress)) == (drawn, said)


NUMBERS = st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.floats())


@given(st.fixed_dictionaries({"progress": NUMBERS}, optional={"done": NUMBERS, "total": NUMBERS, "message": st.text()}))
def test_whatever_numbers_a_worker_says(progress: dict[str, Any]) -> None:
    found = share(progress)
    assert found is None or 0 <= found <= 1
    assert len(bar(progress)) in (0, BAR)
    assert len(words(progress)) < 6000
