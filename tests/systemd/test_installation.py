"""`stoker systemd --install --now`, on a machine with systemd."""

import json
import sys

import pytest
import tomli_w

from protocol.client import Client
from tests.systemd.service import Service, service
from tests.systemd.surroundings import ROOT

ECHO = {"echo": {"command": ["sh", "-c", 'while read job; do echo "{\\"status\\":\\"ok\\"}"; done']}}
SCRIPT = f"""\
#!{sys.executable}
import sys
sys.path.insert(0, {str(ROOT)!r})
from supervisor.cli.main import main
main()
"""


def put(stoker: Service, folder: str, **daemon: str) -> str:
    """A program and a configuration in there; the path of the program."""
    program = f"{folder}/bin/stoker"
    stoker.box.write(program, SCRIPT)
    stoker.box.run("chmod", "755", program)
    stoker.box.write(f"{folder}/stoker.toml", tomli_w.dumps({"daemon": daemon, "pools": ECHO}))
    return program


def fresh(stoker: Service) -> None:
    """Only the drop-in stays, which lets the service see what it needs here."""
    stoker.box.run("systemctl", "stop", "stoker.socket")
    stoker.box.run("rm", "/etc/systemd/system/stoker.service", "/etc/systemd/system/stoker.socket")


@pytest.mark.parametrize("name", ["100%i for $HOME ${HOME}; #1", "quo\"te's %h back\\slash \\x41"])
def test_paths_with_odd_names_reach_the_service_as_they_are(name: str) -> None:
    folder = f"/opt/{name}"
    with service(ECHO) as stoker:
        fresh(stoker)
        program = put(stoker, folder, socket="the socket", state_dir="the state")
        stoker.box.run(program, "systemd", "--install", "--now", "-c", f"{folder}/stoker.toml")
        assert stoker.property("ActiveState") == "active"
        with Client(f"{stoker.box.root}{folder}/the socket") as client:
            assert client.wait(client.submit("echo", None)["id"])["state"] == "done"
            assert client.status()["config"] == f"{folder}/stoker.toml"
        state = stoker.box.run("stat", "-c", "%U %a", f"{folder}/the state").strip()
        assert state == "stoker 700"
        stoker.box.run("test", "-s", f"{folder}/the state/stoker.db")


def test_a_dynamic_user_serves_the_members_of_its_clients_group() -> None:
    with service(ECHO) as stoker:
        fresh(stoker)
        stoker.box.run("userdel", "stoker")
        program = put(stoker, "/etc/stoker")
        stoker.box.run(program, "systemd", "--install", "--now", "--dynamic-user")
        stoker.box.run("useradd", "--groups", "stoker-clients", "alice")
        environ = ["env", f"PYTHONPATH={ROOT}"]
        submit = ["submit", "--socket", "/run/stoker.sock", "echo", "1", "--wait", "--json"]
        alice = stoker.box.run("runuser", "-u", "alice", "--", *environ, sys.executable, "-m", "supervisor", *submit)
        assert json.loads(alice)["state"] == "done"
        stoker.box.run("test", "-s", "/var/lib/private/stoker/stoker.db")
        assert stoker.box.run("getent", "passwd", "stoker").startswith("stoker:")


def test_what_an_administrator_has_changed_in_a_drop_in_outlives_the_next_install() -> None:
    with service(ECHO) as stoker:
        before = stoker.box.run("cat", "/etc/systemd/system/stoker.service.d/here.conf")
        program = put(stoker, "/etc/stoker")
        for _ in range(2):
            stoker.box.run(program, "systemd", "--install", "--now", "--force")
        assert stoker.box.run("cat", "/etc/systemd/system/stoker.service.d/here.conf") == before
        assert stoker.property("ActiveState") == "active"
        assert stoker.property("NRestarts") == "0"
