"""What a command is written in, and that every fault has its words."""

import re
from pathlib import Path
from typing import get_args

import pytest

from supervisor.conformance import causes, languages
from supervisor.conformance.catalogue import TRIALS

HERE = Path(causes.__file__).parent
PATH = "/usr/local/bin:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("python3 worker.py", "Python"),
        ("/usr/bin/python3.11 -u worker.py", "Python"),
        ("node worker.js", "JavaScript"),
        ("env LANG=C node worker.js", "JavaScript"),
        ("nice -n 5 ruby worker.rb", "Ruby"),
        ("perl worker.pl", "Perl"),
        ("php8.2 worker.php", "PHP"),
        ("sh -c ./worker", "shell"),
        ("java -jar worker.jar", "Java"),
        ("lua5.4 worker.lua", "Lua"),
        ("tclsh8.6 worker.tcl", "Tcl"),
        ("go run .", "Go"),
        ("cat", "C and its like"),
        ("./nosuch", None),
        ("env", "C and its like"),
    ],
)
def test_the_language_is_told_by_the_program(command: str, name: str | None) -> None:
    found = languages.detect(command.split(), Path("/"), PATH)
    assert (found.name if found else None) == name


def test_a_script_is_told_by_its_first_line_and_a_program_by_its_file(tmp_path: Path) -> None:
    for file, content in {
        "script": b"#!/usr/bin/env ruby\nputs 1\n",
        "old": b"#! /usr/bin/perl -w\n",
        "go": b"\x7fELF" + bytes(4000) + b'\xff Go build ID: "x"',
        "c": b"\x7fELF" + bytes(4000),
        "text": b"hello",
        "empty": b"#!\n",
    }.items():
        (tmp_path / file).write_bytes(content)
    found = {file.name: languages.detect([f"./{file.name}"], tmp_path, PATH) for file in tmp_path.iterdir()}
    names = {file: language.name if language else None for file, language in found.items()}
    assert names == {"script": "Ruby", "old": "Perl", "go": "Go", "c": "C and its like", "text": None, "empty": None}


def test_every_kind_of_fault_has_a_cause() -> None:
    source = "".join(file.read_text() for file in HERE.glob("*.py"))
    kinds = set(re.findall(r'(?:Fault|Warned)\(\s*"(\w+)"', source)) | {
        "buffered",
        "garbage",
        "desync",
        "extra",
        "oversize",
    }
    assert len(kinds) > 20
    for kind in kinds - {"pipe"}:
        assert causes.usual_cause("plain", kind, None), kind


def test_what_a_trial_knows_names_a_trial() -> None:
    names = {trial.name for trial in TRIALS}
    assert {key.partition("/")[0] for key in causes._CAUSES if "/" in key} <= names


def test_every_language_can_say_how_to_flush_and_where_stray_prints_go() -> None:
    topics = set(get_args(languages.Topic))
    for language in languages._BY_PROGRAM.values():
        assert {"flush", "stray", "eof", "lines"} <= set(language.fixes) <= topics


def test_the_remedy_is_said_in_the_language_of_the_worker() -> None:
    said = {language.name: causes.usual_cause("flush", "buffered", language) for language in set_of_languages()}
    assert said["Ruby"] == "stdout is block-buffered: flush after each line; in Ruby: $stdout.sync = true"
    assert len(set(said.values())) == len(said)
    assert causes.usual_cause("flush", "buffered", None) == "stdout is block-buffered: flush after each line"


def set_of_languages() -> list[languages.Language]:
    return list({language.name: language for language in languages._BY_PROGRAM.values()}.values())
