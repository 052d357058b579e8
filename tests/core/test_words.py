"""Figures for people."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.quantities import parse_duration, parse_size
from supervisor.core.words import about_duration, about_size


@pytest.mark.parametrize(
    ("secs", "text"),
    [
        (-1, "0ms"),
        (0.0124, "12ms"),
        (3.24, "3.2s"),
        (42.9, "42s"),
        (60, "1m"),
        (312, "5m12s"),
        (12000, "3h20m"),
        (7201, "2h"),
        (12 * 86400 + 4 * 3600 + 59, "12d4h"),
        (400 * 86400, "400d"),
    ],
)
def test_a_duration_has_at_most_two_units(secs, text):
    assert about_duration(secs) == text


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0B"), (1023, "1023B"), (1536, "1.5KiB"), (300 * 1024**2, "300MiB"), (int(1.5 * 1024**3), "1.5GiB")],
)
def test_a_size_has_three_digits_or_so(count, words):
    assert about_size(count) == words


@given(st.floats(1e-3, 1e8))
def test_a_duration_is_told_within_ten_percent(seconds):
    assert parse_duration(about_duration(seconds)) == pytest.approx(seconds, rel=0.1, abs=5e-4)


@given(st.integers(1, 10**15))
def test_a_size_is_told_within_five_percent(count):
    number = about_size(count)
    digits = number.rstrip("BKMGTi")
    unit = number.removeprefix(digits)
    assert float(digits) * parse_size(f"1{unit}") == pytest.approx(count, rel=0.051)
