import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.cli.failures import Misuse
from supervisor.daemon.notify import Notifier
from supervisor.errors import ConfigError, StartError, StoreUnavailable


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What listens in systemd's place, at tmp_path/notify."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield sock


def heard(manager: socket.socket) -> str:
    """The next message; raises BlockingIOError when there is none. Sending has returned: it will not be there later."""
    return manager.recv(65536).decode()


def test_every_word_reaches_systemd(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert notifier.ready("2 pools") is True
    assert heard(manager) == "READY=1\nSTATUS=2 pools"
    assert notifier.status("busy") is True
    assert heard(manager) == "STATUS=busy"
    assert notifier.watchdog() is True
    assert heard(manager) == "WATCHDOG=1"
    assert notifier.stopping() is True
    assert heard(manager) == "STOPPING=1"


def test_more_time_is_asked_for_in_microseconds(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert notifier.hears
    assert notifier.extend(15.0) is True
    assert heard(manager) == "EXTEND_TIMEOUT_USEC=15000000"


def after(cause: Exception, error: Exception) -> Exception:
    """`error`, raised while `cause` was dealt with."""
    error.__context__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words", "number"),
    [
        (StartError("the socket is taken: stop it"), "the socket is taken: stop it", errno.EINVAL),
        (after(PermissionError(errno.EACCES, "denied"), StartError("cannot use /x")), "cannot use /x", errno.EACCES),
        (StoreUnavailable("the disk is full"), "the disk is full", errno.EIO),
        (
            ConfigError("f.toml", [("a", "wrong"), ("b", "wrong"), ("c", "wrong")]),
            "f.toml: a: wrong (and 2 more: see the log)",
            errno.EINVAL,
        ),
        (after(StartError("no such file"), Misuse("no such file")), "no such file", errno.EINVAL),
        (KeyError("x"), "KeyError: 'x'", errno.EIO),
    ],
)
def test_a_failure_is_a_sentence_and_a_number(
    manager: socket.socket, tmp_path: Path, error: Exception, words: str, number: int
) -> None:
    assert Notifier.from_environ({"NOTIFY_SOCKET": str(tmp_path / "notify")}).failed(error) is True
    assert heard(manager) == f"STATUS={words}\nERRNO={number}"


def test_an_abstract_socket_is_reached() -> None:
    name = f"stoker-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        manager.setblocking(False)
        assert Notifier.from_environ({"NOTIFY_SOCKET": "@" + name}).stopping()
        assert heard(manager) == "STOPPING=1"


def test_a_status_is_one_line_of_utf8_however_it_looks(manager: socket.socket, tmp_path: Path) -> None:
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notifier.status("zwei Fässer\nREADY=1\x00 \udc80")
    message = heard(manager)
    assert message == "STATUS=zwei Fässer READY=1\x00 ?"
    notifier.ready("🔥" * 5000)
    assert len(heard(manager).encode()) < 4096


def test_the_variables_are_taken_out_of_the_environment() -> None:
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1", "PATH": "/bin"}
    Notifier.from_environ(environ)
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize("address", [None, "", "vsock:2:1", "relative", "/nowhere/notify", "/" + "x" * 200, "@"])
def test_without_a_socket_that_works_nothing_happens(address: str | None) -> None:
    notifier = Notifier.from_environ({} if address is None else {"NOTIFY_SOCKET": address})
    assert notifier.ready("x") is False
    assert notifier.status("x") is False
    assert notifier.watchdog() is False
    assert notifier.stopping() is False


def test_a_manager_that_does_not_read_never_blocks_us(manager: socket.socket, tmp_path: Path) -> None:
    """The kernel's queue is some hundred messages long; were sending to wait for room, this would hang."""
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": str(tmp_path / "notify")})
    for _ in range(100_000):
        if not notifier.watchdog():
            break
    else:
        pytest.fail("the queue has no end")
    heard(manager)
    assert notifier.watchdog() is True


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid() + 1)}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "me"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_time_when_it_watches_us(
    variables: dict[str, str], interval: float | None
) -> None:
    assert Notifier.from_environ({"NOTIFY_SOCKET": "/x", **variables}).watchdog_interval == interval


def test_without_a_socket_no_watchdog_is_fed() -> None:
    assert Notifier.from_environ({"WATCHDOG_USEC": "1000"}).watchdog_interval is None
