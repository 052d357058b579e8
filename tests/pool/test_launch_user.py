"""Workers of another user. To become one wants root, which the tests in CI are run as."""

import os
import pwd
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from supervisor.pool.launch import SpawnFailed
from tests.pool.launched import SYSTEM_PATH, environment, launched, status_of
from tests.pool.rig import rig

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process as somebody else")
NOBODY = pwd.getpwnam("nobody")
ROOT = Path("/")


def identity(**settings: object) -> dict[str, str]:
    with launched(["cat", "/proc/self/status"], ROOT, **settings) as worker:
        return status_of(worker.rest())


@contextmanager
def supplementary_groups(*numbers: int) -> Iterator[None]:
    """Of the daemon, which we are."""
    before = os.getgroups()
    os.setgroups(numbers)
    try:
        yield
    finally:
        os.setgroups(before)


def four(number: int) -> str:
    """Real, effective, saved and of the file system."""
    return "\t".join([str(number)] * 4)


@needs_root
@pytest.mark.parametrize("user", ["nobody", str(NOBODY.pw_uid)])
@pytest.mark.provokes("user")
def test_a_worker_runs_as_the_user_with_its_group_and_no_power_left(user: str) -> None:
    found = identity(user=user)
    assert (found["Uid"], found["Gid"]) == (four(NOBODY.pw_uid), four(NOBODY.pw_gid))
    assert found["Groups"].split() == [str(NOBODY.pw_gid)]
    assert {found[name] for name in ("CapEff", "CapPrm", "CapAmb")} == {"0" * 16}


@needs_root
@pytest.mark.provokes("user", "group")
def test_another_group_can_be_given_with_the_user_or_alone() -> None:
    found = identity(user="nobody", group="daemon")
    assert (found["Uid"], found["Gid"], found["Groups"].split()) == (four(NOBODY.pw_uid), four(1), ["1"])
    with supplementary_groups(0, 4, 27):
        found = identity(group="daemon")
    assert (found["Uid"], found["Gid"], found["Groups"].split()) == (four(0), four(1), ["0", "4", "27"])


@needs_root
def test_a_worker_has_the_supplementary_groups_of_its_user_and_none_of_the_daemons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = [NOBODY.pw_gid, 4242, 4243]
    asked = []
    monkeypatch.setattr(os, "getgrouplist", lambda *names: asked.append(names) or theirs)
    with supplementary_groups(0, 4, 27):
        found = identity(user="nobody")
    assert sorted(map(int, found["Groups"].split())) == sorted(theirs)
    assert asked == [("nobody", NOBODY.pw_gid)]


@needs_root
def test_home_and_name_are_the_users_unless_the_pool_says_otherwise() -> None:
    environ = {"PATH": SYSTEM_PATH, "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/bash"}
    for clear in (False, True):
        got = environment(ROOT, user="nobody", environ=environ, clear_env=clear, env=(("SHELL", "/bin/mine"),))
        assert [got[name] for name in ("HOME", "USER", "LOGNAME")] == [NOBODY.pw_dir, "nobody", "nobody"]
        assert got["SHELL"] == "/bin/mine"
        assert not [name for name in got if name.startswith("STOKER_ENV")]


@needs_root
def test_every_setting_holds_for_a_worker_of_another_user() -> None:
    cpu = min(os.sched_getaffinity(0))
    with launched(
        ["sh", "-c", "ulimit -n; umask; nice; taskset -p $$; pwd; cat <&0"],
        ROOT,
        user="nobody",
        rlimits=(("nofile", 99), ("nproc", 5000)),
        umask=0o027,
        nice=3,
        cpu_affinity=(frozenset({cpu}),),
    ) as worker:
        assert [worker.line() for _ in range(5)] == [
            "99", "0027", "3", f"pid {worker.child.pid}'s current affinity mask: {1 << cpu:x}", "/"]  # fmt: skip
        worker.say("a request")
        assert worker.line() == "a request"


@needs_root
@pytest.mark.parametrize("channel", ["stdio", "fd"])
def test_a_worker_can_open_its_pipes_by_name(channel: str) -> None:
    """As programs do that are told to log to /dev/stderr."""
    with launched(["sh", "-c", "echo words > /dev/stderr"], ROOT, user="nobody", channel=channel) as worker:
        assert worker.line("stderr") == "words"


class Held:
    """What the process was that is going to be the worker."""

    def __init__(self) -> None:
        self.environ = b""
        self.status: dict[str, str] = {}

    def look(self, pid: int) -> None:
        self.environ = Path(f"/proc/{pid}/environ").read_bytes()
        self.status = status_of(Path(f"/proc/{pid}/status").read_text())


@needs_root
def test_nothing_that_runs_as_root_sees_the_environment_of_the_worker() -> None:
    """Its env_file may be the user's own, and LD_PRELOAD in there would make that user root."""
    variables = (("LD_PRELOAD", "/evil.so"), ("ENV", "/evil"), ("TOKEN", "x"))
    held = Held()
    got = environment(ROOT, user="nobody", env=variables, at_gate=held.look, environ={"PATH": SYSTEM_PATH})
    assert held.status["Uid"] == four(0)
    names = {entry.partition(b"=")[0].decode() for entry in held.environ.split(b"\0") if entry}
    assert {name for name in names if not name.startswith("STOKER_")} == set()
    assert dict(variables).items() <= got.items()


PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.pool.launched import launched
environ = {"PATH": "/usr/bin:/bin", "odd.name": "x"}
with launched(["sleep", "300"], Path("/"), user=sys.argv[2] or None, environ=environ) as worker:
    while Path(f"/proc/{worker.child.pid}/comm").read_text() != "sleep\\n":
        pass
    print(worker.child.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("user", ["", pytest.param("nobody", marks=needs_root)])
def test_a_worker_that_reads_nothing_dies_with_the_daemon(user: str) -> None:
    """The kernel forgets the signal it is to send whenever a process becomes somebody else."""
    here = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, here, user], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        try:
            poll = select.poll()
            poll.register(worker, select.POLLIN)
            assert not poll.poll(0)
            parent.kill()
            assert poll.poll(20_000), "it outlived the daemon"
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(worker, signal.SIGKILL)
            os.close(worker)


# -- what cannot be ----------------------------------------------------------------------------------------------------


@needs_root
async def test_a_program_that_the_user_may_not_run_is_said_by_the_pool(tmp_path: Path) -> None:
    program = tmp_path / "worker"
    program.write_text("#!/bin/sh\necho never\n")
    program.chmod(0o700)
    async with rig([str(program)], folder=tmp_path, user="nobody") as daemon:
        await daemon.until(lambda: daemon.pools[0].state == "degraded")
        reason = daemon.pools[0].health.reason
    assert "exited with code 126" in reason
    assert str(program) in reason
    assert "Permission denied" in reason


@pytest.mark.parametrize("key", ["user", "group"])
def test_who_does_not_exist_is_named(key: str) -> None:
    with pytest.raises(SpawnFailed, match=f"^cannot start 'true': {key} = 'no-such-one': this machine knows no such"):
        environment_of_true(**{key: "no-such-one"})


@pytest.mark.parametrize("settings", [{"user": "nobody"}, {"group": "nogroup"}, {"user": "root", "group": "nogroup"}])
def test_only_root_can_start_a_worker_as_somebody_else(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SpawnFailed, match="only a daemon that runs as root can start a worker as somebody else"):
        environment_of_true(**settings)


def test_a_daemon_need_not_be_root_to_start_workers_as_its_own_user() -> None:
    us = pwd.getpwuid(os.geteuid())
    got = environment(ROOT, user=us.pw_name, environ={"PATH": SYSTEM_PATH, "HOME": "/else"})
    assert (got["HOME"], got["USER"]) == (us.pw_dir, us.pw_name)


def test_what_a_missing_setpriv_costs_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of our own need not have it: they are started without."""
    monkeypatch.setenv("PATH", str(tmp_path))
    environ = {"PATH": SYSTEM_PATH}
    with launched(["cat", "/proc/self/stat"], ROOT, environ=environ) as worker:
        assert worker.rest().split()[1] == "(cat)"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SpawnFailed, match="needs setpriv: install util-linux"):
        environment_of_true(user="nobody", environ=environ)


def environment_of_true(**settings: object) -> None:
    with launched(["true"], ROOT, **settings):
        pass
