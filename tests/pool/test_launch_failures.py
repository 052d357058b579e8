"""What cannot be started says why, and leaves nothing behind: no process, no descriptor."""

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.pool import launch as launching
from supervisor.pool.cgroups import Cgroup
from supervisor.pool.launch import SpawnFailed
from tests.pool.launched import launched, until


def descriptors() -> set[str]:
    """Each with what it is, so that one that took another's number is seen."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{fd}: {os.readlink(f'/proc/self/fd/{fd}')}")
        except FileNotFoundError:  # the one that listdir itself had open
            continue
    return found


def children() -> str:
    """Zombies too."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = descriptors(), children()
    yield
    assert_nothing_new(*before)


def assert_nothing_new(fds: set[str], processes: str) -> None:
    # Fewer there may be: the garbage collector closes what earlier tests had.
    assert descriptors() - fds == set()
    assert children() == processes


def refusal(folder: Path, program: str = "true", **settings: Any) -> str:
    """The reason, without the beginning that all have."""
    with pytest.raises(SpawnFailed) as failure, launched([program], folder, **settings):
        pass
    start = f"cannot start {program!r}: "
    assert failure.value.message.startswith(start)
    return failure.value.message.removeprefix(start)


# -- the program -------------------------------------------------------------------------------------------------------


def test_a_program_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "text").touch(0o644)
    (tmp_path / "folder").mkdir()
    assert refusal(tmp_path, "./missing") == f"there is no such file in {tmp_path}"
    assert refusal(tmp_path, f"{tmp_path}/missing") == "there is no such file"
    assert refusal(tmp_path, "./text") == "it is not an executable file"
    assert refusal(tmp_path, "./folder") == "it is not an executable file"
    assert refusal(tmp_path, "text/x") == f"there is no such file in {tmp_path}"
    assert refusal(tmp_path, "missing", environ={"PATH": "/usr/bin:bin"}) == "it is not in PATH (/usr/bin:bin)"
    assert refusal(tmp_path, "missing", environ={}) == f"it is not in PATH ({os.defpath})"
    assert refusal(tmp_path, "missing", env=(("PATH", "/bin"),)) == "it is not in PATH (of env or env_file)"


def script(folder: Path, first_line: bytes, mode: int = 0o755) -> str:
    (folder / "script").write_bytes(first_line + b"\necho begun\n")
    (folder / "script").chmod(mode)
    return "./script"


FOREIGN = " (its first line ends with CR LF; write it with LF alone)"


@pytest.mark.parametrize(
    ("first_line", "reason"),
    [
        (b"#!/nonexistent/py", "its interpreter /nonexistent/py does not exist"),
        (b"#! \t/nonexistent/py\t-u x ", "its interpreter /nonexistent/py does not exist"),
        (b"#!venv/bin/python", "its interpreter venv/bin/python does not exist"),
        (b"#!/bin/sh/sh", "its interpreter /bin/sh/sh does not exist"),
        (b"#!/bin/sh\r", f"its interpreter /bin/sh does not exist{FOREIGN}"),
        (b"#!/usr/bin/env nosuch", "its interpreter nosuch is not in PATH (/usr/bin:bin)"),
        (b"#!/usr/bin/env sh\r", f"its interpreter sh is not in PATH (/usr/bin:bin){FOREIGN}"),
        (b"#!/usr/bin/env sh -u", "its interpreter sh -u is not in PATH (/usr/bin:bin)"),
    ],
)
def test_a_script_whose_interpreter_is_not_there_is_said(tmp_path: Path, first_line: bytes, reason: str) -> None:
    program = script(tmp_path, first_line)
    assert refusal(tmp_path, program, environ={"PATH": "/usr/bin:bin"}) == reason


def test_a_script_that_is_found_in_path_has_its_interpreter_looked_for_too(tmp_path: Path) -> None:
    script(tmp_path, b"#!/usr/bin/env nosuch")
    found = refusal(tmp_path, "script", env=(("PATH", "."),))
    assert found == "its interpreter nosuch is not in PATH (of env or env_file)"


@pytest.mark.parametrize(
    "first_line",
    [
        *(b"#!/bin/sh", b"#!/usr/bin/env sh", b"#!/usr/bin/env -S sh -u", b"#!/usr/bin/env -S A=1 sh", b"#!sh", b"#!"),
        *(b"#!/usr/bin/env /bin/sh", b"#!  " + b"x" * 300, b"#!/bin/\xff", b"", b"#!/bin/sh " + b"-" * 300),
    ],
)
def test_whatever_may_run_is_left_to_the_kernel(tmp_path: Path, first_line: bytes) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    with launched([script(tmp_path, first_line)], tmp_path) as worker:
        worker.status()


def test_what_runs_is_not_refused_for_where_it_looks_for_its_interpreter(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "own-sh").symlink_to("/bin/sh")
    for first_line in (b"#!bin/own-sh", b"#!/usr/bin/env own-sh"):
        program = script(tmp_path, first_line)
        with launched([program], tmp_path, environ={"PATH": "/usr/bin:bin"}) as worker:
            assert worker.line() == "begun"


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert refusal(gone) == f"its working directory {gone} does not exist"
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file") == f"its working directory {tmp_path / 'file'} does not exist"


def test_more_environment_than_the_kernel_takes_is_said(tmp_path: Path) -> None:
    found = refusal(tmp_path, env=(("BIG", "x" * 200_000),))
    assert found == "its command and environment are together more than the kernel hands to a program"


def test_a_nul_is_said(tmp_path: Path) -> None:
    assert refusal(tmp_path, env=(("A", "x\0y"),)) == "its command or environment holds a NUL"


# -- the settings ------------------------------------------------------------------------------------------------------


def test_a_limit_that_cannot_be_set_is_named_with_its_value(tmp_path: Path) -> None:
    found = refusal(tmp_path, rlimits=(("core", 0), ("nofile", 2**40)))
    assert found.startswith(f"rlimits.nofile = {2**40}: Operation not permitted")
    assert found.endswith("(only root may raise a hard limit, and nobody may go above fs.nr_open)")
    assert refusal(tmp_path, rlimits=(("fsize", 2**64),)).startswith(f"rlimits.fsize = {2**64}: ")


def test_cpus_that_are_not_there_are_named_with_their_place(tmp_path: Path) -> None:
    entries = (frozenset(os.sched_getaffinity(0)), frozenset({1001, 1000}))
    found = refusal(tmp_path, cpu_affinity=entries, slot=1)
    assert found.startswith("cpu_affinity[1] = 1000,1001: Invalid argument")
    with launched(["true"], tmp_path, cpu_affinity=entries, slot=2) as worker:
        assert worker.status() == 0


def test_niceness_that_is_refused_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(errno.EACCES, "")

    monkeypatch.setattr(os, "setpriority", refuse)
    assert refusal(tmp_path, nice=-5) == "nice = -5: Permission denied (only root may go below the daemon's own)"


@pytest.mark.parametrize("channel", ["stdio", "fd"])
def test_a_cgroup_that_is_gone_is_named_and_the_program_has_not_run(tmp_path: Path, channel: str) -> None:
    found = refusal(
        tmp_path, str(begins(tmp_path)), cgroup=Cgroup(tmp_path / "gone"), at_gate=until_it_ends, channel=channel
    )
    assert found.startswith("/bin/sh exited with code ")
    assert f"{tmp_path}/gone/cgroup.procs" in found
    assert not (tmp_path / "begun").exists()


def test_a_cgroup_that_takes_nobody_in_is_named_and_the_program_has_not_run(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").symlink_to("/dev/full")
    found = refusal(tmp_path, str(begins(tmp_path)), cgroup=Cgroup(tmp_path), at_gate=until_it_ends)
    assert found.startswith("/bin/sh exited with code ")
    assert f"it could not enter its cgroup: {tmp_path}/cgroup.procs" in found
    assert not (tmp_path / "begun").exists()


def test_where_the_shell_has_no_descriptors_for_it_the_daemon_puts_it_into_its_cgroup(tmp_path: Path) -> None:
    found = refusal(tmp_path, str(begins(tmp_path)), cgroup=Cgroup(tmp_path / "gone"), rlimits=(("nofile", 15),))
    assert found == "it could not be put into its cgroup: No such file or directory"
    assert not (tmp_path / "begun").exists()


def begins(folder: Path) -> Path:
    (folder / "begins").write_text("#!/bin/sh\ntouch begun\n")
    (folder / "begins").chmod(0o755)
    return folder / "begins"


def until_it_ends(pid: int) -> None:
    until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z", "its end")


def test_one_that_does_not_react_is_killed(tmp_path: Path) -> None:
    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)

    assert refusal(tmp_path, at_gate=stop, rlimits=(("nofile", 2**40),)).startswith("rlimits.nofile")


@pytest.mark.parametrize("error", [None, ProcessLookupError(errno.ESRCH, "")])
def test_one_that_dies_while_it_is_set_up_is_said_to_have_died(tmp_path: Path, error: OSError | None) -> None:
    def kill(pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        until_it_ends(pid)
        if error is not None:
            raise error

    found = refusal(tmp_path, at_gate=kill, nice=1)
    assert found == "/bin/sh was killed by SIGKILL before it could become the worker"


def test_what_a_shell_says_that_cannot_begin_is_in_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a limit keeps it from loading its libraries."""
    script = "import sys; sys.exit('sh: error while loading shared libraries')"
    monkeypatch.setattr(launching, "gated", lambda config, env, *_: ([sys.executable, "-S", "-c", script], env))
    found = refusal(tmp_path, at_gate=until_it_ends)
    assert found == (
        "/bin/sh exited with code 1 before it could become the worker: sh: error while loading shared libraries"
    )


def test_a_bug_in_a_setting_leaves_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(AttributeError), launched(["sleep", "300"], tmp_path, rlimits=(("no_such_limit", 1),)):
        pass


def test_a_shell_that_does_not_heed_our_signals_goes_at_the_end_of_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of another user does to a daemon that lacks CAP_KILL."""
    monkeypatch.setattr(launching, "signal_group", lambda *_: None)
    refusal(tmp_path, rlimits=(("nofile", 2**40),))


# -- the daemon's own ends ---------------------------------------------------------------------------------------------


def with_free_descriptors(count: int, act: Callable[[], None]) -> None:
    """Act while this process can open so many descriptors more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        while True:
            try:
                taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                break
        for _ in range(count):
            os.close(taken.pop())
        act()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in taken:
            os.close(fd)


def test_however_few_descriptors_are_left_none_is_lost(tmp_path: Path) -> None:
    reasons = []

    def start() -> None:
        try:
            with launched(["true"], tmp_path, environ={"PATH": "/usr/bin:/bin"}):
                reasons.append("")
        except SpawnFailed as failure:
            reasons.append(failure.message)

    for count in range(14):
        before = descriptors(), children()
        with_free_descriptors(count, start)
        assert_nothing_new(*before)
    assert reasons[0] == "cannot start 'true': Too many open files"
    assert reasons[-1] == ""
    assert set(reasons) == {reasons[0], ""}
