"""The end of a worker's whole tree, with a cgroup and without: asked first, then killed, and nothing survives."""

import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from supervisor.core.blame import Why
from supervisor.pool.cgroups import Cgroup, Cgroups
from supervisor.pool.child import Child
from supervisor.pool.ending import end_tree
from supervisor.pool.launch import spawn
from supervisor.pool.tree import members
from tests.crash.house import until

LONG = 30.0  # seconds of grace that no test is meant to use up
# Each begins when it is told to, so that it is in its cgroup before. This one's grandchild is nobody's child, has a
# session of its own, no pipe, an empty environment, and no ear for SIGTERM; nor has it itself.
HIDES = """
trap '' TERM; read go
env -i setsid -f sleep 300 </dev/null >/dev/null 2>&1
exec <&- >&- 2>&-
while :; do sleep 300; done
"""
# A program that takes its time to clean up, for which it needs the file `let`.
CLEANS_UP = (
    "trap 'until [ -e let ]; do sleep 0.01; done; touch cleaned; exit' TERM; touch up; while :; do sleep 0.01; done"
)
FORKS_ON = "read go; trap '' TERM; grow() { while :; do sleep 300 & sleep 0.001; done; }; grow & grow & wait"

Start = Callable[[str], Child]


@pytest.fixture
def cgroup(cgroup_folder: Path) -> Cgroup:
    cgroups = Cgroups.find(cgroup_folder, "fe01.1f3a")
    assert cgroups is not None
    cgroup = cgroups.create("p.0", None)
    assert cgroup is not None
    return cgroup


@pytest.fixture(params=["with a cgroup", "without"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """`start(script)`: a shell that goes on once it is where it belongs; ended with the test."""
    children: list[Child] = []
    cgroup = request.getfixturevalue("cgroup") if request.param == "with a cgroup" else None

    def start(script: str) -> Child:
        child = spawn(["sh", "-c", script], cwd=tmp_path, env=dict(os.environ), mark=f"test/{os.urandom(4).hex()}")
        children.append(child)
        if cgroup is not None:
            cgroup.attach(child.pid)
            child.cgroup = cgroup
        child.write(b"go\n")
        return child

    yield start
    for child in children:
        child.signal(signal.SIGKILL)
        child.reap()


async def ended(child: Child, why: Why, kill_grace: float, meanwhile: Callable[[], None] = lambda: None) -> float:
    """Seconds that it took."""
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(child.watch)
        nursery.start_soon(end_tree, child, why, kill_grace)
        await trio.testing.wait_all_tasks_blocked()
        meanwhile()
    return trio.current_time() - began


@pytest.mark.parametrize("start", ["with a cgroup"], indirect=True)
async def test_what_hides_from_everything_else_is_gone_half_a_second_after_the_grace(
    start: Start, cgroup: Cgroup
) -> None:
    child = start(HIDES)
    until(lambda: len(cgroup.pids()) == 3, "the grandchild, and what the shell sleeps by")
    [hidden] = set(cgroup.pids()) - {child.pid} - {one.pid for one in members(child.pid, child.mark)}
    dead = select.poll()
    dead.register(hold := os.pidfd_open(hidden), select.POLLIN)
    took = await ended(child, Why.CANCEL, 0.3)
    assert dead.poll(0)
    os.close(hold)
    assert 0.3 <= took < 0.3 + 0.5
    assert not cgroup.populated()


async def test_the_grace_is_the_programs_too_when_its_wrapper_dies_at_once(start: Start, tmp_path: Path) -> None:
    child = start(f'read go; sh -c "{CLEANS_UP}"; true')
    until((tmp_path / "up").exists, "the program")
    took = await ended(child, Why.CANCEL, LONG, (tmp_path / "let").touch)
    assert (tmp_path / "cleaned").exists()
    assert took < LONG / 2


async def test_a_helper_with_a_group_of_its_own_is_asked_when_the_leader_has_gone(start: Start, tmp_path: Path) -> None:
    child = start(f'read go; setsid sh -c "{CLEANS_UP}"; true')
    until((tmp_path / "up").exists, "the helper")
    took = await ended(child, Why.CANCEL, LONG, (tmp_path / "let").touch)
    assert (tmp_path / "cleaned").exists()
    assert took < LONG / 2


async def test_what_does_not_go_when_asked_is_killed_after_the_grace(start: Start, tmp_path: Path) -> None:
    child = start(f'read go; setsid sh -c "{CLEANS_UP}"; true')
    until((tmp_path / "up").exists, "the helper")
    took = await ended(child, Why.CANCEL, 0.2)
    assert not (tmp_path / "cleaned").exists()
    assert 0.2 <= took < 0.2 + 0.5


async def test_a_crash_gives_what_is_left_no_grace(start: Start, tmp_path: Path) -> None:
    child = start(f'read go; setsid sh -c "{CLEANS_UP}" & until [ -e up ]; do sleep 0.01; done; kill -SEGV $$')
    took = await ended(child, Why.EXITED, LONG)
    assert not (tmp_path / "cleaned").exists()
    assert took < LONG / 2
    assert members(child.pid, child.mark) == []


async def test_a_tree_that_goes_on_growing_is_gone(start: Start) -> None:
    child = start(FORKS_ON)
    until(lambda: len(members(child.pid, child.mark)) > 20, "the tree to begin growing")
    assert await ended(child, Why.TIMEOUT, 0.1) < 0.1 + 2
    assert members(child.pid, child.mark) == []


async def test_one_that_closes_up_when_it_is_asked_politely_costs_no_time(start: Start) -> None:
    child = start("read go; read more")
    assert await ended(child, Why.STOP, LONG) < 1.0
