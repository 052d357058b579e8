"""What SIGHUP does to a daemon with a terminal, without one, and under nohup."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.daemon import until

# Says what it has found, in the file of its argument.
LOOK = (
    "import sys; from supervisor.daemon.hangup import stops_and_reloads as look; "
    "open(sys.argv[1], 'w').write(repr([[one.name for one in group] for group in look()]) + '.')"
)
STOP = ["SIGTERM", "SIGINT"]


def found(file: Path) -> object:
    return eval(until(lambda: file.exists() and file.read_text().endswith(".") and file.read_text(), "it")[:-1])


def test_without_a_terminal_it_reloads(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", LOOK, tmp_path / "found"], start_new_session=True, check=True)
    assert found(tmp_path / "found") == [STOP, ["SIGHUP"]]


@pytest.mark.parametrize(("before", "expected"), [([], [[*STOP, "SIGHUP"], []]), (["nohup"], [STOP, []])])
def test_in_a_terminal_it_stops_with_that_and_under_nohup_it_does_neither(
    tmp_path: Path, before: list[str], expected: list[list[str]]
) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)  # where nohup writes its file
        os.execvp([*before, sys.executable][0], [*before, sys.executable, "-c", LOOK, str(tmp_path / "found")])
    try:
        assert found(tmp_path / "found") == expected
    finally:
        os.close(terminal)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
