"""Cgroups of our own: found where they are given, killed as one, and never left behind."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from supervisor.errors import StartError
from supervisor.pool import cgroups as module
from supervisor.pool.cgroups import Cgroup, Cgroups
from tests.crash.house import until

INSTANCE = "fe01.1f3a"
MIB = 1024 * 1024
NOBODY = 65534
# A process that enters the cgroup argv[1] and becomes the user argv[2] before it looks for a place; what it finds, what
# it logs, and where it is then.
LOOKS = """
import os, sys
from pathlib import Path
from structlog.testing import capture_logs
from supervisor.pool.cgroups import Cgroups
(Path(sys.argv[1]) / "cgroup.procs").write_text(str(os.getpid()))
os.setuid(int(sys.argv[2]))
with capture_logs() as logs:
    found = Cgroups.find("auto" if sys.argv[3] == "auto" else Path(sys.argv[3]), "fe01.1f3a")
print(found.folder if found else None)
print(logs[0].get("reason", logs[0].get("memory")))
print([line[3:] for line in open("/proc/self/cgroup").read().splitlines() if line.startswith("0::")][0])
if found:
    worker = found.create("p.0", None)
    worker.remove()
"""


@pytest.fixture
def cgroups(cgroup_folder: Path) -> Cgroups:
    return found(cgroup_folder)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "300"])
    yield process
    process.kill()
    process.wait()


def found(folder: Path, instance: str = INSTANCE) -> Cgroups:
    cgroups = Cgroups.find(folder, instance)
    assert cgroups is not None
    return cgroups


def made(cgroups: Cgroups, name: str, memory_limit: int | None = None) -> Cgroup:
    cgroup = cgroups.create(name, memory_limit)
    assert cgroup is not None
    return cgroup


def folders(below: Path) -> list[str]:
    return sorted(entry.name for entry in below.iterdir() if entry.is_dir())


def looked(folder: Path, uid: int = 0, setting: str = "auto") -> tuple[str, str, str]:
    """What a process in `folder` finds, why, and the last part of the cgroup that it is in then."""
    done = subprocess.run(
        [sys.executable, "-c", LOOKS, folder, str(uid), setting], capture_output=True, text=True, timeout=60, check=True
    )
    place, why, own = done.stdout.splitlines()
    return place, why, own.rpartition("/")[2]


# -- where ---------------------------------------------------------------------------------------------------------


def test_auto_leaves_a_cgroup_alone_that_was_not_delegated(cgroup_folder: Path) -> None:
    place, why, own = looked(cgroup_folder)
    assert (place, own) == ("None", cgroup_folder.name)
    assert why == f"{cgroup_folder} is not delegated to stoker: its systemd unit needs Delegate=yes"
    assert folders(cgroup_folder) == []


def test_auto_moves_the_daemon_into_a_leaf_of_what_systemd_delegates(cgroup_folder: Path) -> None:
    os.setxattr(cgroup_folder, "user.delegate", b"1")
    place, _, own = looked(cgroup_folder)
    assert (place, own) == (str(cgroup_folder), "daemon")
    assert folders(cgroup_folder) == ["daemon"]


def test_auto_knows_a_daemon_that_systemd_has_started_in_its_leaf(cgroup_folder: Path) -> None:
    os.setxattr(cgroup_folder, "user.delegate", b"1")
    (cgroup_folder / "daemon").mkdir()
    assert looked(cgroup_folder / "daemon")[0] == str(cgroup_folder)


def test_auto_takes_no_cgroup_beside_its_own_in_what_was_delegated_to_another(cgroup_folder: Path) -> None:
    os.setxattr(cgroup_folder, "user.delegate", b"1")
    (cgroup_folder / "container").mkdir()
    assert looked(cgroup_folder / "container")[0] == "None"


def test_auto_takes_what_was_made_for_the_daemons_user(cgroup_folder: Path) -> None:
    give(cgroup_folder, NOBODY)
    assert looked(cgroup_folder, NOBODY)[::2] == (str(cgroup_folder), "daemon")


def test_auto_leaves_alone_what_the_users_own_manager_has_made(cgroup_folder: Path) -> None:
    give(cgroup_folder, NOBODY)
    (cgroup_folder / "app.scope").mkdir()
    give(cgroup_folder / "app.scope", NOBODY)
    assert looked(cgroup_folder / "app.scope", NOBODY)[::2] == ("None", "app.scope")


def test_auto_believes_the_unit_of_a_users_service(cgroup_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    give(cgroup_folder, NOBODY)
    service = cgroup_folder / "stoker.service"
    service.mkdir()
    give(service, NOBODY)
    monkeypatch.setenv("STOKER_DELEGATED", "yes")
    assert looked(service, NOBODY)[::2] == (str(service), "daemon")


def give(folder: Path, uid: int) -> None:
    for path in (folder, folder / "cgroup.procs", folder / "cgroup.subtree_control"):
        os.chown(path, uid, -1)


def test_a_path_leaves_the_daemon_where_it_is(cgroup_folder: Path) -> None:
    workers, elsewhere = cgroup_folder / "workers", cgroup_folder / "elsewhere"
    workers.mkdir()
    elsewhere.mkdir()
    assert looked(elsewhere, setting=str(workers))[::2] == (str(workers), "elsewhere")
    assert folders(workers) == []


def test_a_path_where_the_kernel_would_not_let_workers_in_is_not_used(cgroup_folder: Path) -> None:
    workers = cgroup_folder / "workers"
    workers.mkdir()
    give(workers, NOBODY)
    place, why, _ = looked(cgroup_folder, NOBODY, str(workers))
    assert place == "None"
    assert why == (
        f"daemon.cgroup: workers cannot be moved to {workers}: that needs write access to {cgroup_folder}/cgroup.procs"
    )


def test_a_path_that_is_no_cgroup_is_said_to_be_none(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert Cgroups.find(tmp_path, INSTANCE) is None
    assert [(one["log_level"], one["reason"]) for one in logs] == [
        ("warning", f"daemon.cgroup: {tmp_path} is no cgroup of version 2")
    ]


def test_off_is_off_and_not_worth_a_line() -> None:
    with capture_logs() as logs:
        assert Cgroups.find("off", INSTANCE) is None
    assert logs == []


# -- one for each worker -------------------------------------------------------------------------------------------


def test_a_person_sees_whose_a_cgroup_is(cgroups: Cgroups) -> None:
    made(cgroups, "thumbs.0")
    assert folders(cgroups.folder) == [f"worker-{INSTANCE}-thumbs.0.1"]


def test_a_successor_does_not_get_its_predecessors_cgroup(cgroups: Cgroups) -> None:
    assert made(cgroups, "p.0").folder != made(cgroups, "p.0").folder


def test_what_is_in_it_is_killed_as_one(cgroups: Cgroups, sleeper: "subprocess.Popen[bytes]") -> None:
    cgroup = made(cgroups, "p.0")
    assert not cgroup.populated()
    cgroup.attach(sleeper.pid)
    assert cgroup.populated()
    assert cgroup.pids() == [sleeper.pid]
    cgroup.kill()
    assert sleeper.wait(10) == -9
    until(lambda: not cgroup.populated(), "the kernel to notice")


def test_without_the_memory_controller_it_still_kills(cgroups: Cgroups, sleeper: "subprocess.Popen[bytes]") -> None:
    if cgroups.memory:
        pytest.skip("this machine's cgroup v2 has the memory controller: tests/systemd has the test that uses it")
    cgroup = made(cgroups, "p.0", 50 * MIB)
    assert not cgroup.limited
    assert (cgroup.oom_kills(), cgroup.peak(), cgroup.usage()) == (0, None, None)
    cgroup.attach(sleeper.pid)
    cgroup.kill()
    assert sleeper.wait(10) == -9


@pytest.mark.parametrize(("events", "own"), [("oom 0\noom_kill 1\n", False), ("oom 1\noom_kill 1\n", True)])
def test_a_limit_above_it_is_told_from_its_own(tmp_path: Path, events: str, own: bool) -> None:
    (tmp_path / "memory.events").write_text(events)
    cgroup = Cgroup(tmp_path, limited=True)
    assert (cgroup.oom_kills(), cgroup.reached_its_limit()) == (1, own)


def test_it_is_removed_with_what_the_worker_made_below_it(cgroups: Cgroups) -> None:
    cgroup = made(cgroups, "p.0")
    (cgroup.folder / "own" / "deeper").mkdir(parents=True)
    cgroup.remove()
    cgroup.remove()
    assert folders(cgroups.folder) == []
    cgroup.kill()
    assert (cgroup.populated(), cgroup.pids()) == (False, [])


def test_one_that_cannot_be_removed_yet_goes_when_the_next_is_made(
    cgroups: Cgroups, sleeper: "subprocess.Popen[bytes]"
) -> None:
    cgroup = made(cgroups, "p.0")
    cgroup.attach(sleeper.pid)
    cgroup.remove()
    assert cgroup.folder.is_dir()
    cgroup.kill()
    until(lambda: not cgroup.populated(), "the end of what lives in it")
    made(cgroups, "p.1").remove()
    assert folders(cgroups.folder) == []


def test_one_that_cannot_be_made_is_said_once_and_the_next_is_tried(cgroups: Cgroups) -> None:
    limit = cgroups.folder / "cgroup.max.descendants"
    limit.write_text("0")
    with capture_logs() as logs:
        assert [cgroups.create("p.0", None) for _ in range(3)] == [None] * 3
    assert [(one["event"], one["worker"], one["error"]) for one in logs] == [
        ("cgroup_not_made", "p.0", os.strerror(errno.EAGAIN))
    ]
    limit.write_text("max")
    made(cgroups, "p.0")


# -- of an earlier daemon ------------------------------------------------------------------------------------------


def test_what_an_earlier_daemon_left_is_ended_and_what_is_not_its_own_is_not(
    cgroup_folder: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    before, other = found(cgroup_folder), made(found(cgroup_folder, "fe01.1f3b"), "p.0")
    made(before, "p.1")
    left = made(before, "p.0")
    (left.folder / "own").mkdir()
    with subprocess.Popen(["sleep", "300"]) as one, subprocess.Popen(["sleep", "300"]) as two:
        left.attach(one.pid)
        Cgroup(left.folder / "own").attach(two.pid)
        other.attach(sleeper.pid)
        assert found(cgroup_folder).end_previous() == 2
        assert [one.wait(10), two.wait(10), sleeper.poll()] == [-9, -9, None]
    assert folders(cgroup_folder) == [other.folder.name]


def test_a_start_is_refused_beside_processes_that_do_not_die(
    cgroups: Cgroups, sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    made(cgroups, "p.0").attach(sleeper.pid)
    monkeypatch.setattr(module, "PATIENCE", 0.01)
    monkeypatch.setattr(Cgroup, "kill", lambda self: time.sleep(0.001))
    with pytest.raises(StartError, match=rf"previous run do not die \(pids {sleeper.pid}\)"):
        cgroups.end_previous()
