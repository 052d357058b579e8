"""Ctrl-C, and what else ends the tester: no process is left, whatever the worker is like."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.pool import procfs
from tests.conformance.conftest import gone, naughty
from tests.workers import command

WITHIN = 30.0  # seconds


@pytest.fixture
def hanging(tmp_path: Path) -> "Iterator[tuple[subprocess.Popen[str], int, int]]":
    """A tester in the middle of a job, its worker, and the grandchild that has left the worker's session."""
    pid_file = tmp_path / "pid"
    payload = f'{{"pid_file":"{pid_file}","session":true,"deaf":true}}'
    argv = ["check-worker", "--payload", payload, "--", *command("forks_grandchild")]
    process = subprocess.Popen(
        ["env", "--default-signal=INT,TERM,HUP", sys.executable, "-m", "supervisor", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + WITHIN
    while not pid_file.exists():
        assert time.monotonic() < until, process.poll()
        os.sched_yield()
    grandchild = int(pid_file.read_text())
    worker = int(Path(f"/proc/{grandchild}/stat").read_text().rpartition(")")[2].split()[1])
    with process:
        yield process, worker, grandchild
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_when_it_is_interrupted_no_process_is_left(
    number: signal.Signals, hanging: "tuple[subprocess.Popen[str], int, int]"
) -> None:
    process, worker, grandchild = hanging
    assert not gone(worker)
    process.send_signal(number)
    process.send_signal(number)  # an impatient one
    out, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (128 + number, "stoker: interrupted; no process is left\n")
    assert out.startswith("checking ")
    assert gone(worker)
    assert gone(grandchild)
    assert not [one for one in procfs.all_processes() if one.session == worker and one.state not in "ZX"]


def test_when_it_is_interrupted_what_left_session_and_environment_is_gone_too(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    argv = ["check-worker", "--payload", f'"{file}"', "--kill-grace", "0s", "--", *naughty("detaches", "hangs")]
    with subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "supervisor", *argv],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until = time.monotonic() + WITHIN
        while not (file.exists() and file.read_text().endswith("\n")):
            assert time.monotonic() < until, process.poll()
            os.sched_yield()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (130, "stoker: interrupted; no process is left\n")
    assert gone(int(file.read_text()))


def test_when_nobody_reads_the_report_any_more_it_ends_with_its_worker() -> None:
    read, write = os.pipe()
    os.close(read)
    argv = [sys.executable, "-m", "supervisor", "check-worker", "--", *command("echo")]
    done = subprocess.run(argv, stdout=write, stderr=subprocess.PIPE, text=True, timeout=WITHIN, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
