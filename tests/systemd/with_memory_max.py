"""What becomes of a service that uses all the memory that systemd's MemoryMax= gives it; run by test_memory.py where
systemd has the memory controller. The service is installed once: one test begins where the one before has ended."""

import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from tests.systemd.box import Box
from tests.systemd.service import Service, service
from tests.systemd.surroundings import PYTHON

MEMORY_MAX = 256  # MiB, for all of them together
# Takes as many MiB as its job says, and keeps them.
KEEPS = """
import json, sys
kept = []
for line in sys.stdin:
    kept += [b"x" * 1048576 for _ in range(json.loads(line)["payload"])]
    print('{"status":"ok"}', flush=True)
"""
SCORE = """
from pathlib import Path
import sys
for line in sys.stdin:
    print('{"status":"ok","result":%s}' % Path("/proc/self/oom_score_adj").read_text().strip(), flush=True)
"""
QUEUES = [f"small{number}" for number in range(8)]


class Here(Box):
    """The machine that this runs in, as root."""

    def __init__(self) -> None:
        self.root = Path("/")

    def run(self, *argv: str | Path, check: bool = True, timeout: float = 60.0) -> str:
        done = subprocess.run(argv, text=True, capture_output=True, timeout=timeout, check=False)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}{self.journal()}"
        return done.stdout


@pytest.fixture(scope="module")
def stoker() -> Iterator[Service]:
    pool = {"command": [PYTHON, "-S", "-E", "-c", KEEPS]}
    pools = dict.fromkeys(("big", *QUEUES), pool) | {"score": {"command": [PYTHON, "-S", "-E", "-c", SCORE]}}
    with service(pools, f"MemoryMax={MEMORY_MAX}M", place=lambda _: nullcontext(Here())) as installed:
        config = Path("/etc/stoker/stoker.toml")
        config.write_text(config.read_text() + "\n[queues.big]\nmax_attempts = 1\n")
        installed.systemctl("start")
        yield installed
        installed.systemctl("stop")


def daemon(stoker: Service) -> int:
    return int(stoker.property("MainPID"))


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


def largest_worker(stoker: Service) -> int:
    """Of those of QUEUES, in pages."""
    return max(resident(pid) for path, pids in stoker.tree().items() if "-small" in path for pid in pids)


def oom_kills(stoker: Service) -> int:
    """In the whole service so far."""
    lines = (stoker.cgroup / "memory.events").read_text().split()
    return int(lines[lines.index("oom_kill") + 1])


def test_the_daemon_is_spared_and_its_workers_are_not(stoker: Service) -> None:
    assert Path(f"/proc/{daemon(stoker)}/oom_score_adj").read_text() == "-500\n"
    with stoker.client() as client:
        assert client.wait(client.submit("score", None)["id"])["result"] == 0


def test_one_that_takes_it_all_fails_as_oom_and_everybody_else_lives(stoker: Service) -> None:
    before = daemon(stoker)
    with stoker.client() as client:
        job = client.wait(client.submit("big", 2 * MEMORY_MAX)["id"])
        assert (job["state"], job["error"]["cause"]) == ("failed", "oom")
        assert job["error"]["message"] == (
            "the kernel killed the worker for its memory: the service (MemoryMax=) or the machine had none left"
        )
        assert client.wait(client.submit("big", 1)["id"])["state"] == "done"
    assert daemon(stoker) == before
    assert stoker.property("NRestarts") == "0"
    assert stoker.property("ActiveState") == "active"


def test_where_many_small_ones_take_it_all_one_of_them_goes_and_not_the_larger_daemon(stoker: Service) -> None:
    before, killed = daemon(stoker), oom_kills(stoker)
    with stoker.client() as client:
        while oom_kills(stoker) == killed:
            assert largest_worker(stoker) < resident(before)
            for name in QUEUES:  # a MiB to each in turn: nobody is ever much larger than the others
                client.wait(client.submit(name, 1)["id"])
    assert daemon(stoker) == before
    assert stoker.property("NRestarts") == "0"
