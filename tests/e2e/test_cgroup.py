"""Workers with a cgroup each, in a folder that was made for stoker."""

from pathlib import Path

from tests.crash.house import until
from tests.e2e.conftest import Start
from tests.pool.conftest import cgroup_folder
from tests.pool.trees import programs

__all__ = ["cgroup_folder"]

# At its first job: a grandchild that is nobody's child, has a session of its own and an empty environment.
HIDES = "read job; env -i setsid -f sleep 300 </dev/null >/dev/null 2>&1; while :; do sleep 300; done"


def living(folder: Path) -> list[int]:
    return [int(pid) for procs in folder.glob("worker-*/cgroup.procs") for pid in procs.read_text().split()]


def test_what_a_killed_daemon_left_in_a_cgroup_is_ended_by_the_next(cgroup_folder: Path, start: Start) -> None:
    daemon = start({"p": {"command": ["sh", "-c", HIDES]}}, cgroup=str(cgroup_folder), drain_timeout="0.1s")
    with daemon.client() as client:
        client.submit("p", None)
    until(lambda: programs(living(cgroup_folder)) == ["sh", "sleep", "sleep"], "the grandchild, and the worker's child")
    daemon.kill()
    until(lambda: programs(living(cgroup_folder)) == ["sleep", "sleep"], "the worker's death, which the daemon's is")
    left = living(cgroup_folder)
    daemon.start()
    assert [row["processes_ended"] for row in daemon.log() if row["event"] == "starting"] == [0, 2]
    assert set(left).isdisjoint(living(cgroup_folder))
    until(lambda: living(cgroup_folder), "the next worker")
    assert len(list(cgroup_folder.glob("worker-*"))) == 1
