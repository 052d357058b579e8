"""The end of a worker's whole tree, with a cgroup and without: asked first, then killed, and nothing survives."""

import os
import select
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from supervisor.core.blame import Why
from supervisor.pool.cgroups import Cgroup, Cgroups
from supervisor.pool.child import Child
from supervisor.pool.ending import LAST_LOOK
from supervisor.pool.tree import members
from tests.crash.house import until
from tests.pool.trees import ended, starting

LONG = 30.0  # seconds of grace that no test is meant to use up
# Each begins when it is told to, so that it is in its cgroup before. This one's grandchild is nobody's child, has a
# session of its own, no pipe, an empty environment, and no ear for SIGTERM; nor has it itself.
HIDES = """
trap '' TERM; read go
env -i setsid -f sleep 300 </dev/null >/dev/null 2>&1
exec <&- >&- 2>&-
while :; do sleep 300; done
"""
# A program that has a child clean up for it, for which that needs the file `let`; asked twice, it does not.
CLEANS_UP = "trap 'trap - TERM; sh finish.sh; exit' TERM; touch up; while :; do sleep 0.01; done"
FINISH = "touch finishing; until [ -e let ]; do sleep 0.01; done; touch cleaned"
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
    """`start(script)`: a shell that goes on once it is where it belongs."""
    cgroup = request.getfixturevalue("cgroup") if request.param == "with a cgroup" else None
    (tmp_path / "cleans_up.sh").write_text(CLEANS_UP)
    (tmp_path / "finish.sh").write_text(FINISH)
    with starting(tmp_path) as start:
        yield lambda script: start(["sh", "-c", script], cgroup)


@pytest.mark.parametrize("start", ["with a cgroup"], indirect=True)
async def test_what_hides_from_everything_else_is_gone_half_a_second_after_the_grace(
    start: Start, cgroup: Cgroup
) -> None:
    child = start(HIDES)

    def out_of_sight() -> list[int]:
        seen = {child.pid, *(one.pid for one in members(child.pid, child.mark))}
        return [pid for pid in cgroup.pids() if pid not in seen]

    until(lambda: len(cgroup.pids()) == 3 and len(out_of_sight()) == 1, "the grandchild, and what the shell sleeps by")
    [hidden] = out_of_sight()
    dead = select.poll()
    dead.register(hold := os.pidfd_open(hidden), select.POLLIN)
    took = await ended(child, Why.CANCEL, 0.3)
    assert dead.poll(0)
    os.close(hold)
    assert 0.3 <= took < 0.3 + 0.5
    assert not cgroup.populated()


LEAVES = """
read go; echo $$ > elsewhere.pid
echo 0 > ELSEWHERE/cgroup.procs
%s
touch out; while :; do sleep 0.01; done
"""


def leave(start: Start, cgroup: Cgroup, tmp_path: Path, how: str) -> tuple[Child, int]:
    """A worker whose child has left its cgroup and its session, and that child."""
    elsewhere = cgroup.folder.parent / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "leaves.sh").write_text(LEAVES.replace("ELSEWHERE", str(elsewhere)) % how)
    child = start("read go; echo go | setsid sh leaves.sh & while :; do sleep 0.01; done")
    until((tmp_path / "out").exists, "the child to leave")
    pid = int((tmp_path / "elsewhere.pid").read_text())
    assert pid not in cgroup.pids()
    return child, pid


@pytest.mark.parametrize("why", [Why.CANCEL, Why.EXITED], ids=["cancel", "crash"])
@pytest.mark.parametrize("start", ["with a cgroup"], indirect=True)
async def test_what_has_left_the_cgroup_is_gone_too(start: Start, cgroup: Cgroup, tmp_path: Path, why: Why) -> None:
    child, pid = leave(start, cgroup, tmp_path, "trap '' TERM")
    hold = os.pidfd_open(pid)
    dead = select.poll()
    dead.register(hold, select.POLLIN)
    took = await ended(child, why, 0.3)
    assert dead.poll(0)
    os.close(hold)
    assert took < 0.3 + 0.5


@pytest.mark.parametrize("start", ["with a cgroup"], indirect=True)
async def test_what_has_left_the_cgroup_is_asked_first_and_has_the_grace(
    start: Start, cgroup: Cgroup, tmp_path: Path
) -> None:
    child, _ = leave(start, cgroup, tmp_path, "trap 'sh finish.sh; exit' TERM")
    took = await ended(child, Why.CANCEL, LONG, partial(let_it_finish, tmp_path))
    assert (tmp_path / "cleaned").exists()
    assert took < LONG / 2
    assert members(child.pid, child.mark) == []


async def let_it_finish(folder: Path) -> None:
    """After some looks at what is left, so that a wrong word to what cleans up would be its end."""
    with trio.fail_after(LONG):
        while not (folder / "finishing").exists():  # noqa: ASYNC110
            await trio.sleep(0.005)
    await trio.sleep(2 * LAST_LOOK)
    (folder / "let").touch()


async def test_the_grace_is_the_programs_too_when_its_wrapper_dies_at_once(start: Start, tmp_path: Path) -> None:
    child = start("read go; sh cleans_up.sh; true")
    until((tmp_path / "up").exists, "the program")
    took = await ended(child, Why.CANCEL, LONG, partial(let_it_finish, tmp_path))
    assert (tmp_path / "cleaned").exists()
    assert took < LONG / 2


async def test_a_helper_with_a_group_of_its_own_is_asked_when_the_leader_has_gone(start: Start, tmp_path: Path) -> None:
    child = start("read go; setsid sh cleans_up.sh; true")
    until((tmp_path / "up").exists, "the helper")
    took = await ended(child, Why.CANCEL, LONG, partial(let_it_finish, tmp_path))
    assert (tmp_path / "cleaned").exists()
    assert took < LONG / 2


async def test_what_does_not_go_when_asked_is_killed_after_the_grace(start: Start, tmp_path: Path) -> None:
    child = start("read go; setsid sh cleans_up.sh; true")
    until((tmp_path / "up").exists, "the helper")
    took = await ended(child, Why.CANCEL, 0.2)
    assert not (tmp_path / "cleaned").exists()
    assert 0.2 <= took < 0.2 + 0.5


async def test_a_crash_gives_what_is_left_no_grace(start: Start, tmp_path: Path) -> None:
    child = start("read go; setsid sh cleans_up.sh & until [ -e up ]; do sleep 0.01; done; kill -SEGV $$")
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
