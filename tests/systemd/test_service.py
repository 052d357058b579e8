"""A worker's cgroup, where systemd delegates the service's own (Delegate=yes in the unit that we ship)."""

import os
import re
import select
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from protocol.client import Client
from tests.crash.house import until
from tests.pool.trees import programs
from tests.systemd.service import Service, service

GRACE = 0.5  # seconds
# At its first job: a grandchild that is nobody's child, has a session of its own, no pipe, an empty environment, and no
# ear for SIGTERM. Of itself it closes the pipes when it gets one, and stays: earlier, that would be its end.
HIDES = """
read job
env -i setsid -f sh -c "trap '' TERM; exec sleep 300" </dev/null >/dev/null 2>&1
trap 'exec <&- >&- 2>&-' TERM
while :; do sleep 300; done
"""
POOLS = {
    "hides": {"command": ["sh", "-c", HIDES], "kill_grace": f"{GRACE}s"},
    "echo": {"command": ["sh", "-c", 'while read job; do echo "{\\"status\\":\\"ok\\"}"; done'], "size": 2},
}
WORKERS = ["echo.0", "echo.1", "hides.0"]
WHOLE = [".", "daemon", *WORKERS]


@pytest.fixture
def stoker() -> Iterator[Service]:
    with service(POOLS, "RestartSec=0") as installed:
        installed.systemctl("start")
        until(lambda: [len(of(installed, name)) for name in WORKERS] == [1, 1, 1], "all workers in their cgroups")
        yield installed


def names(stoker: Service) -> list[str]:
    """Of the cgroups, without what only tells one daemon's from another's, and a worker from its predecessor."""
    return sorted(re.sub(r"worker-[0-9a-f.]+-(.*)\.\d+", r"\1", name) for name in stoker.tree())


def of(stoker: Service, name: str) -> list[int]:
    """The processes of the worker `name` (POOL.SLOT)."""
    return [pid for path, pids in stoker.tree().items() if f"-{name}." in path for pid in pids]


@contextmanager
def watched(pids: Iterable[int]) -> Iterator[Callable[[], int]]:
    """Tells how many of these processes have ended by now."""
    with ExitStack() as stack:
        poll = select.poll()
        for pid in pids:
            hold = os.pidfd_open(pid)
            stack.callback(os.close, hold)
            poll.register(hold, select.POLLIN)
        yield lambda: len(poll.poll(0))


def hide(stoker: Service, client: Client) -> str:
    """A job whose worker has hidden a grandchild; its id."""
    job = client.submit("hides", None)["id"]
    until(lambda: programs(of(stoker, "hides.0")) == ["sh", "sleep", "sleep"], "the grandchild, and the worker's child")
    return str(job)


def test_each_worker_has_a_cgroup_and_nothing_hides_from_a_cancel(stoker: Service) -> None:
    assert names(stoker) == WHOLE
    assert len(of(stoker, "echo.0")) == len(of(stoker, "hides.0")) == len(stoker.tree()["daemon"]) == 1
    with stoker.client() as client:
        job = hide(stoker, client)
        with watched(of(stoker, "hides.0")) as ended:
            began = time.monotonic()
            assert client.cancel(job)["state"] == "cancelled"
            assert GRACE <= time.monotonic() - began < GRACE + 0.5
            assert ended() == 3
        until(lambda: len(of(stoker, "hides.0")) == 1, "its successor")
        assert names(stoker) == WHOLE


def test_a_stop_leaves_no_process_and_no_cgroup(stoker: Service) -> None:
    with stoker.client() as client:
        hide(stoker, client)
    everybody = [pid for pids in stoker.tree().values() for pid in pids]
    with watched(everybody) as ended:
        stoker.systemctl("stop")
        assert ended() == len(everybody) == 6
    assert "with signal SIGKILL" not in stoker.box.journal()  # stoker has done it, and not systemd after it
    assert not stoker.cgroup.exists()
    assert stoker.property("Result") == "success"


def test_after_a_crash_the_next_daemon_has_the_same_cgroup_with_new_workers(stoker: Service) -> None:
    with stoker.client() as client:
        hide(stoker, client)
    before = [pid for pids in stoker.tree().values() for pid in pids]
    with watched(before) as ended:
        stoker.box.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "stoker.service")
        until(lambda: stoker.property("NRestarts") == "1", "the restart")
        until(lambda: stoker.property("StatusText").startswith("2 pools, 3/3 workers"), "the next daemon")
        assert ended() == len(before) == 6
    assert names(stoker) == WHOLE


def test_what_was_not_delegated_is_left_alone() -> None:
    with service(POOLS, "Delegate=no") as stoker:
        stoker.systemctl("start")
        until(lambda: stoker.property("StatusText").startswith("2 pools, 3/3 workers"), "all workers")
        assert {path: len(pids) for path, pids in stoker.tree().items()} == {".": 4}
        [reason] = [line["reason"] for line in stoker.log() if line["event"] == "cgroups_not_used"]
        assert reason.endswith(
            "/system.slice/stoker.service is not delegated to stoker: its systemd unit needs Delegate=yes"
        )
