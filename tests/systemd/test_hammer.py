"""The socket is systemd's: whatever becomes of the daemon, nobody is refused, and nothing runs twice that need not."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from protocol.client import Client
from tests.crash.house import until
from tests.systemd.hammer import PATIENCE, Crowd
from tests.systemd.service import PROGRAM, STOKER, Service, service

SUBMITS = 1000
EACH = 25  # answers to each client between two blows
# Notes what it runs, and under which daemon.
WORKER = """
while read -r job; do
  id=${job#*'"id":"'}
  echo "${id%%'"'*} $PPID" >>/var/lib/stoker/runs
  sleep 0.01
  echo '{"status":"ok"}'
done
"""
POOLS = {"work": {"command": ["sh", "-c", WORKER], "size": 4}}
CALM = {"drain_timeout": "10s"}  # longer than any job


def new_program(stoker: Service, number: int) -> None:
    """As an upgrade does it: another file of that name."""
    stoker.box.write(f"{STOKER}.new", f"{PROGRAM}# version {number}\n")
    stoker.box.run("chmod", "755", f"{STOKER}.new")
    stoker.box.run("mv", f"{STOKER}.new", STOKER)


def up(stoker: Service, before: str) -> None:
    until(lambda: stoker.property("MainPID") not in ("0", before), "a new daemon")
    until(lambda: stoker.property("ActiveState") == "active", "it serves")


def restart(stoker: Service) -> None:
    stoker.systemctl("restart")


def crash(stoker: Service) -> None:
    before = stoker.property("MainPID")
    stoker.box.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "stoker.service")
    up(stoker, before)


def upgrade(stoker: Service) -> None:
    new_program(stoker, 2)
    restart(stoker)


def crash_in_an_upgrade(stoker: Service) -> None:
    """In the middle of it, there is no program to start."""
    stoker.box.run("rm", STOKER)
    before, tries = stoker.property("MainPID"), int(stoker.property("NRestarts"))
    stoker.box.run("systemctl", "kill", "--kill-whom=main", "-s", "KILL", "stoker.service")
    until(lambda: int(stoker.property("NRestarts")) >= tries + 2, "a start in vain")
    new_program(stoker, 3)
    up(stoker, before)


def stop_and_start(stoker: Service) -> None:
    stoker.systemctl("stop")
    stoker.systemctl("start")


Blow = Callable[[Service], None]
KILLS = (crash, crash_in_an_upgrade)
BLOWS = (restart, crash, upgrade, crash, stop_and_start, restart, crash_in_an_upgrade, restart, crash, restart)


def strike(stoker: Service, crowd: Crowd, blow: Blow) -> str:
    """A blow, once all have been answered by this daemon. Its pid."""
    enough = crowd.least + EACH
    until(lambda: crowd.least >= enough, "answers")
    pid = stoker.property("MainPID")
    blow(stoker)
    return pid


def jobs(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.list(limit=200, **cursor)
        found += page["jobs"]
        if page["next"] is None:
            return found
        cursor = {"cursor": page["next"]}


def runs(stoker: Service) -> dict[str, list[str]]:
    """For each job, the daemons under which it was run."""
    found: dict[str, list[str]] = {}
    for line in (stoker.box.root / "var/lib/stoker/runs").read_text().splitlines():
        job, daemon = line.split()
        found.setdefault(job, []).append(daemon)
    return found


def connect(stoker: Service) -> Client:
    return Client(str(stoker.box.root / "run/stoker.sock"), timeout=PATIENCE)


@pytest.mark.long
def test_a_thousand_submits_through_restarts_crashes_and_upgrades_are_answered_and_run_once() -> None:
    killed = set()
    with service(POOLS, daemon=CALM) as stoker:
        stoker.systemctl("start")
        with Crowd(lambda: connect(stoker)) as crowd:
            for blow in BLOWS:
                pid = strike(stoker, crowd, blow)
                if blow in KILLS:
                    killed.add(pid)
            until(lambda: len(crowd.answered) >= SUBMITS, "all submits")
        seen = crowd.check()
        with connect(stoker) as client:
            until(lambda: not client.list(state=["pending", "running"], limit=1)["total"], "every job's end")
            kept = {job["key"]: job for job in jobs(client)}
            assert client.list(limit=1)["total"] == len(kept)
        ran = runs(stoker)
    assert seen["refused"] == 0
    # One request for each client is on its way when a daemon is killed.
    assert seen["lost"] <= len(killed) * len(crowd.hammers)
    assert {key: job["id"] for key, job in kept.items()} == crowd.answered
    assert Counter(job["state"] for job in kept.values()) == {"done": len(kept)}
    assert ran.keys() == set(crowd.answered.values())
    # Again only where the daemon was killed under it; then never twice under one daemon.
    assert all(set(daemons[:-1]) <= killed and len(set(daemons)) == len(daemons) for daemons in ran.values())
    assert not any(job["charged"] for job in kept.values())


@pytest.mark.long
def test_restarts_in_good_order_leave_no_request_in_doubt() -> None:
    """Each client is answered, or knows that it was not heard: keys would not have been needed."""
    with service(POOLS, daemon=CALM) as stoker:
        stoker.systemctl("start")
        with Crowd(lambda: connect(stoker)) as crowd:
            for _ in range(3):
                strike(stoker, crowd, restart)
        seen = crowd.check()
    assert (seen["refused"], seen["lost"]) == (0, 0)
