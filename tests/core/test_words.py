"""Figures for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.quantities import parse_duration, parse_size
from supervisor.core.words import about_duration, about_size


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (0.25, "250ms"),
        (0.9996, "1s"),
        (9.87, "9.9s"),
        (30, "30s"),
        (59.96, "1m"),
        (75.2, "1m15s"),
        (3599.7, "1h"),
        (5400, "1h30m"),
        (90_061, "1d1h"),
        (86_399, "1d"),
        (1e7, "115d18h"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds, words):
    assert about_duration(seconds) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (300 * 1024**2, "300MiB"), (int(1.5 * 1024**3), "1.5GiB")],
)
def test_a_size_has_three_digits_or_so(count, words):
    assert about_size(count) == words


@given(st.floats(1e-3, 1e8))
def test_a_duration_is_told_within_five_percent(seconds):
    assert parse_duration(about_duration(seconds)) == pytest.approx(seconds, rel=0.051, abs=5e-4)


@given(st.integers(1, 10**15))
def test_a_size_is_told_within_five_percent(count):
    number = about_size(count)
    digits = number.rstrip("BKMGTi")
    unit = number.removeprefix(digits)
    assert float(digits) * parse_size(f"1{unit}") == pytest.approx(count, rel=0.051)
