"""Whatever an event holds, journald reads back what it was, and a person one line of it."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.entry import encode, entry, field, message
from tests.journal import parse

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text("\n=\0ab", max_size=20)


def fields_of(level: str = "info", **event: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in parse(entry({"event": "ready", **event}, level))}


@given(st.lists(st.tuples(st.from_regex("[A-Z][A-Z0-9_]{0,63}", fullmatch=True), ANY_TEXT)))
def test_fields_come_back_as_they_were_whatever_is_in_them(fields: list[tuple[str, str]]) -> None:
    assert [(name, value.decode()) for name, value in parse(encode(fields))] == fields


@given(st.dictionaries(st.from_regex("[a-z_]{1,9}", fullmatch=True), ANY_TEXT | st.integers() | st.none() | st.text()))
def test_a_message_is_one_line(event: dict[str, Any]) -> None:
    [first, *_] = parse(entry({**event, "event": "ready"}, "info"))
    assert first[0] == "MESSAGE"
    assert len(first[1].decode().splitlines()) == 1


@given(st.text())
def test_no_key_becomes_a_name_that_journald_refuses(key: str) -> None:
    assert re.fullmatch("[A-Z][A-Z0-9_]{0,63}", field(key))


@given(st.text())
def test_what_a_worker_said_is_one_line_without_control_characters(line: str) -> None:
    said = message({"event": "worker_stderr", "pool": "p", "slot": 0, "line": line})
    assert said.startswith("p.0: ")
    assert said.replace("\t", "").isprintable()


def test_an_event_is_told_by_name_with_its_fields_beside_the_message() -> None:
    event = {
        "pool": "thumbs",
        "slot": 0,
        "job": None,
        "detail": "",
        "reason": "not found: x",
        "ok": True,
        "ids": ["a", 1],
    }
    assert fields_of("warning", **event) == {
        "MESSAGE": "ready pool=thumbs slot=0 reason='not found: x' ok=true ids='[\"a\",1]'",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "stoker",
        "STOKER_EVENT": "ready",
        "STOKER_POOL": "thumbs",
        "STOKER_SLOT": "0",
        "STOKER_DETAIL": "",
        "STOKER_REASON": "not found: x",
        "STOKER_OK": "true",
        "STOKER_IDS": '["a",1]',
    }


@pytest.mark.parametrize(("level", "priority"), [("debug", "7"), ("info", "6"), ("warning", "4"), ("error", "3")])
def test_levels_are_priorities(level: str, priority: str) -> None:
    assert fields_of(level)["PRIORITY"] == priority


def test_a_workers_line_is_the_message_with_its_place_before_it_and_whole_in_its_field() -> None:
    line = "\x1b[31mred\x1b[0m\x07"
    event = {"event": "worker_stderr", "pool": "thumbs", "slot": 2, "line": line}
    assert message(event) == r"thumbs.2: red\x07"
    assert dict(parse(entry(event, "info")))["STOKER_LINE"].decode() == line


def test_a_traceback_is_whole_in_its_field_and_its_last_line_in_the_message() -> None:
    trace = "Traceback (most recent call last):\n  somewhere\nValueError: a bug"
    fields = fields_of("error", exception=trace)
    assert fields["MESSAGE"] == "ready 'ValueError: a bug'"
    assert fields["STOKER_TRACEBACK"] == trace


def test_a_long_value_is_cut_in_the_message_alone() -> None:
    fields = fields_of(reason="x" * 100_000)
    assert fields["MESSAGE"] == f"ready reason={'x' * 199}…"
    assert len(fields["STOKER_REASON"]) == 100_000


def test_half_a_surrogate_pair_breaks_nothing() -> None:
    assert fields_of(path="a\udc80")["STOKER_PATH"] == r"a\udc80"
    assert "dc80" in fields_of(paths=["a\udc80"])["STOKER_PATHS"]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("job", "STOKER_JOB"),
        ("exit-code é", "STOKER_EXIT_CODE__"),
        ("_x", "STOKER__X"),
        ("k" * 99, "STOKER_" + "K" * 57),
    ],
)
def test_a_field_has_a_name_that_journald_takes(key: str, name: str) -> None:
    assert field(key) == name
