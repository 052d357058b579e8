"""What systemd hears of the daemon, and does when it hears nothing."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.crash.house import until
from tests.systemd.service import ROOT, STOKER, Service, service
from tests.systemd.talk import DEAF, ECHO, ONCE_SLOW, ask, begun, everybody, pool, set_drain, state_of, status, watched

QUICK = "RestartSec=0"
# As a bug would have it: jobs wait, workers are idle, and nobody brings them together.
WEDGE = """
import os
if os.path.exists("/opt/fault/on"):
    from supervisor.pool.feeder import Feeder
    Feeder.checkout = lambda self, pool: None
"""
LATE = 'sleep 3; echo "{\\"status\\":\\"ready\\"}"; read job'


def until_there(stoker: Service, name: str) -> list[int]:
    """The pids of a pool's workers."""
    found: list[int] = []

    def there() -> list[int]:
        found[:] = [pid for path, pids in stoker.tree().items() if name in path for pid in pids]
        return found

    until(there, "a worker in its cgroup")
    return found


def restarted(stoker: Service) -> bool:
    return stoker.property("NRestarts") == "1"


def test_the_status_line_says_what_runs_and_what_waits() -> None:
    with service({"echo": pool(ECHO), "deaf": pool(DEAF, size=2)}, "WatchdogSec=2") as stoker:
        stoker.systemctl("start")
        assert re.fullmatch(r"2 pools, [1-3]/3 workers, 0 running, 0 pending", status(stoker))
        with stoker.client() as client:
            for _ in range(5):
                client.submit("deaf", None)
        until(lambda: status(stoker) == "2 pools, 3/3 workers, 2 running, 3 pending", "the status line")
        assert stoker.property("NRestarts") == "0"


@pytest.mark.parametrize("end", [signal.SIGSTOP, signal.SIGKILL])
def test_after_a_loop_that_hangs_and_after_a_crash_the_job_runs_again_once_all_it_had_started_is_gone(
    end: signal.Signals,
) -> None:
    with service({"slow": pool(ONCE_SLOW)}, QUICK, "WatchdogSec=1", "TimeoutAbortSec=1") as stoker:
        stoker.systemctl("start")
        job = ask(stoker, lambda client: client.submit("slow", None)["id"])
        until(lambda: begun(stoker) == 1, "the job's start")
        until(lambda: state_of(stoker, job)["state"] == "running", "its claim, which is on disk a moment later")
        until(lambda: len(everybody(stoker)) == 4, "the child that it has hidden")
        with watched(everybody(stoker)) as living:
            os.kill(stoker.tree()["daemon"][0], end)
            until(lambda: restarted(stoker), "the restart")
            ended = ask(stoker, lambda client: client.wait(job))
            assert living() == 0
        figures = {name: ended[name] for name in ("state", "attempt", "charged", "crashes", "interruptions")}
        assert figures == {"state": "done", "attempt": 2, "charged": 0, "crashes": 0, "interruptions": 1}
        assert begun(stoker) == 2
        assert ("Watchdog timeout" in stoker.box.journal()) is (end is signal.SIGSTOP)


@pytest.mark.long
def test_a_daemon_that_gives_out_no_jobs_says_so_and_where_it_is_and_is_started_anew() -> None:
    lines = (QUICK, "WatchdogSec=2", f"Environment=PYTHONPATH={ROOT}:/opt/fault")
    with service({"echo": pool(ECHO, size=2)}, *lines) as stoker:
        stoker.box.write("/opt/fault/sitecustomize.py", WEDGE)
        stoker.box.write("/opt/fault/on", "")
        stoker.systemctl("start")
        (stoker.box.root / "opt/fault/on").unlink()  # the next one is whole
        job = ask(stoker, lambda client: client.submit("echo", None)["id"])
        until(lambda: "pool echo is given no jobs for" in status(stoker), "the status line")
        until(lambda: restarted(stoker), "the restart")
        assert ask(stoker, lambda client: client.wait(job))["state"] == "done"
        [said] = [line for line in stoker.log() if line["event"] == "dispatch_stuck"]
        assert (said["pool"], said["idle"], said["waiting"]) == ("echo", 2, 1)
        assert "Fatal Python error: Aborted" in stoker.box.journal()
        assert "stoker-store" not in status(stoker)


def test_workers_that_take_longer_than_systemd_would_wait_are_waited_for_while_they_may() -> None:
    late = pool(LATE, ready=True, boot_timeout="20s")
    with service({"late": late}, "TimeoutStartSec=2") as stoker:
        stoker.systemctl("start")
        assert status(stoker).startswith("1 pool, 1/1 workers")


def test_a_start_that_fails_says_why_in_the_status_and_is_not_tried_again() -> None:
    with service({"echo": pool(ECHO)}, QUICK) as stoker:
        stoker.box.write("/etc/stoker/stoker.toml", "[daemon]\nsockt = 1\n[pools.x]\n")
        stoker.box.run("systemctl", "start", "stoker.service", check=False)
        assert stoker.property("ActiveState") == "failed"
        assert stoker.property("NRestarts") == "0"
        assert re.fullmatch(r"/etc/stoker/stoker.toml: .*sockt.* \(and \d more: see the log\)", status(stoker))
        assert stoker.property("StatusErrno") == "22"
        shown = stoker.box.run("systemctl", "status", "stoker.service", check=False)
        assert 'Status: "/etc/stoker/stoker.toml: ' in shown
        assert "Error: 22 (Invalid argument)" in shown


def test_a_drain_that_systemd_would_not_wait_for_is_refused_at_the_start() -> None:
    with service({"echo": pool(ECHO)}, QUICK, "TimeoutStopSec=10s", "Environment=STOKER_TIMEOUT_STOP=10s") as stoker:
        set_drain(stoker, "8s")
        stoker.box.run("systemctl", "start", "stoker.service", check=False)
        assert stoker.property("ExecMainStatus") == "2"
        assert "a stop may take 10s500ms (drain_timeout 8s, the kill_grace of pool echo 500ms" in status(stoker)
        set_drain(stoker, "7s")
        stoker.systemctl("start")
        [pid] = until_there(stoker, "echo")
        assert b"STOKER_TIMEOUT_STOP" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_doctor_notices_a_unit_that_says_two_different_times() -> None:
    with service({"echo": pool(ECHO)}, "TimeoutStopSec=10s", "Environment=STOKER_TIMEOUT_STOP=10s") as stoker:
        stoker.systemctl("start")
        assert "ok   stop time: stoker.service: a stop may take 2s600ms, and systemd waits 10s\n" in doctor(stoker)
        stoker.box.write("/etc/systemd/system/stoker.service.d/longer.conf", "[Service]\nTimeoutStopSec=90s\n")
        stoker.box.run("systemctl", "daemon-reload")
        assert "warn stop time: stoker.service: a stop may take 2s600ms, and systemd waits 1m30s, but " in doctor(
            stoker
        )


def doctor(stoker: Service) -> str:
    return stoker.box.run(STOKER, "doctor", "-c", "/etc/stoker/stoker.toml", check=False)
