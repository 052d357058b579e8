"""Users in different roles, at the service as it is installed: root, its own, one of the socket's group, those whom the
configuration names, and a stranger."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.systemd.service import STOKER, Service, service

POOLS = {"echo": {"command": ["sh", "-c", 'while read job; do echo "{\\"status\\":\\"ok\\"}"; done']}}
USERS = {"alice": ["stoker"], "bob": [], "carol": ["ops"], "mallory": []}
ACCESS = '[access]\nadmin = ["@ops"]\nsubmit = ["@stoker"]\nlook = ["bob"]\n'
REFUSED, NO_WAY_IN = 1, 3
COMMANDS = {
    "look": ("status",),
    "submit": ("submit", "echo", "1"),
    "admin": ("pause", "echo"),
}


@pytest.fixture
def stoker() -> Iterator[Service]:
    with service(POOLS) as installed:
        installed.box.run("groupadd", "ops")
        for user, groups in USERS.items():
            installed.box.run("useradd", "-G", ",".join(groups), user)
        yield installed


@pytest.fixture(scope="module")
def strict() -> Iterator[Service]:
    """One that lets everybody in to be told that he may do nothing."""
    with service(POOLS) as installed:
        installed.box.run("useradd", "mallory")
        configure(installed, "", "0666")
        yield installed


def configure(stoker: Service, text: str, socket_mode: str = "0660") -> None:
    """Before the start: more of the configuration, and who can connect at all."""
    file = stoker.box.root / "etc/stoker/stoker.toml"
    file.write_text(text + file.read_text())
    stoker.box.write("/etc/systemd/system/stoker.socket.d/mode.conf", f"[Socket]\nSocketMode={socket_mode}\n")
    stoker.box.run("systemctl", "daemon-reload")
    stoker.box.run("systemctl", "restart", "stoker.socket")
    stoker.systemctl("start")


def call(stoker: Service, user: str, *words: str) -> tuple[int, str]:
    """The exit code and what is said, all of it, when `user` gives a command."""
    script = f'cd /; {STOKER} --socket /run/stoker.sock "$@" 2>&1; echo "exit $?"'
    said = stoker.box.run("runuser", "-u", user, "--", "sh", "-c", script, "sh", *words)
    text, _, code = said.rstrip("\n").rpartition("exit ")
    return int(code), text


def codes(stoker: Service, user: str) -> list[int]:
    return [call(stoker, user, *command)[0] for command in COMMANDS.values()]


def denied(stoker: Service) -> list[dict[str, Any]]:
    return [line for line in stoker.log() if line["event"] == "access_denied"]


def test_as_installed_root_and_the_services_user_administer_and_the_sockets_group_submits(stoker: Service) -> None:
    configure(stoker, "")
    for user in ("root", "stoker"):
        assert codes(stoker, user) == [0, 0, 0]
    assert codes(stoker, "alice") == [0, 0, REFUSED]
    for user in ("bob", "carol", "mallory"):
        assert codes(stoker, user) == [NO_WAY_IN] * 3
    [line] = denied(stoker)
    assert (line["user"], line["method"], line["needs"], line["has"]) == (
        "alice",
        "pause",
        "admin",
        "submit",
    )


def test_those_whom_the_configuration_names_have_their_roles_and_a_stranger_none(stoker: Service) -> None:
    configure(stoker, ACCESS, "0666")
    assert codes(stoker, "root") == codes(stoker, "stoker") == codes(stoker, "carol") == [0, 0, 0]
    assert codes(stoker, "alice") == [0, 0, REFUSED]
    assert codes(stoker, "bob") == [0, REFUSED, REFUSED]
    assert codes(stoker, "mallory") == [REFUSED] * 3
    code, said = call(stoker, "bob", "restart", "echo")
    assert code == REFUSED
    assert said.startswith('stoker: "restart" needs the role admin, and user bob (uid ')
    assert said.endswith(
        ") has look: ask for an entry in admin under [access] in /etc/stoker/stoker.toml, or use sudo\n"
    )
    code, said = call(stoker, "mallory", "ping")
    assert code == REFUSED
    assert said.startswith("stoker: user mallory (uid ")
    assert json.loads(call(stoker, "alice", "ping", "--json")[1])["role"] == "submit"
    assert "you may: look\n" in call(stoker, "bob", "ping")[1]
    assert {(line["user"], line["method"]) for line in denied(stoker)} == {
        ("alice", "pause"),
        ("bob", "submit"),
        ("bob", "pause"),
        ("bob", "restart"),
        ("mallory", "connect"),
    }


JOB = "0199f3c2-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    "command",
    [
        ("top", "--once"),
        ("events", "--follow"),
        ("wait", JOB),
        ("get", JOB),
        ("list",),
        ("submit", "echo", "1", "--wait"),
        ("cancel", "--queue", "echo"),
        ("drain",),
    ],
    ids=" ".join,
)
def test_every_command_says_in_one_sentence_that_we_may_do_nothing(strict: Service, command: tuple[str, ...]) -> None:
    code, said = call(strict, "mallory", *command)
    assert code == REFUSED
    assert said.startswith("stoker: user mallory (uid ")
    assert said.count("\n") == 1


def test_where_the_service_has_users_of_its_own_only_the_sockets_group_is_told_apart(stoker: Service) -> None:
    """PrivateUsers= shows it everybody but root and itself as nobody."""
    private = "[Service]\nPrivateUsers=yes\n"
    stoker.box.write("/etc/systemd/system/stoker.service.d/private.conf", private)
    configure(stoker, ACCESS, "0666")
    assert codes(stoker, "alice") == [0, 0, REFUSED]
    assert codes(stoker, "bob") == [REFUSED] * 3
    unknown = [line for line in stoker.log() if line["event"] == "access_unknown"]
    assert {(line["key"], line["entry"]) for line in unknown} == {("access.admin", "@ops"), ("access.look", "bob")}
    assert "PrivateUsers" in unknown[0]["reason"]


LOOK = """[Socket]
ListenStream=/run/stoker.look
FileDescriptorName=look
SocketMode=0666
Service=stoker.service
"""


def test_nobody_has_more_than_his_socket_grants_not_even_root(stoker: Service) -> None:
    stoker.box.write("/etc/systemd/system/stoker-look.socket", LOOK)
    stoker.box.run("systemctl", "daemon-reload")
    stoker.box.run("systemctl", "start", "stoker-look.socket")
    configure(stoker, '[access]\nlook = ["mallory"]\n')
    for user in ("root", "mallory"):
        assert call(stoker, user, "status", "--socket", "/run/stoker.look")[0] == 0
        code, said = call(stoker, user, "submit", "echo", "1", "--socket", "/run/stoker.look")
        assert code == REFUSED
    assert call(stoker, "mallory", "submit", "echo", "1")[0] == NO_WAY_IN
    code, said = call(stoker, "root", "pause", "echo", "--socket", "/run/stoker.look")
    assert said.endswith("has look: this socket grants look at most, use another one\n")
    assert codes(stoker, "root") == [0, 0, 0]


def test_a_stranger_who_asks_the_doctor_is_told_what_he_can_see(strict: Service) -> None:
    code, said = call(strict, "mallory", "doctor")
    assert code in (0, 1)
    assert "Traceback" not in said
    assert "python: " in said
