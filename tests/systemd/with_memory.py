"""What the kernel does with a worker's memory; run by test_memory.py where cgroup v2 has the memory controller."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from supervisor.core.blame import Why
from supervisor.pool.cgroups import Cgroup, Cgroups
from supervisor.pool.child import Child
from supervisor.pool.ending import end_tree
from tests.crash.house import until
from tests.e2e.conftest import Start as StartDaemon
from tests.e2e.conftest import start as start_daemon
from tests.pool.conftest import cgroup_folder
from tests.pool.trees import starting

__all__ = ["cgroup_folder", "start_daemon"]

MIB = 1024 * 1024
LIMIT = 48 * MIB
# Each begins when it is told to, so that it is in its cgroup before.
EATS = """
import sys
sys.stdin.readline()
mine = [b"x" * 1048576 for _ in range(int(sys.argv[1]))]
print("full", flush=True)
sys.stdin.read()
"""
CHILD_EATS = f"""
import subprocess, sys
sys.stdin.readline()
subprocess.run([sys.executable, "-S", "-E", "-c", {EATS!r}, sys.argv[1]], input=b"go")
"""
READS = """
import sys
sys.stdin.readline()
with open(sys.argv[1], "rb", buffering=0) as file:
    while file.read(65536):
        pass
    print("read", flush=True)
    sys.stdin.read()  # the cache of a file from outside is dropped when it is closed
"""
JOBS = """
import json, sys
for line in sys.stdin:
    taken = [b"x" * 1048576 for _ in range(json.loads(line)["payload"])]
    print('{"status":"ok"}', flush=True)
"""

Start = Callable[..., Child]


@pytest.fixture
def cgroups(cgroup_folder: Path) -> Cgroups:
    found = Cgroups.find(cgroup_folder, "fe01.1f3a")
    assert found is not None
    assert found.memory
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start(cgroup, program, *args)`: a program in Python that waits for a line first."""
    with starting(tmp_path) as start:
        yield lambda cgroup, program, *args: start([sys.executable, "-S", "-E", "-c", program, *args], cgroup)


def made(cgroups: Cgroups, memory_limit: int | None = LIMIT) -> Cgroup:
    cgroup = cgroups.create("p.0", memory_limit)
    assert cgroup is not None
    assert cgroup.limited == (memory_limit is not None)
    return cgroup


def said(child: Child) -> str:
    os.set_blocking(child.replies, True)
    return os.read(child.replies, 100).decode()


@pytest.mark.parametrize("whose", ["its own limit", "one above"])
@pytest.mark.parametrize("program", [EATS, CHILD_EATS])
async def test_a_tree_over_a_limit_is_killed_as_one_and_the_figures_tell(
    cgroups: Cgroups, start: Start, program: str, whose: str
) -> None:
    cgroup = made(cgroups, LIMIT if whose == "its own limit" else None)
    if whose == "one above":
        (cgroups.folder / "memory.max").write_text(str(LIMIT))
    assert cgroup.oom_kills() == 0
    child = start(cgroup, program, "200")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.watch)
    await end_tree(child, Why.EXITED, 5.0)
    assert child.reap() == -signal.SIGKILL
    assert not cgroup.populated()
    assert cgroup.oom_kills() >= 1
    peak = cgroup.peak()
    assert peak is not None
    assert peak == pytest.approx(LIMIT, rel=0.1)
    cgroup.remove()
    assert not cgroup.folder.exists()


def test_a_tree_within_its_limit_lives_and_its_figures_are_what_it_uses(cgroups: Cgroups, start: Start) -> None:
    cgroup = made(cgroups)
    child = start(cgroup, EATS, "20")
    assert said(child) == "full\n"
    usage, peak = cgroup.usage(), cgroup.peak()
    assert usage is not None
    assert peak is not None
    assert 20 * MIB <= usage <= peak + 10 * MIB  # mapped files may be on another's account
    assert 20 * MIB <= peak <= LIMIT
    assert cgroup.oom_kills() == 0


def test_files_that_a_worker_has_read_neither_kill_it_nor_count_as_its_own(cgroups: Cgroups, start: Start) -> None:
    cgroup = made(cgroups)
    assert said(start(cgroup, READS, os.environ["BIG_FILE"])) == "read\n"
    assert int((cgroup.folder / "memory.current").read_text()) > LIMIT / 2
    usage = cgroup.usage()
    assert usage is not None
    assert usage < 20 * MIB
    assert cgroup.oom_kills() == 0


def test_without_a_limit_the_figures_are_there_all_the_same(cgroups: Cgroups, start: Start) -> None:
    cgroup = made(cgroups, None)
    assert said(start(cgroup, EATS, "100")) == "full\n"
    usage, peak = cgroup.usage(), cgroup.peak()
    assert usage is not None
    assert peak is not None
    assert usage >= 100 * MIB
    assert peak >= 100 * MIB


def test_a_folder_with_processes_of_its_own_cannot_limit_memory_but_kills(cgroup_folder: Path) -> None:
    with subprocess.Popen(["sleep", "300"]) as squatter, capture_logs() as logs:
        Cgroup(cgroup_folder).attach(squatter.pid)
        cgroups = Cgroups.find(cgroup_folder, "fe01.1f3a")
        assert cgroups is not None
        assert not cgroups.memory
        assert logs[0]["memory"] == (
            f"not limited: the memory controller cannot be enabled in {cgroup_folder}: there are processes in it"
        )
        cgroup = cgroups.create("p.0", LIMIT)
        assert cgroup is not None
        assert not cgroup.limited
        cgroup.attach(squatter.pid)
        cgroup.kill()
        assert squatter.wait(10) == -signal.SIGKILL
    until(lambda: not cgroup.populated(), "the kernel to notice")


def test_a_job_over_the_limit_fails_as_oom_with_the_figures_and_the_others_go_on(
    cgroup_folder: Path, start_daemon: StartDaemon
) -> None:
    program = [sys.executable, "-S", "-E", "-c", JOBS]
    pools = {"eats": {"command": program, "memory_limit": "48MiB"}, "other": {"command": program}}
    daemon = start_daemon(pools, {"eats": {"max_attempts": 1}}, cgroup=str(cgroup_folder))
    with daemon.client() as client:
        other = client.wait(client.submit("other", 100)["id"])
        job = client.wait(client.submit("eats", 100)["id"])
        again = client.wait(client.submit("eats", 5)["id"])
    assert (other["state"], job["state"], again["state"]) == ("done", "failed", "done")
    assert job["error"]["cause"] == "oom"
    assert "memory_limit is 48MiB" in job["error"]["message"]
    living = [folder.name.rpartition(".")[0].partition("-")[2] for folder in cgroup_folder.glob("worker-*")]
    assert sorted(name.partition("-")[2] for name in living) == ["eats.0", "other.0"]
