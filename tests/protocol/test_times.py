import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.times import from_rfc3339, maybe_rfc3339, to_rfc3339

EARLIEST = -62_135_596_800_000_000  # 0001-01-01
LATEST = 253_402_300_799_999_999  # 9999-12-31


def test_times_are_written_in_utc_with_six_digits() -> None:
    assert to_rfc3339(0) == "1970-01-01T00:00:00.000000Z"
    assert to_rfc3339(1_735_689_600_000_001) == "2025-01-01T00:00:00.000001Z"
    assert maybe_rfc3339(None) is None


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-01T00:00:00Z",
        "2025-01-01t00:00:00z",
        "2025-01-01 00:00:00Z",
        "2025-01-01T02:00:00+02:00",
        "2024-12-31T18:30:00-05:30",
        "2025-01-01T00:00:00.0000Z",
    ],
)
def test_every_offset_means_the_same_instant(text: str) -> None:
    assert from_rfc3339(text) == 1_735_689_600_000_000


@pytest.mark.parametrize(
    "text",
    [
        "2025-01-01T00:00:00",
        "2025-01-01",
        "20250101T000000Z",
        "2025-02-30T00:00:00Z",
        "2025-01-01T24:00:00Z",
        "2025-01-01T00:00:60Z",
        "1735689600",
        "tomorrow",
        "",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an RFC 3339 time"):
        from_rfc3339(text)


@given(st.integers(EARLIEST, LATEST))
def test_what_is_written_reads_back(micros: int) -> None:
    assert from_rfc3339(to_rfc3339(micros)) == micros


@given(st.lists(st.integers(0, LATEST)))
def test_texts_sort_as_times_do(moments: list[int]) -> None:
    assert sorted(map(to_rfc3339, moments)) == list(map(to_rfc3339, sorted(moments)))
