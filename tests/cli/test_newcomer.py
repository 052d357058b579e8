"""The first minute: `stoker init` in an empty folder, and then the two commands it shows, exactly as it shows them."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

WITHIN = 30  # seconds


def shell(command: str) -> "subprocess.Popen[str]":
    """As typed: `exec` only spares the shell between us and the command."""
    return subprocess.Popen(
        ["sh", "-c", f"exec {command}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def serving(command: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """Around a daemon that listens; it is killed if it is still there in the end."""
    with shell(command) as process:
        try:
            deadline = monotonic() + WITHIN
            while not (folder / "stoker.sock").exists():
                assert process.poll() is None, process.communicate()[1]
                assert monotonic() < deadline, "no socket appeared"
                sleep(0.01)
            yield process
        finally:
            process.kill()


def test_the_shown_commands_work_as_they_are_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A person has the scripts of this environment on the PATH.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    init = shell("stoker init")
    out, err = init.communicate(timeout=WITHIN)
    assert (init.returncode, err) == (0, "")
    serve, submit = (line.strip() for line in out.splitlines() if line.startswith("    "))
    assert (serve, submit) == ("stoker serve", """stoker submit hello '{"name":"world"}' --wait""")

    with serving(serve, folder) as daemon:
        job = shell(submit)
        out, err = job.communicate(timeout=WITHIN)
        assert (job.returncode, out, err) == (0, '{"greeting":"Hello, world!"}\n', "")
        daemon.send_signal(signal.SIGTERM)
        _, log = daemon.communicate(timeout=WITHIN)
        assert daemon.returncode == 0, log
    assert not (folder / "stoker.sock").exists()


README = Path(__file__).parents[2] / "README.md"


def test_what_the_readme_says_about_running_it_works_as_it_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    section = README.read_text().split("## Run it\n")[1].split("\n## ")[0]
    commands = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    assert [command.split()[:2] for command in commands] == [
        ["stoker", name] for name in ("pools", "workers", "events", "resize", "restart", "reload", "queues", "top")
    ]
    shell("stoker init").communicate(timeout=WITHIN)
    with serving("stoker serve", folder):
        said = []
        for command in commands:
            process = shell(command)
            out, err = process.communicate(timeout=WITHIN)
            noted = "no events\n" if command.startswith("stoker events") else ""
            assert (process.returncode, err) == (0, noted), command
            said.append(out)
    assert said[3].startswith("hello: 1 to 4 workers")
    assert said[4] == "hello: generation 2, 2 workers replaced\n"
    assert said[5] == f"nothing has changed in {folder / 'stoker.toml'}\n"
    assert "\nhello/0 " in said[7]


def test_what_the_readme_says_about_many_jobs_works_as_it_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    section = README.read_text().split("## Many jobs at once\n")[1].split("\n## ")[0]
    commands = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    assert len(commands) == 5
    shell("stoker init").communicate(timeout=WITHIN)
    with serving("stoker serve", folder):
        for command in ("stoker pause hello", "stoker submit hello 1 --tag import-7", "stoker submit hello 2"):
            shell(command).communicate(timeout=WITHIN)
        said = []
        for command in commands:
            process = shell(command)
            out, _ = process.communicate(timeout=WITHIN)
            assert process.returncode == 0, command
            said.append(out)
    assert said == [
        "",
        "0 jobs would be retried; nothing is changed\n",
        "0 jobs deleted\n",
        "1 job cancelled\n",
        "1 job deleted\n",
    ]


def test_the_readmes_own_environment_is_not_the_one_that_make_keeps() -> None:
    """Where `make demo` has put an editable one, `pip install .` leaves a copy that no longer follows the files."""
    section = README.read_text().split("## Use it\n")[1].split("\n## ")[0]
    (made,) = re.findall(r"python3 -m venv (\S+)", section)
    (kept,) = re.findall(r"^VENV := (\S+)", (README.parent / "Makefile").read_text(), re.MULTILINE)
    assert Path(made).name != kept
    assert f"{made}/bin/pip install ." in section
    assert f". {made}/bin/activate" in section
