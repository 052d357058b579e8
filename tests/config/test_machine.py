"""What `machine` says may be given to a worker, against what the kernel says when it is tried."""

import os
import resource
import subprocess
import sys

import pytest

from supervisor.config import machine

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root")

# Imports first: nobody may not be able to read the sources.
HEAD = """
import os, resource
from supervisor.config.machine import highest_limit, lowest_nice

def refused(function, *arguments):
    try:
        function(*arguments)
    except (PermissionError, ValueError):  # ValueError: what Python makes of EPERM from setrlimit(2)
        return True
    return False

def become_nobody():
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)

def try_nice(is_root):
    lowest = lowest_nice(is_root)
    os.setpriority(os.PRIO_PROCESS, 0, lowest)
    assert os.getpriority(os.PRIO_PROCESS, 0) == lowest
    assert lowest == -20 or refused(os.setpriority, os.PRIO_PROCESS, 0, lowest - 1)
    return lowest

def try_nofile(is_root):
    highest = highest_limit(resource.RLIMIT_NOFILE, is_root)
    assert refused(resource.setrlimit, resource.RLIMIT_NOFILE, (highest + 1, highest + 1))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
    return highest
"""


def tried(script: str, *wrapper: str) -> str:
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", HEAD + script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_root_the_lowest_niceness_is_our_own() -> None:
    assert tried("os.nice(3); become_nobody(); print(try_nice(False))") == str(min(os.nice(0) + 3, 19))


@pytest.mark.parametrize(
    ("limit", "lowest"), [(0, 0), (1, 0), (27, -7), (40, -20), (99, -20), (resource.RLIM_INFINITY, -20)]
)
def test_a_limit_on_niceness_is_a_permission_up_to_it(limit: int, lowest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In other words than the kernel's: to raise this limit takes more than many a container's root has."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)
    assert machine.lowest_nice(False) == lowest


@needs_root
def test_root_may_lower_the_niceness_unless_its_container_forbids_it() -> None:
    assert int(tried("print(try_nice(True))")) <= os.nice(0)  # what it is depends on where this runs
    assert tried("print(try_nice(True))", "setpriv", "--bounding-set", "-sys_nice") == str(os.nice(0))


def test_without_root_the_hard_limit_is_the_highest() -> None:
    script = "resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500)); become_nobody(); print(try_nofile(False))"
    assert tried(script) == "500"


@needs_root
def test_root_gets_as_many_descriptors_as_the_system_has_unless_its_container_forbids_it() -> None:
    script = "resource.setrlimit(resource.RLIMIT_NOFILE, (500, 500)); print(try_nofile(True))"
    assert int(tried(script)) >= 500  # what it is depends on where this runs, and is tried out there
    assert tried(script, "setpriv", "--bounding-set", "-sys_resource") == "500"


def test_what_has_no_limit_is_unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1, resource.RLIM_INFINITY))
    assert machine.highest_limit(resource.RLIMIT_CORE, False) is None


@pytest.mark.parametrize("text", ["root", "0"])
def test_an_account_is_found_by_name_and_by_number(text: str) -> None:
    user, group = machine.find_user(text), machine.find_group(text)
    assert user is not None
    assert group is not None
    assert (user.pw_uid, group.gr_gid) == (0, 0)


@pytest.mark.parametrize("text", ["nosuch-account", "4294967294", "4294967295", "9" * 100, "-1", "²", "x" * 5000])
def test_an_account_that_is_not_there_is_none(text: str) -> None:
    assert machine.find_user(text) is None
    assert machine.find_group(text) is None
