"""Backup, restore and doctor where systemd runs the daemon, in a sandbox and as a user of its own."""

import json
from collections.abc import Iterator

import pytest

from tests.crash.house import until
from tests.systemd.service import STOKER, Service, service
from tests.systemd.surroundings import ROOT

POOLS = {"echo": {"command": ["sh", "-c", 'while read job; do echo "{\\"status\\":\\"ok\\"}"; done'], "size": 1}}
CONFIG = ("-c", "/etc/stoker/stoker.toml")


@pytest.fixture
def stoker() -> Iterator[Service]:
    with service(POOLS) as installed:
        installed.systemctl("start")
        yield installed


def run(stoker: Service, *arguments: str, check: bool = True) -> str:
    return stoker.box.run("env", f"PYTHONPATH={ROOT}", STOKER, *arguments, check=check)


def answers(stoker: Service) -> bool:
    with stoker.client() as client:
        return bool(client.ping())


def test_root_backs_up_a_sandboxed_daemon_and_restores_it_for_the_daemons_user(stoker: Service) -> None:
    with stoker.client() as client:
        job = client.submit("echo", {})["id"]
        client.wait(job)
    assert "1 job, " in run(stoker, "backup", "/root/copy", *CONFIG)
    with stoker.client() as client:
        client.wait(client.submit("echo", {})["id"])
    stoker.box.run("systemctl", "stop", "stoker.socket", "stoker.service")
    told = run(stoker, "restore", "/root/copy", *CONFIG)
    assert "restored: 1 job" in told
    owners = stoker.box.run("find", "/var/lib/stoker/", "!", "-user", "stoker")
    assert owners == ""
    stoker.box.run("systemctl", "start", "stoker.socket", "stoker.service")
    until(lambda: answers(stoker), "the daemon's answer")
    with stoker.client() as client:
        assert client.list()["total"] == 1
        assert client.get(job)["state"] == "done"
        client.wait(client.submit("echo", {})["id"])


def test_doctor_finds_a_service_of_ours_well_and_says_what_is_wrong_with_it_then(stoker: Service) -> None:
    def doctor() -> dict[str, list[tuple[str, str]]]:
        told = json.loads(run(stoker, "doctor", "--json", *CONFIG, check=False).splitlines()[-1])
        found: dict[str, list[tuple[str, str]]] = {}
        for one in told["checks"]:
            found.setdefault(one["check"], []).append((one["level"], one["found"]))
        return found

    well = doctor()
    assert [name for name, lines in well.items() if any(level == "fail" for level, _ in lines)] == []
    assert [level for level, _ in well["systemd"]] == ["ok", "ok"], "what we ship is as it should be"
    assert well["systemd"][1] == ("ok", "stoker.socket listens")
    assert well["permissions"] == [("ok", "as user stoker needs them, and nobody else")]
    assert well["cgroups"][0][1].startswith(("delegated: ", "/system.slice/stoker.service has no memory"))
    stoker.box.write("/etc/systemd/system/stoker.service.d/worse.conf", "[Service]\nTimeoutStopSec=1\nDelegate=no\n")
    assert any("changed since" in found for _, found in doctor()["systemd"])
    stoker.box.run("systemctl", "daemon-reload")
    stoker.box.run("chown", "root", "/var/lib/stoker/stoker.db")
    ill = doctor()
    assert [level for level, found in ill["stop time"] if "systemd waits 1s" in found] == ["fail"]
    assert any("workers get no cgroups" in found for _, found in ill["systemd"])
    assert [level for level, _ in ill["permissions"]] == ["fail"]
    stoker.box.run("systemctl", "kill", "--signal=KILL", "stoker.service")
