"""How far, how fast, and how long: from counts and bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.mapping.tally import Progress, Tally

NOTHING = Progress(0, 0)


def test_of_a_file_its_bytes_say_how_much_is_left() -> None:
    tally = Tally(0.0, NOTHING)
    tally.sample(10.0, Progress(passed=95, failed=5, known=120, offset=1200, size=10_000))
    assert tally.told(10.0) == "10 %, 100 lines, 10 a second, 0:01:30 left, 5 failed"


def test_of_a_pipe_only_what_is_done_can_be_said() -> None:
    tally = Tally(0.0, NOTHING)
    tally.sample(8.0, Progress(passed=1, failed=0, known=3, offset=30))
    assert tally.told(8.0) == "1 line, 0.1 a second, 0:00:08 so far"


def test_at_the_end_of_the_input_the_number_of_lines_is_known() -> None:
    tally = Tally(0.0, NOTHING)
    tally.sample(2.0, Progress(passed=50, failed=0, known=200, offset=30, whole=True))
    assert tally.told(2.0) == "25 %, 50 lines, 25 a second, 0:00:06 left"


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    tally = Tally(0.0, NOTHING)
    for second in range(1, 101):
        tally.sample(float(second), Progress(passed=min(second, 50) * 10, failed=0))
    assert tally.rate == 0
    assert tally.left is None


def test_the_summary_tells_what_an_earlier_run_did() -> None:
    tally = Tally(0.0, Progress(passed=300, failed=0))
    tally.sample(20.0, Progress(passed=1490, failed=10))
    assert tally.summary(20.0) == (
        "1,500 lines in 20.0 s (60 a second): 1,490 passed, 10 failed, 300 of them by an earlier run"
    )


@pytest.mark.parametrize("progress", [NOTHING, Progress(0, 0, size=0, whole=True), Progress(0, 0, size=10)])
def test_nothing_at_all_is_no_trouble(progress: Progress) -> None:
    tally = Tally(0.0, progress)
    tally.sample(0.0, progress)
    assert "0 lines" in tally.told(0.0)
    assert tally.summary(0.0).startswith("0 lines in 0.0 s: 0 passed")


@given(
    st.lists(
        st.builds(
            Progress,
            st.integers(0, 100),
            st.integers(0, 100),
            st.integers(200, 300),
            st.integers(0, 5000),
            st.none() | st.integers(0, 4000),
            st.booleans(),
        ),
        min_size=1,
    )
)
def test_shares_and_times_are_in_their_bounds(samples: list[Progress]) -> None:
    """An input may even shrink while it is read."""
    tally = Tally(0.0, NOTHING)
    for second, progress in enumerate(samples, 1):
        tally.sample(float(second), progress)
        assert tally.share is None or 0 <= tally.share <= 1
        assert tally.left is None or tally.rate < 0 or tally.left >= 0
        assert tally.told(float(second))
