"""Who may do what, with clients that really are other users: root is needed to become one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.e2e.conftest import Start
from tests.e2e.daemon import ROOT, Daemon
from tests.workers import command

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")

ALICE, BOB, CAROL = 61001, 61002, 61003
OWN_GROUP, WEB, OPS, MAILERS = 61100, 61200, 61201, 61202
POOLS = {"echo": {"command": command("echo"), "queues": ["echo", "mail"]}}
CLIENT = Path(__file__).with_name("as_user.py")

Answer: TypeAlias = dict[str, Any]
Call: TypeAlias = tuple[str, Mapping[str, object]]


def ask(daemon: Daemon, uid: int, *calls: Call, gid: int = OWN_GROUP, groups: tuple[int, ...] = ()) -> list[Answer]:
    """What such a user is answered; the reason alone where he cannot connect."""
    done = subprocess.run(
        [sys.executable, str(CLIENT), str(uid), str(gid), ",".join(map(str, groups)), daemon.socket],
        input="".join(json.dumps(call) + "\n" for call in calls),
        text=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


PING: Call = ("ping", {})
SUBMIT: Call = ("submit", {"queue": "echo", "payload": 1})
PAUSE: Call = ("pause", {"queue": "echo"})


@pytest.fixture
def opened(start: Start) -> Callable[..., Daemon]:
    """Starts a daemon whose socket has the group WEB."""

    def start_it(mode: str = "0660", access: Answer | None = None, queues: Answer | None = None) -> Daemon:
        daemon = start(POOLS, queues, access=access or {}, socket_mode=mode)
        Path(daemon.socket).parent.chmod(0o755)
        os.chown(daemon.socket, 0, WEB)
        return daemon

    return start_it


def words(answers: list[Answer]) -> list[str]:
    """Each answer in a word."""
    return ["ok" if "result" in one else one.get("code", "no way in") for one in answers]


def test_without_lists_the_sockets_group_submits_root_administers_and_nobody_else_comes_in(
    opened: Callable[..., Daemon],
) -> None:
    daemon = opened()
    assert words(ask(daemon, 0, SUBMIT, PAUSE)) == ["ok", "ok"]
    for member in ({"groups": (WEB,)}, {"gid": WEB}):
        assert words(ask(daemon, ALICE, PING, SUBMIT, PAUSE, **member)) == ["ok", "ok", "forbidden"]
    assert words(ask(daemon, BOB, PING, groups=(OPS,))) == ["no way in"]


def test_who_can_connect_and_has_no_role_is_told_and_turned_away(opened: Callable[..., Daemon]) -> None:
    daemon = opened("0666")
    [first, second] = ask(daemon, BOB, SUBMIT, PING)
    assert first["code"] == "forbidden"
    assert first["message"].startswith(f"the user with uid {BOB} may do nothing here: ")
    assert second == {"error": "disconnected"}
    [denied] = [row for row in daemon.log() if row["event"] == "access_denied"]
    assert (denied["uid"], denied["method"], denied["has"]) == (BOB, "connect", "none")
    assert words(ask(daemon, ALICE, SUBMIT, groups=(WEB,))) == ["ok"]


def test_lists_take_the_place_of_what_is_without_them(opened: Callable[..., Daemon]) -> None:
    daemon = opened("0666", {"admin": [ALICE, f"@{OPS}"], "submit": [BOB], "look": ["*"]})
    assert ask(daemon, CAROL, PING, groups=(WEB,))[0]["result"]["role"] == "look"
    assert words(ask(daemon, CAROL, ("list", {}), SUBMIT, PAUSE, groups=(WEB,))) == ["ok", "forbidden", "forbidden"]
    assert words(ask(daemon, BOB, ("list", {}), SUBMIT, PAUSE)) == ["ok", "ok", "forbidden"]
    assert words(ask(daemon, ALICE, SUBMIT, PAUSE)) == ["ok", "ok"]
    assert words(ask(daemon, CAROL, PAUSE, groups=(OPS, WEB))) == ["ok"]
    denied = [(row["uid"], row["method"], row["has"]) for row in daemon.log() if row["event"] == "access_denied"]
    assert denied == [(CAROL, "submit", "look"), (CAROL, "pause", "look"), (BOB, "pause", "submit")]


def test_a_queue_of_ones_own_is_hidden_from_everybody_else_in_the_store_and_the_journal(
    opened: Callable[..., Daemon],
) -> None:
    queues = {"mail": {"access": {"submit": [f"@{MAILERS}"], "look": []}}}
    daemon = opened("0666", {"submit": ["*"]}, queues)
    submit = ("submit", {"queue": "mail", "payload": {"to": "ada"}})
    [mail] = ask(daemon, BOB, submit, groups=(MAILERS,))
    [other, *_] = ask(daemon, ALICE, SUBMIT)
    ids = [one["result"]["id"] for one in (mail, other)]
    with daemon.client() as client:
        client.wait_all(ids)
    calls = [
        ("list", {"limit": 1}),
        ("list", {"limit": 1, "full": True, "state": ["done"]}),
        ("events", {}),
        ("queues", {}),
        ("get", {"id": ids[0]}),
        ("wait", {"id": ids[0]}),
        ("cancel", {"id": ids[0]}),
        submit,
        ("retry_many", {"all": True}),
    ]
    answers = ask(daemon, ALICE, *calls)
    assert words(answers) == ["ok", "ok", "ok", "ok", *["not_found"] * 3, "forbidden", "forbidden"]
    for page in answers[:2]:
        assert ([job["id"] for job in page["result"]["jobs"]], page["result"]["total"]) == ([ids[1]], 1)
        assert page["result"]["next"] is None
    assert {event["queue"] for event in answers[2]["result"]["events"]} == {"echo"}
    assert [view["queue"] for view in answers[3]["result"]["queues"]] == ["echo"]
    assert ids[0] not in json.dumps(answers[:4])
    both = ask(daemon, BOB, *calls[:4], groups=(MAILERS,))
    assert both[0]["result"]["total"] == 2
    assert {event["queue"] for event in both[2]["result"]["events"]} == {"echo", "mail"}


def test_what_counts_is_who_it_was_that_connected(opened: Callable[..., Daemon]) -> None:
    """A service that opens its connections before it gives up its rights keeps them, as with a file."""
    daemon = opened("0666")
    script = """
import os, socket, sys
os.setgroups([])
os.setresuid(*[int(sys.argv[2])] * 3)
socket.socket(fileno=int(sys.argv[1])).sendall(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\\n')
"""
    with daemon.connect() as connection:
        fd = connection.fileno()
        subprocess.run([sys.executable, "-c", script, str(fd), str(BOB)], pass_fds=[fd], timeout=60, check=True)
        assert json.loads(connection.recv(4096))["result"]["role"] == "admin"


def test_a_member_of_more_groups_than_the_kernel_tells_at_once_goes_by_the_machines_database(
    opened: Callable[..., Daemon],
) -> None:
    daemon = opened("0666")
    many = tuple(range(70000, 70300))
    assert words(ask(daemon, ALICE, SUBMIT, gid=WEB, groups=many)) == ["ok"]
    assert words(ask(daemon, ALICE, SUBMIT, groups=(*many, WEB))) == ["forbidden"]
