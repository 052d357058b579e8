import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from supervisor.cli.app import cli
from tests.cli.scripted import ScriptedDaemon

Run = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder with a short name (sockets have 107 bytes), and no trace of the caller's own stoker."""
    monkeypatch.delenv("STOKER_SOCKET", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    with tempfile.TemporaryDirectory(prefix="stoker-") as name:
        path = Path(name).resolve()
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(path / "run"))
        monkeypatch.chdir(path)
        yield path


@pytest.fixture
def daemon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedDaemon]:
    """A scripted daemon, where $STOKER_SOCKET says."""
    scripted = ScriptedDaemon(folder / "s")
    monkeypatch.setenv("STOKER_SOCKET", str(scripted.path))
    yield scripted
    scripted.close()


@pytest.fixture
def stoker(folder: Path) -> Run:
    """Run a command in this process: stoker("get", ID, input="…") -> click's Result."""

    def run(*arguments: str, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli, arguments, input=input, catch_exceptions=False, prog_name="stoker")

    return run


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stdout is a terminal of 80 columns."""
    monkeypatch.setattr("supervisor.cli.output.is_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a command as a process of its own; it is gone when the test is over."""
    running: list[subprocess.Popen[str]] = []

    def popen(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
        # `env` undoes what a shell does to its background jobs, so that SIGINT interrupts in any case.
        argv = ["env", "--default-signal=INT", sys.executable, "-m", "supervisor", *arguments]
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(argv, text=True, env=dict(os.environ), **options)
        running.append(process)
        return process

    yield popen
    for process in running:
        with process:
            process.kill()


def lines_of_json(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]
