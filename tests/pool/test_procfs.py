"""Memory of a whole tree, by what /proc says."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from supervisor.pool import procfs
from supervisor.pool.tree import end_session

MIB = 1024 * 1024
# 50 MiB of its own; a child that shares them; a grandchild with 20 more.
FAMILY = """
import os, sys, threading
mine = os.urandom(1 << 20) * 50
def family():
    if os.fork() == 0:
        if os.fork() == 0:
            more = os.urandom(1 << 20) * 20
            print("up", flush=True)
        sys.stdin.read()
        os._exit(0)
%s
sys.stdin.read()
"""
FORKS = "family()"
FORKS_IN_A_THREAD = "threading.Thread(target=family).start()"


@contextmanager
def family(how: str = FORKS) -> Iterator[int]:
    """The leader's pid, once all are as large as they get."""
    with subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", FAMILY % how], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == b"up\n"
        yield leader.pid
        assert leader.stdin is not None
        leader.stdin.close()


@pytest.mark.parametrize("how", [FORKS, FORKS_IN_A_THREAD])
def test_the_sum_counts_what_is_shared_for_each_and_the_share_counts_it_once(how: str) -> None:
    with family(how) as leader:
        rss, pss = procfs.tree_rss(leader), procfs.tree_pss(leader)
    assert rss is not None
    assert pss is not None
    assert 170 * MIB < rss < 230 * MIB
    assert 70 * MIB < pss < 110 * MIB


def test_without_the_kernels_list_of_children_the_session_is_the_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procfs, "_TELLS_CHILDREN", False)
    with subprocess.Popen(
        ["sh", "-c", "sleep 300 & sleep 300 & echo up; wait"], stdout=subprocess.PIPE, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        alone, together = procfs.rss(leader.pid), procfs.tree_rss(leader.pid)
        end_session(leader.pid)
    assert alone is not None
    assert together is not None
    assert together > alone


def test_each_of_a_large_family_counts_once_and_costs_no_more_than_in_a_small_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each has two children that the kernel names twice, as it may where a number is given anew meanwhile."""
    size = 100_000
    monkeypatch.setattr(procfs, "_TELLS_CHILDREN", True)
    monkeypatch.setattr(procfs, "_children", lambda pid: [n for n in (2 * pid, 2 * pid + 1, 2 * pid) if n <= size])
    began = time.process_time()
    found = procfs._descendants(1)
    assert time.process_time() - began < 10, "a look through all that were found, for each of them, takes minutes"
    assert found == list(range(2, size + 1))


@pytest.mark.parametrize("memory", [procfs.tree_rss, procfs.tree_pss])
def test_nobody_has_no_memory(memory: Callable[[int], int | None]) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    assert memory(gone.pid) is None


def test_what_may_not_be_looked_into_counts_in_full() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    look = (
        "import os, sys; from supervisor.pool import procfs; os.setuid(65534); pid = int(sys.argv[1]);"
        "print(procfs.tree_pss(pid), procfs.rss(pid))"
    )
    with subprocess.Popen(["sleep", "300"]) as roots:
        argv = [sys.executable, "-c", look, str(roots.pid)]
        seen = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.split()
        mine = procfs.tree_pss(roots.pid)
        roots.kill()
    assert seen[0] == seen[1] != "None"
    assert mine is not None
    assert mine < int(seen[0])
