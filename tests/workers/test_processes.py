"""The programs that do something to their process: its memory, its tree, its limits."""

import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.pool import procfs
from tests.examples.conversation import Conversation, result
from tests.workers import Gate, command
from tests.workers._asking import JOB, spoken_to


def test_leaks_is_bigger_after_each_job() -> None:
    with Conversation(command("leaks")) as worker:
        pid = result(worker.ask(JOB, {"mb": 10}))["pid"]
        first = procfs.rss(pid)
        assert result(worker.ask(JOB, {"mb": 10}))["leaked"] == 20_000_000
        second = procfs.rss(pid)
        assert first is not None
        assert second is not None
        assert second - first == pytest.approx(10_000_000, abs=500_000)


@pytest.mark.parametrize("in_child", [False, True])
def test_allocates_holds_the_memory_until_it_is_told_and_gives_it_back(tmp_path: Path, in_child: bool) -> None:
    with Gate(tmp_path) as gate, Conversation(command("allocates")) as worker:
        pid = result(worker.ask(JOB, None))
        small = procfs.rss(pid)
        assert small is not None
        worker.send(JOB, {"mb": 30, "step": 3, "gate": gate.path, "in_child": in_child})
        until(lambda: memory_with_children(pid) > small + 30_000_000)
        gate.open()
        assert result(worker.receive()) == pid
        assert memory_with_children(pid) < small + 5_000_000


@pytest.mark.parametrize("unmarked", [False, True])
def test_the_daemonised_grandchild_is_in_no_session_of_the_worker_and_has_no_pipe(
    tmp_path: Path, unmarked: bool
) -> None:
    pid_file = tmp_path / "pid"
    with spoken_to("daemonises.py", tmp_path) as worker:
        worker.send(JOB, {"pid_file": str(pid_file), "unmarked": unmarked, "then": "answer", "close": [2]})
        assert worker.receive().status == "ok"
        grandchild = int(pid_file.read_text())
        try:
            assert os.listdir(f"/proc/{grandchild}/fd") == []
            assert os.getsid(grandchild) not in (os.getsid(0), os.getsid(worker._process.pid), grandchild)
            marked = procfs.has_environ(grandchild, os.fsencode(f"STOKER_TEST_FILE={tmp_path / 'marks'}"))
            assert marked is not unmarked
            os.kill(grandchild, signal.SIGTERM)
            assert worker.ask(JOB, None).status == "ok"
            os.kill(grandchild, 0)
        finally:
            os.kill(grandchild, signal.SIGKILL)


def test_kills_group_kills_itself_in_a_session_of_its_own() -> None:
    with Conversation(["setsid", *command("kills_group")]) as worker:
        assert worker.ask(JOB, None).status == "ok"
        worker.send(JOB, {})
        assert worker.exit_code() == -signal.SIGKILL


def test_forks_many_makes_as_many_as_it_is_told(tmp_path: Path) -> None:
    with Conversation(command("forks_many"), env={"STOKER_TEST_FILE": str(tmp_path)}) as worker:
        assert result(worker.ask(JOB, {"count": 20})) == 20
        mark = os.fsencode(f"STOKER_TEST_FILE={tmp_path}")
        family = [one.pid for one in procfs.all_processes() if procfs.has_environ(one.pid, mark)]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        assert len(family) == 21


@pytest.mark.parametrize(
    ("what", "limit", "came", "said"),
    [
        ("nofile", (32, 32), range(20, 32), "Too many open files"),
        ("fsize", (20_000, 20_000), range(20_000, 20_001), "File too large"),
        ("data", (200_000_000, 200_000_000), range(50_000_000, 200_000_000), "MemoryError"),
        ("nofile", (64, 64), range(5, 6), None),
    ],
)
def test_hits_rlimit_says_how_far_it_came(
    tmp_path: Path, what: str, limit: tuple[int, int], came: range, said: str | None
) -> None:
    most = 5 if said is None else 1_000_000_000
    with Conversation(command("hits_rlimit")) as worker:
        assert worker.ask(JOB, None).status == "ok"
        resource.prlimit(worker._process.pid, getattr(resource, f"RLIMIT_{what.upper()}"), limit)
        found = result(worker.ask(JOB, {"what": what, "folder": str(tmp_path), "most": most}))
    assert found["came"] in came
    assert found["said"] == said


def test_hits_rlimit_is_killed_when_its_processor_time_is_over() -> None:
    with Conversation(command("hits_rlimit")) as worker:
        assert worker.ask(JOB, None).status == "ok"
        resource.prlimit(worker._process.pid, resource.RLIMIT_CPU, (1, 2))
        worker.send(JOB, {"what": "cpu"})
        assert worker.exit_code() == -signal.SIGXCPU


def memory_with_children(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(procfs.rss(one) or 0 for one in (pid, *map(int, children)))


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
