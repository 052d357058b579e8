"""Processes that a worker leaves behind: named, and gone afterwards, wherever they went."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conformance.conftest import Check, gone, naughty
from tests.workers import command


def test_a_process_that_lives_on_is_named_and_gone_afterwards(check: Check, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    payload = f'{{"pid_file":"{pid_file}","then":"answer","session":true}}'
    report = check(command("forks_grandchild"), "--payload", payload, "--only", "leftovers")
    assert report.of("leftovers") == ("fail", "left_behind")
    words = report.words("leftovers")
    assert "5 of its processes lived on after it had gone" in words
    assert "tests/workers/forks" in words
    assert "belong to it: when it is gone, so are they" in words
    assert gone(int(pid_file.read_text()))


def test_a_process_that_left_session_and_environment_is_named_and_gone_afterwards(check: Check, tmp_path: Path) -> None:
    payload = f'"{tmp_path / "pids"}"'
    report = check(naughty("detaches", "stays"), "--payload", payload, "--only", "leftovers", "--only", "plain")
    assert (report.of("plain"), report.of("leftovers")) == (("ok", None), ("fail", "left_behind"))
    assert "5 of its processes lived on after it had gone: sleep " in report.words("leftovers")
    assert "only where workers have a cgroup" in report.words("leftovers")
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 25
    assert all(gone(int(pid)) for pid in pids)


def test_orphans_that_come_to_us_and_end_are_no_zombies_of_the_worker(check: Check) -> None:
    report = check(naughty("detaches", "ends"), "--jobs", "100", "--only", "many", "--only", "leftovers")
    assert (report.of("many"), report.of("leftovers")) == (("ok", None), ("ok", None))


def test_where_the_kernel_gives_us_no_orphans_nothing_more_is_claimed(
    check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.conformance.adopted._prctl", lambda *_: False)
    report = check(command("echo"), "--only", "leftovers")
    assert "no process was seen when it had gone" in report.words("leftovers")
    assert any(note.startswith("may be left: ") for note in report.document["notes"])


def test_what_we_had_started_before_is_left_alone(check: Check) -> None:
    with subprocess.Popen(["sleep", "300"], start_new_session=True, env={"PATH": os.environ["PATH"]}) as bystander:
        report = check(command("echo"), "--only", "leftovers")
        alive = bystander.poll() is None
        bystander.kill()
    assert (report.of("leftovers"), alive) == (("ok", None), True)
