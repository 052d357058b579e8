"""Text for the terminal, JSON for any encoding, times for people."""

import io
import json
import sys
from datetime import UTC, datetime

import pytest

from supervisor.cli import output
from supervisor.cli.moments import relative


def test_a_time_is_told_relative_to_now() -> None:
    now = datetime(2030, 1, 31, 8, 0, tzinfo=UTC)
    assert relative("2030-01-31T07:54:48Z", now) == "5m12s ago"
    assert relative("2030-01-31T11:20:00.000000Z", now) == "in 3h20m"


def test_control_characters_are_spelled_out_and_the_rest_is_left() -> None:
    assert output.printable("a\tb\nç 漢\x1b[31m\r\x9b\u202e") == "a\tb\nç 漢\\x1b[31m\\r\\x9b\\u202e"
    assert output.one_line("a\n\tb  c\x07") == "a b c\\x07"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_json_survives_every_encoding_and_holds_nothing_that_steers(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    value = {"é": ["漢", "\x1b\x7f\x9b\u202e", "\ud800"]}
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    text = output.to_json(value)
    assert not set("\x1b\x7f\x9b\u202e\ud800") & set(text)
    output.write(text)
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    assert json.loads(stream.buffer.getvalue().decode(encoding)) == value


def test_text_that_stdout_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    output.write("größer")
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    assert stream.buffer.getvalue() == b"gr\\xf6\\xdfer\n"
