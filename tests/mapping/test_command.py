"""The command line of `stoker map`, and what it says of what cannot be."""

import os
import pty
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.app import cli
from tests.mapping.mapped import Command
from tests.workers import command


def stoker(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["map", *arguments], prog_name="stoker")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an input of two lines."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").write_text('1\n{"n": 2}\n')
    return tmp_path


def test_lines_come_from_stdin_and_answers_go_to_stdout(tmp_path: Path) -> None:
    with Command("-w", "2", "--", *command("echo"), cwd=tmp_path) as run:
        run.say(1, {"a": [2]}, "three")
        assert run.end() == (0, b'1\n{"a":[2]}\n"three"\n', "")


def test_each_answer_is_there_before_the_next_line_is(tmp_path: Path) -> None:
    with Command("--", *command("echo"), cwd=tmp_path) as run:
        for number in range(3):
            run.say(number)
            assert run.hear() == number


def test_raw_lines_are_strings(tmp_path: Path) -> None:
    with Command("-R", "--", *command("echo"), cwd=tmp_path) as run:
        assert run.process.stdin is not None
        run.process.stdin.write(b'no "JSON"\n')
        assert run.end() == (0, b'"no \\"JSON\\""\n', "")


def test_failed_lines_are_counted_and_it_is_said_where_they_are(here: Path) -> None:
    (here / "in").write_text('{"message":"no"}\n{"message":"no"}\n')
    with Command("-i", "in", "-o", "out", "--errors", "bad", "--", *command("error"), cwd=here) as run:
        code, _, said = run.end()
    assert (code, said) == (1, "stoker: 2 of 2 lines failed: bad says why\n")
    assert len((here / "bad").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "what is to do the work?"),
        (["--resume", "--", "cat"], "--resume needs --output FILE"),
        (["--resume", "-o", "-", "--", "cat"], "--resume needs --output FILE"),
        (["--timeout", "0s", "-i", "in", "--", "cat"], "--timeout: found 0"),
        (["-i", "in", "-o", "in", "--", "cat"], "--input and --output are the same file"),
        (["-i", "in", "-o", "new", "--errors", "new", "--", "cat"], "--output and --errors are the same file"),
        (["-i", "missing", "--", "cat"], "missing: No such file or directory"),
        (["-i", "in", "--", "no-such-program"], "cannot start 'no-such-program': it is not in PATH"),
        (["-i", "in", "--", "./worker"], "cannot start './worker': there is no such file in"),
        (["-i", "in", "--", "./in"], "cannot start './in': it is not an executable file"),
        (["-i", "in", "--", "cat -u"], "write its arguments as words of their own"),
        (["-i", "", "--", "cat"], "--input: found nothing"),
        (["-i", "in", "-o", "", "--", "cat"], "--output: found nothing"),
        (["-w", "0", "-i", "in", "--", "cat"], "workers"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(here: Path, arguments: list[str], words: str) -> None:
    found = stoker(*arguments)
    assert found.exit_code == 2
    assert words in found.stderr
    assert sorted(os.listdir(here)) == ["in"]
    assert (here / "in").read_text() == '1\n{"n": 2}\n'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "stdin and stdout are the same file: name another one"),  # else it would read what it writes, for ever
        (["-i", "in"], "--input and stdout are the same file"),
        (["-i", "other", "--errors", "in"], "stdout and --errors are the same file, "),
        (["-o", "in", "-i", "-"], "stdin and --output are the same file, "),
    ],
)
def test_what_the_shell_has_opened_is_not_a_file_for_two_either(here: Path, arguments: list[str], words: str) -> None:
    (here / "other").write_text("3\n")
    with (
        (here / "in").open("rb") as source,
        (here / "in").open("ab") as sink,
        Command(*arguments, "--", *command("echo"), cwd=here, stdin=source, stdout=sink) as run,
    ):
        code, said = run.exits()
    assert code == 2
    assert words in said
    assert (here / "in").read_text() == '1\n{"n": 2}\n'


def test_a_terminal_as_stdin_is_told_what_is_expected(here: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with Command("--", "cat", cwd=here, stdin=theirs) as run:
            code, said = run.exits()
    finally:
        os.close(ours)
        os.close(theirs)
    assert code == 2
    assert "stdin is a terminal, expected a file of one JSON value a line" in said


def test_lines_may_be_typed_where_that_is_asked_for(here: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with Command("-i", "-", "--", *command("echo"), cwd=here, stdin=theirs) as run:
            os.write(ours, b"[1, 2]\n")
            assert run.hear() == [1, 2]
            os.write(ours, b"\x04")
            assert run.exits()[0] == 0
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("way", ["./worker", "sub/../worker", "absolute", "in PATH"])
def test_programs_are_found_as_a_shell_finds_them(here: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    worker, (interpreter, *rest) = here / "worker", command("echo")
    worker.write_text(f"#!{interpreter} -S\nexec(open({rest[-1]!r}).read())\n")
    worker.chmod(0o755)
    (here / "sub").mkdir()
    if way == "in PATH":
        monkeypatch.setenv("PATH", f"{here}:{os.environ['PATH']}")
    name = {"absolute": str(worker), "in PATH": "worker"}.get(way, way)
    with Command("-i", "in", "--", name, cwd=here) as run:
        assert run.end() == (0, b'1\n{"n":2}\n', "")


def test_help_is_there_before_the_engine_is() -> None:
    """It is loaded when lines are to be mapped, not to be told how."""
    before = {name for name in sys.modules if name.startswith("supervisor.mapping")}
    assert stoker("--help").exit_code == 0
    assert {name for name in sys.modules if name.startswith("supervisor.mapping")} == before


def test_a_program_may_have_options_of_its_own(here: Path) -> None:
    with Command("-i", "in", "env", "-u", "NOTHING", *command("echo"), cwd=here) as run:
        assert run.end()[0] == 0
