"""The comparison that the README's examples are held to must itself be able to say no."""

import json

import pytest

from tests.protocol.examples import Names, differences, examples, pattern

ONE = "0199f3c2-7b1a-7c3e-9d40-5a1b2c3d4e5f"
TWO = "0199f3c2-7b1a-7c3e-9d40-000000000002"


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ('{"a":1}', {"a": 1}),
        ('{"a":…}', {"a": {"b": [1]}}),
        ('{"a":1,…}', {"a": 1, "b": 2}),
        ("{…}", {}),
        ("[…]", [1, 2]),
        ("[1,…]", [1, 2]),
        ('"20…Z"', "2026-01-31T12:00:00Z"),
        ('"no … here"', "no \nsuch\nthing here"),
        ('{"s":"…{,:"}', {"s": "x{,:"}),
        ("[]", []),
    ],
)
def test_what_the_pattern_says_agrees(expected: str, actual: object) -> None:
    assert differences(pattern(expected), actual, Names()) == []


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ('{"a":1}', {"a": 2}),
        ('{"a":1}', {"a": True}),
        ('{"a":1}', {"a": 1, "b": 2}),
        ('{"a":1,…}', {"b": 2}),
        ("[]", [1]),
        ("[1,…]", [1, 2, 3]),
        ('"20…Z"', "1970-01-01T00:00:00Z"),
        ('"…"', 1),
        ("null", 0),
        ('{"a":[{"b":"x…"}]}', {"a": [{"b": "y"}]}),
    ],
)
def test_anything_else_does_not(expected: str, actual: object) -> None:
    assert differences(pattern(expected), actual, Names()) != []


def test_a_named_id_is_the_same_one_each_time_and_differs_from_others() -> None:
    names = Names()
    a, b = pattern('"0199f3c2-a…"'), pattern('"0199f3c2-b…"')
    assert differences(a, "not an id", names) != []
    assert differences(a, ONE, names) == []
    assert differences(a, TWO, names) != []
    assert differences(b, ONE, names) != []
    assert differences(b, TWO, names) == []
    assert json.loads(names.fill_in('["0199f3c2-b…","0199f3c2-a…"]')) == [TWO, ONE]


def test_the_readme_has_examples_of_each_kind() -> None:
    assert len(examples("worker")) >= 2
    assert len(examples("control")) >= 10
    assert len(examples("garbage")) == 1
    assert len(examples("sh")) == 1
