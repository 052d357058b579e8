"""Processes start with what they are to have and nothing else, wherever this runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.pool import spawn as spawning
from supervisor.pool.spawn import spawn

ROOT = Path(__file__).parents[2]
SHOW = 'printf "%s\\n" "$(cd /proc/self/fd && echo *)"'


def run(argv: list[str], env: dict[str, str], cwd: Path) -> tuple[int, bytes]:
    """The exit code and stdout of what was spawned."""
    ours, theirs = os.pipe()
    nothing = os.open("/dev/null", os.O_RDWR)
    try:
        pid = spawn(argv, env, cwd=cwd, stdio=(nothing, theirs, nothing))
    finally:
        os.close(theirs)
        os.close(nothing)
    with open(ours, "rb") as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def test_arguments_environment_folder_and_exit_code_are_as_given(tmp_path: Path) -> None:
    argv = ["/bin/sh", "-c", 'echo "$1" "$NAME" "$(pwd)"; exit 7', "sh", "a b"]
    assert run(argv, {"NAME": "café"}, tmp_path) == (7, f"a b café {tmp_path}\n".encode())


@pytest.mark.parametrize("closes", [True, False])
def test_descriptors_that_this_process_was_given_are_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closes: bool
) -> None:
    """Also where the C library cannot close them: before glibc 2.34, and in musl."""
    if not closes:
        monkeypatch.setattr(spawning, "_closefrom", None)
    stray = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(stray, True)
    try:
        code, said = run(["/bin/sh", "-c", SHOW], {"PATH": os.environ["PATH"]}, tmp_path)
    finally:
        os.close(stray)
    assert (code, said.split()[:3]) == (0, [b"0", b"1", b"2"])
    assert str(stray).encode() not in said.split()[4:]


def test_a_program_that_is_not_there_and_a_nul_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run(["/no/such/program"], {}, tmp_path)
    with pytest.raises(FileNotFoundError):
        run(["/bin/true"], {}, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="NUL"):
        run(["/bin/echo", "a\0b"], {}, tmp_path)
    with pytest.raises(ValueError, match="NUL"):
        run(["/bin/echo"], {"A": "a\0b"}, tmp_path)


def test_a_daemon_without_a_stdin_starts_workers_all_the_same(tmp_path: Path) -> None:
    """Its own pipes would get the numbers that the worker's are to have."""
    program = (
        "import os, sys; from pathlib import Path; from tests.pool.launched import launched\n"
        "os.close(0); os.close(2)\n"
        "with launched(['cat'], Path(sys.argv[1])) as worker:\n"
        "    worker.say('to and fro'); print(worker.line())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "to and fro\n"
