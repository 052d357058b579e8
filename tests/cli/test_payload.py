"""JSON from the command line and from stdin: what passes, and what is said of what does not."""

import pytest

from supervisor.cli.failures import Misuse
from supervisor.cli.payload import checked


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("null", "null"),
        (b'"\xc3\xa9"', '"é"'),
        ('"\\ud83d\\ude00"', '"\\ud83d\\ude00"'),
        (b'\r\n{"a": [1,\n  "x\\n"]}\n', '{"a": [1,   "x\\n"]}'),
        ("[0.1000000000000000055, 1e400, -0, 1E5]", "[0.1000000000000000055, 1e400, -0, 1E5]"),
        ('{"a":1,"a":2}', '{"a":1,"a":2}'),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_json_is_handed_on_as_it_was_written_but_on_one_line(text: str | bytes, sent: str) -> None:
    assert checked(text, "the payload") == sent


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the payload is empty: write null where there is nothing to say"),
        (b" \n", "the payload is empty: write null where there is nothing to say"),
        ('{"a": 1,}', "at character 9, near '}'"),
        ('{"a": 1', "at character 8, where the text ends"),
        ('{\n "a": 1,\n b}', "at line 3, character 2, near 'b}'"),
        (b"\xff", "the payload is not UTF-8 at byte 1"),
        ("\udcff", "the payload is not UTF-8 at character 1"),
        ("[NaN]", "the payload cannot be used: NaN is not a JSON number"),
        ("-Infinity", "the payload cannot be used: -Infinity is not a JSON number"),
        ('["\\ud800"]', "the payload cannot be used: \\ud800 is half a character"),
        ("[" * 100_000, "the payload cannot be used: nested too deeply"),
    ],
)
def test_what_is_no_json_is_told_in_one_sentence_with_its_position(text: str | bytes, said: str) -> None:
    with pytest.raises(Misuse) as caught:
        checked(text, "the payload")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("{name:world}", "the shell has probably taken the quotes"),
        ("[a,b]", "the shell has probably taken the quotes"),
        ("hello", """a text needs quotes that the shell leaves alone: '"hello"'"""),
        ('{"a":"b c', "put the whole JSON in single quotes"),
        ("@photo.json", "write - in place of the payload, and < FILE behind it"),
    ],
)
def test_what_the_shell_did_is_guessed(text: str, hint: str) -> None:
    with pytest.raises(Misuse, match=hint.replace("(", r"\(")):
        checked(text, "the payload")


def test_no_shell_is_blamed_for_what_came_from_stdin() -> None:
    with pytest.raises(Misuse) as caught:
        checked(b"{name:world}", "the payload on stdin")
    assert "shell" not in caught.value.message


def test_a_long_text_is_quoted_in_part() -> None:
    with pytest.raises(Misuse) as caught:
        checked(b"[" + b"x" * 10_000, "line 3 of stdin")
    assert len(caught.value.message) < 200
