"""JSON in and out with its numbers as they were written."""

import json
import math
from typing import Any

import pytest

from supervisor.cli import json_text
from supervisor.cli.json_text import Number

EXACT = ["-0", "1.50", "1E5", "1e-7", "1e400", "-1e-400", "0.1000000000000000055", "9" * 100_000, "-" + "9" * 5000]


@pytest.mark.parametrize("written", ["0", "-7", "18446744073709551615", "-9223372036854775808", "3.25", *EXACT])
@pytest.mark.parametrize("form", ["%s", "[%s]", '{"a":[{"b":%s}]}'])
def test_a_number_is_written_as_it_was_read(written: str, form: str) -> None:
    assert json_text.encode(json_text.decode(form % written)) == form % written


def test_64_bit_integers_are_ints_and_other_numbers_count_as_floats() -> None:
    small, most, exact, huge = json_text.decode(f"[1, {2**64 - 1}, 1.50, {'9' * 5000}]")
    assert (type(small), type(most), type(exact), type(huge)) == (int, int, Number, Number)
    assert (most, exact, huge) == (2**64 - 1, 1.5, math.inf)
    assert f"{exact:.1f}" == "1.5"


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a":-Infinity}', "01", "1.", "[1,]"])
def test_what_json_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_text.decode(text)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, "", 'é"\\\n\x00😀', [], {}, [[]], [{}], {"a": {}}),
        {"": [1, -2, "x", None, True, False, (3, 4)], 'é"': {"b": [{"c": [[]]}], "d": 2.5}},
    ],
)
def test_all_else_is_written_as_json_does(value: Any, ascii_only: bool, indent: int | None) -> None:
    expected = json.dumps(
        value, ensure_ascii=ascii_only, indent=indent, separators=(",", ":" if indent is None else ": ")
    )
    assert json_text.encode(value, indent=indent, ascii_only=ascii_only) == expected
