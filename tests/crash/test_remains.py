"""Ending what a dead daemon left behind: all of that, and nothing else."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.errors import StartError
from supervisor.pool import procfs, remains
from supervisor.pool.remains import Remains
from supervisor.pool.tree import end_processes, end_session, members, signal_group
from tests.crash.house import until

INSTANCE = "fe01.1f3a"
# A wrapper whose child does the work, and ignores what is asked of it.
WRAPPER = "trap '' TERM; sleep 300 & sleep 300 & wait; true"

Spawn = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """`spawn(argv, env=None)`: a process in a session of its own, as workers are; ended with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def spawn(argv: list[str], env: dict[str, str] | None = None) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(argv, start_new_session=True, env=env)
        started.append(process)
        return process

    yield spawn
    for process in started:
        end_session(process.pid)
        process.kill()
        process.wait()


@pytest.fixture
def family(spawn: Spawn) -> "subprocess.Popen[bytes]":
    """A leader with two children."""
    leader = spawn(["sh", "-c", WRAPPER])
    until(lambda: len(members(leader.pid)) == 2, "the children of the wrapper")
    return leader


def made(folder: Path, instance: str = INSTANCE) -> Remains:
    """The record as the next start finds it."""
    folder.mkdir(exist_ok=True)
    return Remains(folder, instance)


def write(folder: Path, leader: int, started: int, boot: str) -> None:
    (folder / f"{leader}.{started}.{boot}.{INSTANCE}").touch()


def alive(pid: int) -> bool:
    found = procfs.stat(pid)
    return found is not None and found.state not in "ZX"


def started_at(pid: int) -> int:
    found = procfs.stat(pid)
    assert found is not None
    return found.started


# -- the record --------------------------------------------------------------------------------------------------------


def test_a_recorded_session_is_ended_with_all_its_members(tmp_path: Path, family: "subprocess.Popen[bytes]") -> None:
    children = [one.pid for one in members(family.pid)]
    made(tmp_path).remember(family.pid)
    assert made(tmp_path).end_previous() == 3
    assert not any(alive(pid) for pid in [family.pid, *children])
    assert os.listdir(tmp_path) == []


def test_the_members_are_ended_also_when_their_leader_has_died(
    tmp_path: Path, family: "subprocess.Popen[bytes]"
) -> None:
    children = [one.pid for one in members(family.pid)]
    made(tmp_path).remember(family.pid)
    family.kill()
    family.wait()
    assert all(alive(pid) for pid in children)
    assert made(tmp_path).end_previous() == 2
    assert not any(alive(pid) for pid in children)


def test_a_number_that_was_given_to_another_process_spares_it(
    tmp_path: Path, family: "subprocess.Popen[bytes]"
) -> None:
    record = made(tmp_path)
    write(tmp_path, family.pid, started_at(family.pid) - 1, procfs.boot_id())
    assert record.end_previous() == 0
    assert alive(family.pid)
    assert len(members(family.pid)) == 2
    assert os.listdir(tmp_path) == []


def test_a_record_of_another_boot_spares_everybody(tmp_path: Path, family: "subprocess.Popen[bytes]") -> None:
    record = made(tmp_path)
    write(tmp_path, family.pid, started_at(family.pid), "0b5b5c2e-4d1a-4c8e-9f0e-5a8c3f1d2e77")
    assert record.end_previous() == 0
    assert alive(family.pid)
    assert os.listdir(tmp_path) == []


def test_a_copy_of_the_folder_spares_the_workers_of_the_original(
    tmp_path: Path, family: "subprocess.Popen[bytes]"
) -> None:
    made(tmp_path / "original").remember(family.pid)
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    assert made(tmp_path / "copy", "fe01.2b4c").end_previous() == 0
    assert alive(family.pid)
    assert os.listdir(tmp_path / "copy") == []


def test_processes_older_than_their_session_are_not_of_it(tmp_path: Path, family: "subprocess.Popen[bytes]") -> None:
    """Whose leader is gone, and whose number therefore says nothing by itself."""
    record = made(tmp_path)
    started = started_at(family.pid)
    family.kill()
    family.wait()
    write(tmp_path, family.pid, started + 10_000, procfs.boot_id())
    assert record.end_previous() == 0
    assert len(members(family.pid)) == 2


@pytest.mark.parametrize("name", ["x", "1.2", "1.2.3", "a.2.b.c", "1.b.c.d", "٣.2.b.c", ".hidden"])
def test_what_is_no_record_is_cleared_away(tmp_path: Path, name: str) -> None:
    record = made(tmp_path)
    (tmp_path / name).touch()
    assert record.end_previous() == 0
    assert os.listdir(tmp_path) == []


def test_the_folder_is_made_at_the_first_start(tmp_path: Path) -> None:
    record = Remains(tmp_path / "a" / "children", INSTANCE)
    assert record.end_previous() == 0
    assert os.listdir(record.folder) == []


def test_what_ended_in_order_is_forgotten(tmp_path: Path, family: "subprocess.Popen[bytes]") -> None:
    record = made(tmp_path)
    name = record.remember(family.pid)
    assert name is not None
    assert os.listdir(tmp_path) == [name]
    record.forget(name)
    assert os.listdir(tmp_path) == []
    record.forget(name)
    assert made(tmp_path).end_previous() == 0
    assert alive(family.pid)


def test_a_child_that_has_died_already_is_not_recorded(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert made(tmp_path).remember(gone.pid) is None
    assert os.listdir(tmp_path) == []


# -- the mark in the environment ---------------------------------------------------------------------------------------


def test_a_process_that_left_its_session_is_found_by_its_environment(tmp_path: Path, spawn: Spawn) -> None:
    ours = spawn(["sleep", "300"], env={**os.environ, "STOKER_INSTANCE": INSTANCE})
    assert made(tmp_path).end_previous() == 1
    assert ours.wait(10) == -signal.SIGKILL


@pytest.mark.parametrize("other", ["", "fe01.1f3", "fe01.1f3a0", "fe01.1f3b"])
def test_workers_of_another_state_folder_are_spared(tmp_path: Path, spawn: Spawn, other: str) -> None:
    theirs = spawn(["sleep", "300"], env={**os.environ, "STOKER_INSTANCE": other, "X": f"STOKER_INSTANCE={INSTANCE}"})
    assert made(tmp_path).end_previous() == 0
    assert alive(theirs.pid)


def test_a_daemon_that_carries_the_mark_itself_does_not_end_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that was started by hand from a worker's shell."""
    monkeypatch.setattr(procfs, "has_environ", lambda pid, entry: pid == os.getpid())
    assert made(tmp_path).end_previous() == 0


# -- what will not die -------------------------------------------------------------------------------------------------


def test_a_survivor_keeps_the_daemon_from_starting_and_the_record_in_place(
    tmp_path: Path, family: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = sorted([family.pid, *(one.pid for one in members(family.pid))])
    made(tmp_path).remember(family.pid)
    monkeypatch.setattr(remains, "PATIENCE", 0.01)
    monkeypatch.setattr(remains, "end_processes", lambda victims, deadline: time.sleep(0.001))
    with pytest.raises(StartError) as refusal:
        made(tmp_path).end_previous()
    named = ", ".join(map(str, pids))
    assert refusal.value.message == (
        f"workers of the previous run do not die (pids {named}): end them by hand, then start again"
    )
    assert len(os.listdir(tmp_path)) == 1
    monkeypatch.undo()
    assert made(tmp_path).end_previous() == 3


# -- a tree of ours ----------------------------------------------------------------------------------------------------


def test_ending_a_session_leaves_its_leader_to_be_reaped(family: "subprocess.Popen[bytes]") -> None:
    children = [one.pid for one in members(family.pid)]
    assert end_session(family.pid) == []
    assert not any(alive(pid) for pid in children)
    until(lambda: family.poll() is not None, "the wrapper's end, which has nobody left to wait for")
    assert family.returncode == 0


def test_a_tree_that_grows_while_it_is_ended_is_ended_whole(spawn: Spawn) -> None:
    """Each of its processes starts two more, until a hundred have been started, and lives on."""
    grow = 'n=$1; sleep 300 & [ $n -gt 1 ] && { sh -c "$0" "$0" $((n / 2)) & sh -c "$0" "$0" $((n / 2)) & }; wait'
    leader = spawn(["sh", "-c", grow, grow, "64"])
    until(lambda: len(members(leader.pid)) > 4, "the tree to begin growing")
    leader.kill()
    assert end_session(leader.pid) == []
    assert members(leader.pid) == []


def test_what_outlives_our_patience_is_named(
    family: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    children = [one.pid for one in members(family.pid)]
    monkeypatch.setattr("supervisor.pool.tree.end_processes", lambda victims, deadline: time.sleep(0.001))
    assert end_session(family.pid, patience=0.01) == children


def test_a_number_that_changed_hands_between_looking_and_killing_spares_its_new_owner(
    family: "subprocess.Popen[bytes]",
) -> None:
    seen = procfs.stat(family.pid)
    assert seen is not None
    end_processes([seen._replace(started=seen.started - 1)], time.monotonic() + 5)
    assert alive(family.pid)
    end_processes([seen], time.monotonic() + 5)
    assert not alive(family.pid)


def test_a_group_that_is_gone_can_be_signalled_in_vain() -> None:
    gone = subprocess.Popen(["true"], start_new_session=True)
    gone.wait()
    signal_group(gone.pid, signal.SIGKILL)
