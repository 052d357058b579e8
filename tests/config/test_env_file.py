"""Files of environment variables: what is read, what is refused, and that no refusal shows a secret."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from supervisor.config.env_file import SIZE_MAX, EnvFileError, read_env_file

Variables = dict[str, str]
ANYWHERE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], Variables]:
    def write_and_read(content: str | bytes) -> Variables:
        file = tmp_path / "secrets.env"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return dict(read_env_file(file))

    return write_and_read


Read = Callable[[str | bytes], Variables]


@pytest.mark.parametrize(
    ("line", "variables"),
    [
        ("A=b", {"A": "b"}),
        ("A=", {"A": ""}),
        ('A=""', {"A": ""}),
        ("_a1 = b ", {"_a1": "b"}),
        ("\t A\t=\tb\t", {"A": "b"}),
        ("export A=b", {"A": "b"}),
        ("export\tA=b", {"A": "b"}),
        ("export=b", {"export": "b"}),
        ("export = b", {"export": "b"}),
        ("exportA=b", {"exportA": "b"}),
        ("A=b=c==", {"A": "b=c=="}),
        ("A=a b  c", {"A": "a b  c"}),
        ("A=#b;c#d", {"A": "#b;c#d"}),
        ("A=it's 5\"", {"A": "it's 5\""}),
        ("A=$HOME and `id`", {"A": "$HOME and `id`"}),
        ("A='$HOME #\\n \"'", {"A": '$HOME #\\n "'}),
        ('A = "\\$HOME # \\\\ \\" \\` \'"  ', {"A": "$HOME # \\ \" ` '"}),
        ('A="$HOME"', {"A": "$HOME"}),
        ('A="one\\ntwo"', {"A": "one\ntwo"}),
        ('A="one\ntwo"', {"A": "one\ntwo"}),
        ("A='-----BEGIN KEY-----\nab+/=\n'\nB=c", {"A": "-----BEGIN KEY-----\nab+/=\n", "B": "c"}),
        ("# A=b", {}),
        ("; A=b", {}),
        ("  # 'open", {}),
        ("A=1\n\n \t\n#\nB=2\nA=3", {"A": "3", "B": "2"}),
        ("A=1\r\n\r\nB='2'\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=ü", {"A": "ü"}),
        ("", {}),
    ],
)
def test_a_line_becomes_a_variable(read: Read, line: str, variables: Variables) -> None:
    assert read(line) == variables
    assert read(line + "\n") == variables


@pytest.mark.parametrize(
    ("content", "place", "expected"),
    [
        ("hunter2", "line 1", "expected NAME=VALUE"),
        ("A=1\n\nhunter2\nB=2", "line 3", "expected NAME=VALUE"),
        ("hunter2 x=1", "line 1", "no digit first"),
        ("A-hunter2=1", "line 1", "no digit first"),
        ("2hunter2=1", "line 1", "no digit first"),
        ("Ä=hunter2", "line 1", "no digit first"),
        ("=hunter2", "line 1", "no digit first"),
        ("\nexport 2hunter2=x", "line 2", "no digit first"),
        ("STOKER_SLOT=hunter2", "line 1", "found STOKER_SLOT, expected no name that begins with STOKER_"),
        ("A=hunt\\er2", "line 1", "the value in single quotes"),
        ("A=hunter2 # mine", "line 1", "or the value in quotes"),
        ("A= #hunter2", "line 1", "or the value in quotes"),
        ("A=1\nB='hunter2\nC=3\n", "line 2", "found a quote (') that is never closed"),
        ('A=1\nB="hunter2\\"\nC=3\n', "line 2", 'found a quote (") that is never closed'),
        ("A='hunter2' # mine", "line 1", "after the closing quote, expected the end of the line"),
        ("A='hunter2''x'", "line 1", "after the closing quote"),
        ("A='x\nB='hunter2'", "line 2", "after the closing quote"),
        ('A="\n\n\\hunter2"', "line 1", "found an unknown escape in double quotes"),
        ("A=1\nB=hunter2\0\n", "line 2", "found a NUL"),
        (b"A=1\nB=hunter2\xff\n", "line 2", "found a byte that is not UTF-8"),
    ],
)
def test_what_readers_would_read_differently_is_refused_by_its_line(
    read: Read, tmp_path: Path, content: str | bytes, place: str, expected: str
) -> None:
    with pytest.raises(EnvFileError) as caught:
        read(content)
    assert caught.value.message.startswith(f"{tmp_path}/secrets.env, {place}: found ")
    assert expected in caught.value.message
    assert "hunter2" not in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EnvFileError, match=r"/gone\.env cannot be read \(No such file or directory\), expected "):
        read_env_file(tmp_path / "gone.env")


def test_a_pipe_a_device_and_a_folder_are_refused_unread(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = os.listdir("/proc/self/fd")
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(EnvFileError, match=f"^{path} is not a regular file"):
            read_env_file(path)
    assert os.listdir("/proc/self/fd") == before


def test_a_file_that_no_program_could_be_given_is_refused(read: Read) -> None:
    assert len(read("A=" + "x" * (SIZE_MAX - 2))["A"]) == SIZE_MAX - 2
    with pytest.raises(EnvFileError, match="is larger than 1MiB"):
        read("A=" + "x" * (SIZE_MAX - 1))


def test_no_file_takes_long(tmp_path: Path) -> None:
    """In a process of its own: a regular expression that never comes back listens to nobody."""
    heads = ["", "A", "A=", "A='", 'A="', "A=x"]
    pieces = [" ", "\t", "'", '"', "\\", "A", "=", "#", "export ", "\n", "\\\\", "' "]
    script = f"""
import pathlib, sys
from supervisor.config.env_file import EnvFileError, read_env_file
file = pathlib.Path(sys.argv[1])
for content in ((head + piece * {SIZE_MAX})[:{SIZE_MAX - 1}] + "!" for head in {heads} for piece in {pieces}):
    file.write_text(content)
    try:
        read_env_file(file)
    except EnvFileError:
        pass
"""
    subprocess.run([sys.executable, "-c", script, tmp_path / "secrets.env"], timeout=60, check=True)


NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True).filter(
    lambda name: not name.startswith("STOKER_")
)
VALUES = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]))


def in_double_quotes(value: str, newline: str) -> str:
    return '"' + re.sub(r'[\\"$`]', r"\\\g<0>", value).replace("\n", newline) + '"'


def in_single_quotes(value: str) -> str | None:
    return None if "'" in value else f"'{value}'"


@ANYWHERE
@given(st.dictionaries(NAMES, VALUES), st.sampled_from(["\n", "\\n"]))
def test_every_value_can_be_written_in_double_quotes(read: Read, variables: Variables, newline: str) -> None:
    lines = [f"{name}={in_double_quotes(value, newline)}\n" for name, value in variables.items()]
    assert read("".join(lines)) == variables


PREFIXED = st.from_regex(r"[A-Z0-9_]{1,8}", fullmatch=True).map("MY_{}".format)  # HOME or PATH are the shell's business


@settings(ANYWHERE, max_examples=25)
@given(st.dictionaries(PREFIXED, VALUES, max_size=8), st.data())
def test_a_shell_reads_the_same_from_it(read: Read, tmp_path: Path, variables: Variables, data: st.DataObject) -> None:
    def quoted(value: str) -> str:
        ways = [in_double_quotes(value, "\n"), in_single_quotes(value)]
        if re.fullmatch(r"[A-Za-z0-9_/.:=-]*", value):
            ways.append(value)
        return data.draw(st.sampled_from([way for way in ways if way is not None]))

    lines = [f"{name}={quoted(value)}\n" for name, value in variables.items()]
    assert read("# ours\n\n" + "".join(lines)) == variables
    script = 'set -a; . "$1"; exec env -0'
    done = subprocess.run(
        ["sh", "-c", script, "sh", tmp_path / "secrets.env"], capture_output=True, check=True, env={"PATH": os.defpath}
    )
    entries = (entry.partition("=") for entry in done.stdout.decode().split("\0"))
    assert {name: value for name, _, value in entries if name.startswith("MY_")} == variables


PIECES = st.sampled_from(
    ["hunter2", "A", "=", "'", '"', "\\", "\n", " ", "#", ";", "$", "\0", "\r", "export ", "é", "\\n"]
)


@ANYWHERE
@given(st.lists(PIECES, max_size=30).map("".join).map(str.encode) | st.binary())
@example(b"\xff\xfeA\0=\0")
def test_any_file_is_read_or_refused_without_a_word_of_it(read: Read, tmp_path: Path, content: bytes) -> None:
    words, variables = "", {}
    try:
        variables = read(content)
    except EnvFileError as error:
        words = error.message
    assert "hunter2" not in words
    assert re.fullmatch(rf"({re.escape(str(tmp_path))}/secrets\.env, line \d+: found [ -~]+)?", words)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in variables)
