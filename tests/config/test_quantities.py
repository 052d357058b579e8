import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config.quantities import (
    format_duration,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30.0),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("250ms", 0.25),
        ("2d", 172_800.0),
        ("1d2h3m4s5ms", 93_784.005),
        ("1.5h", 5400.0),
        ("0.5s", 0.5),
        ("0s", 0.0),
        ("7ms", 0.007),
        ("9ms", 0.009),
        ("1h 30m", 5400.0),
        ("5 m", 300.0),
        (" 30s ", 30.0),
        ("30", 30.0),
        ("0.25", 0.25),
    ],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "5 parsecs",
        "1" * 16 + "s",
        "s",
        "5x",
        "-5s",
        "+5s",
        "30m1h",
        "5s5s",
        "1h30",
        "1e3s",
        "5S",
        "5M",
        "s5",
        ".5s",
        "5.s",
        "nan",
        "inf",
        "٣s",
        "1_0s",
        "1h,3m",
    ],
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1MiB", 1024**2),
        ("512KiB", 512 * 1024),
        ("16MB", 16_000_000),
        ("1GiB", 1024**3),
        ("2TiB", 2 * 1024**4),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1mib", 1024**2),
        ("1 MiB", 1024**2),
        ("1.5MiB", 1_572_864),
        ("0.1MB", 100_000),
        ("17B", 17),
        ("4096", 4096),
        ("0", 0),
    ],
)
def test_a_size_is_a_whole_number_of_bytes(text: str, count: int) -> None:
    found = parse_size(text)
    assert found == count
    assert type(found) is int


@pytest.mark.parametrize(
    "text", ["", "MiB", "-1MiB", "1M", "1Mi", "16 bytes", "1MiB2KiB", "1e6", "٣MB", "1" * 16 + "B"]
)
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="512KiB"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0.5B", "0.3KiB", "1.5"])
def test_part_of_a_byte_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(90.0, "1m30s"), (0.25, "250ms"), (0.0, "0s"), (86_400.0, "1d"), (25.0, "25s"), (3601.5, "1h1s500ms")],
)
def test_a_duration_is_written_as_people_do(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(1024**2, "1MiB"), (16_000_000, "16MB"), (1500, "1500B"), (0, "0B"), (1000, "1kB"), (512 * 1024, "512KiB")],
)
def test_a_size_is_written_as_people_do(count: int, text: str) -> None:
    assert format_size(count) == text


@given(st.integers(min_value=0, max_value=10**12))
def test_every_duration_written_is_read_back(milliseconds: int) -> None:
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000, abs=1e-6)


@given(st.integers(min_value=0, max_value=2**60))
def test_every_size_written_is_read_back(count: int) -> None:
    text = format_size(count)
    if len(text.rstrip("BTGMKki")) <= 15:  # more digits are nobody's size
        assert parse_size(text) == count


@given(st.text(max_size=30))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    for parse in (parse_duration, parse_size):
        try:
            value = parse(text)
        except ValueError:
            continue
        assert value >= 0


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        ("100/s", 100, 1),
        ("20/m", 20, 60),
        ("5000 / h", 5000, 3600),
        ("10/30s", 10, 30),
        ("3/1m30s", 3, 90),
        ("1/d", 1, 86400),
    ],
)
def test_a_rate_is_so_many_in_so_many_seconds(text: str, count: int, seconds: float) -> None:
    assert parse_rate(text) == (count, seconds)


@pytest.mark.parametrize(
    "text", ["", "100", "/s", "0/s", "1/0s", "1.5/s", "-1/s", "1/60", "1/week", "1/s/s", "²/s", "\u0661/s"]
)
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rate such as"):
        parse_rate(text)
