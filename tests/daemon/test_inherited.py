"""Sockets that systemd hands over: which are served, and for what."""

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import structlog.testing
import trio

from supervisor.core.roles import Role
from supervisor.daemon import inherited
from supervisor.daemon.inherited import take_inherited
from supervisor.daemon.listen import open_listeners, tell_if_elsewhere
from supervisor.errors import StartError

FAR = 300  # descriptors from here on are free

HandOver = Callable[..., dict[str, str]]


@pytest.fixture
def hand_over(monkeypatch: pytest.MonkeyPatch) -> Iterator[HandOver]:
    """`hand_over(sockets, names)`: as systemd does it, but further up than descriptor 3. Returns the environment."""
    monkeypatch.setattr(inherited, "FIRST", FAR)
    theirs = []

    def hand_over(socks: Sequence[socket.socket], names: str = "") -> dict[str, str]:
        theirs.extend(socks)
        for at, sock in enumerate(socks):
            assert fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD, FAR + at) == FAR + at
        return {"LISTEN_FDS": str(len(socks)), "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": names, "A": "b"}

    yield hand_over
    for sock in theirs:
        sock.close()


def at(path: Path, kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    sock.bind(str(path))
    if kind != socket.SOCK_DGRAM:
        sock.listen()
    return sock


async def test_a_socket_from_systemd_takes_the_place_of_ours(tmp_path: Path, hand_over: HandOver) -> None:
    environ = hand_over([at(tmp_path / "systemd.sock")])
    [opened] = await open_listeners(tmp_path / "ours.sock", 0o600, environ)
    assert environ == {"A": "b"}
    assert (opened.inherited, opened.path, opened.ceiling) == (True, tmp_path / "systemd.sock", Role.ADMIN)
    assert not os.get_inheritable(opened.listener.socket.fileno())
    assert os.listdir(tmp_path) == ["systemd.sock"]
    client = await trio.open_unix_socket(opened.path)
    served = await opened.listener.accept()
    await served.aclose()
    await client.aclose()
    opened.close()
    assert opened.path.is_socket()  # it is systemd's, which goes on listening
    client = await trio.open_unix_socket(opened.path)
    await client.aclose()


@pytest.mark.parametrize(
    "variables",
    [
        {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "control"},
        {"LISTEN_FDS": "0", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "x", "LISTEN_PID": str(os.getpid())},
        {"LISTEN_FDS": "1"},
    ],
)
async def test_sockets_for_another_process_are_ignored_and_their_variables_removed(
    tmp_path: Path, variables: dict[str, str]
) -> None:
    environ = dict(variables)
    [opened] = await open_listeners(tmp_path / "s.sock", 0o600, environ)
    assert not opened.inherited
    assert not [name for name in environ if name.startswith("LISTEN_")]
    opened.close()


@pytest.mark.parametrize(
    ("names", "ceilings"),
    [
        ("control", [Role.ADMIN]),
        ("stoker.socket", [Role.ADMIN]),  # no FileDescriptorName=
        ("stoker@blue.socket", [Role.ADMIN]),
        ("", [Role.ADMIN]),
        ("unknown", [Role.ADMIN]),
        ("look:control", [Role.LOOK, Role.ADMIN]),
        ("submit:admin:look", [Role.SUBMIT, Role.ADMIN, Role.LOOK]),
        ("control:control:look:look", [Role.ADMIN, Role.ADMIN, Role.LOOK, Role.LOOK]),
        ("control", [Role.ADMIN, Role.ADMIN]),  # fewer names than sockets
    ],
)
def test_the_name_says_what_may_be_done_at_most(
    tmp_path: Path, hand_over: HandOver, names: str, ceilings: list[Role]
) -> None:
    taken = take_inherited(hand_over([at(tmp_path / str(number)) for number in range(len(ceilings))], names))
    assert [one.ceiling for one in taken] == ceilings
    assert [one.sock.getsockname() for one in taken] == [str(tmp_path / str(n)) for n in range(len(ceilings))]
    assert not any(one.sock.get_inheritable() for one in taken)
    for one in taken:
        one.sock.close()


async def test_all_are_served_and_the_one_for_everything_comes_first(tmp_path: Path, hand_over: HandOver) -> None:
    socks = [at(tmp_path / name) for name in ("look", "submit", "all")]
    opened = await open_listeners(tmp_path / "ours", 0o600, hand_over(socks, "look:submit:control"))
    assert [(one.path.name, one.ceiling) for one in opened] == [
        ("all", Role.ADMIN),
        ("submit", Role.SUBMIT),
        ("look", Role.LOOK),
    ]
    assert not (tmp_path / "ours").exists()
    for one in opened:
        one.close()


async def test_where_none_is_for_everything_our_own_is_opened_beside_them(tmp_path: Path, hand_over: HandOver) -> None:
    environ = hand_over([at(tmp_path / "look")], "look")
    own, look = await open_listeners(tmp_path / "ours", 0o600, environ)
    assert (own.path.name, own.ceiling, own.inherited) == ("ours", Role.ADMIN, False)
    assert (look.path.name, look.ceiling, look.inherited) == ("look", Role.LOOK, True)
    own.close()
    look.close()
    assert os.listdir(tmp_path) == ["look", "ours.lock"]


async def test_sockets_that_are_not_where_the_configuration_says_are_warned_of(
    tmp_path: Path, hand_over: HandOver
) -> None:
    opened = await open_listeners(tmp_path / "ours", 0o600, hand_over([at(tmp_path / "theirs")]))
    with structlog.testing.capture_logs() as logs:
        tell_if_elsewhere(tmp_path / "theirs", opened)
        assert logs == []
        tell_if_elsewhere(tmp_path / "ours", opened)
    assert [(line["event"], line["configured"]) for line in logs] == [("socket_elsewhere", str(tmp_path / "ours"))]
    opened[0].close()


async def test_our_own_path_that_is_handed_over_for_less_is_refused(tmp_path: Path, hand_over: HandOver) -> None:
    environ = hand_over([at(tmp_path / "s.sock")], "look")
    with pytest.raises(StartError, match="hand over one more with FileDescriptorName=control"):
        await open_listeners(tmp_path / "s.sock", 0o600, environ)


async def test_where_our_own_cannot_be_opened_the_missing_socket_is_named(tmp_path: Path, hand_over: HandOver) -> None:
    environ = hand_over([at(tmp_path / "look")], "look")
    with pytest.raises(StartError, match=r"does not exist.*no socket with FileDescriptorName=control"):
        await open_listeners(tmp_path / "gone" / "s.sock", 0o600, environ)


def test_a_misspelled_name_is_refused_even_alone(tmp_path: Path, hand_over: HandOver) -> None:
    with pytest.raises(StartError, match="FileDescriptorName=control, look, submit or admin") as caught:
        take_inherited(hand_over([at(tmp_path / "s")], "lok"))
    assert '"lok"' in caught.value.message


def network(tmp_path: Path) -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def datagrams(tmp_path: Path) -> socket.socket:
    return at(tmp_path / "s", socket.SOCK_DGRAM)


def packets(tmp_path: Path) -> socket.socket:
    return at(tmp_path / "s", socket.SOCK_SEQPACKET)


def connection(tmp_path: Path) -> socket.socket:
    ours, theirs = socket.socketpair()
    theirs.close()
    return ours


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (network, "ListenStream=/PATH"),
        (datagrams, "in place of ListenDatagram="),
        (packets, "in place of ListenSequentialPacket="),
        (connection, "Accept=no"),
    ],
)
def test_another_kind_of_socket_is_refused_with_the_line_to_change(
    tmp_path: Path, hand_over: HandOver, make: Callable[[Path], socket.socket], line: str
) -> None:
    environ = hand_over([at(tmp_path / "good"), make(tmp_path)], "control:other.socket")
    with pytest.raises(StartError, match=line) as caught:
        take_inherited(environ)
    assert "other.socket" in caught.value.message
    for fd in (FAR, FAR + 1):  # none is left open
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def test_a_descriptor_that_is_no_socket_is_refused(
    tmp_path: Path, hand_over: HandOver, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = hand_over([at(tmp_path / "s")])
    with (tmp_path / "file").open("w") as file:
        os.dup2(file.fileno(), FAR)
    with pytest.raises(StartError, match="let the socket units have ListenStream=/PATH"):
        take_inherited(environ)
    os.close(FAR)


def test_descriptors_that_are_not_there_are_refused(hand_over: HandOver) -> None:
    with pytest.raises(StartError, match="Bad file descriptor"):
        take_inherited({**hand_over([]), "LISTEN_FDS": "1"})


def test_a_socket_without_a_file_is_served(hand_over: HandOver) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.bind("")
    sock.listen()
    [taken] = take_inherited(hand_over([sock]))
    with contextlib.closing(taken.sock):
        assert taken.ceiling is Role.ADMIN


INHERITOR = """
import fcntl, json, os, sys, trio
from pathlib import Path
from supervisor.daemon.listen import open_listeners

async def main():
    opened, look = await open_listeners(Path("/nonexistent/s.sock"), 0o600, os.environ)
    stream = await opened.listener.accept()
    seen = [[one.listener.socket.fileno(), str(one.path), one.ceiling] for one in (opened, look)]
    seen += [os.get_inheritable(3), os.get_inheritable(4), "LISTEN_FDS" in os.environ]
    await stream.send_all(json.dumps(seen).encode())

control, look = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 50) for fd in sys.argv[1:])
os.dup2(control, 4)
os.dup2(look, 3)
os.environ.update(LISTEN_FDS="2", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="look:control")
trio.run(main)
"""


def test_descriptors_from_3_on_of_a_real_process_are_used(tmp_path: Path) -> None:
    path = tmp_path / "systemd.sock"
    with at(path) as theirs, at(tmp_path / "look") as look, socket.socket(socket.AF_UNIX) as client:
        fds = [theirs.fileno(), look.fileno()]
        with subprocess.Popen([sys.executable, "-c", INHERITOR, *map(str, fds)], pass_fds=fds) as process:
            client.settimeout(30)
            client.connect(str(path))
            answer = client.recv(1000)
            assert process.wait(30) == 0
    assert json.loads(answer) == [
        [4, str(path), Role.ADMIN],
        [3, str(tmp_path / "look"), Role.LOOK],
        False,
        False,
        False,
    ]
