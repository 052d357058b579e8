import errno
import fcntl
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from supervisor.daemon import listen
from supervisor.daemon.listen import Listening, open_listeners
from supervisor.errors import StartError


@pytest.fixture
async def listening(tmp_path: Path) -> AsyncIterator[Listening]:
    [opened] = await open_listeners(tmp_path / "s.sock", 0o600, {})
    yield opened
    opened.close()


def dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(path))
        sock.listen()


async def test_clients_get_through(listening: Listening) -> None:
    client = await trio.open_unix_socket(listening.path)
    served = await listening.listener.accept()
    await client.send_all(b"hello")
    assert await served.receive_some(100) == b"hello"
    await client.aclose()
    await served.aclose()
    assert not listening.inherited


async def test_a_crowd_may_wait_in_the_backlog(listening: Listening) -> None:
    clients = []
    try:
        for _ in range(300):  # none of them is accepted
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            clients.append(client)
            client.connect(str(listening.path))
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
async def test_the_mode_is_as_asked_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        [opened] = await open_listeners(tmp_path / "s.sock", mode, {})
    finally:
        os.umask(before)
    assert stat.S_IMODE(opened.path.stat().st_mode) == mode
    opened.close()


async def test_nobody_can_connect_before_the_mode_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = []

    def chmod(path: Path, mode: int) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as early:
            refusals.append(early.connect_ex(str(path)))

    monkeypatch.setattr(os, "chmod", chmod)
    [opened] = await open_listeners(tmp_path / "s.sock", 0o600, {})
    opened.close()
    assert refusals == [errno.ECONNREFUSED]


async def test_a_second_daemon_is_refused_and_told_who_is_there(listening: Listening) -> None:
    with pytest.raises(StartError, match="stop it first") as caught:
        await open_listeners(listening.path, 0o600, {})
    assert str(listening.path) in caught.value.message
    assert f"pid {os.getpid()}" in caught.value.message
    client = await trio.open_unix_socket(listening.path)  # and the first is still there
    await client.aclose()


async def test_a_daemon_that_has_bound_but_not_yet_listened_is_not_replaced(tmp_path: Path) -> None:
    """Connecting would be refused, as with a dead one: here only the lock tells."""
    path = tmp_path / "s.sock"
    lock = os.open(tmp_path / "s.sock.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    dead_socket(path)
    with pytest.raises(StartError, match="another stoker is serving"):
        await open_listeners(path, 0o600, {})
    assert path.is_socket()
    os.close(lock)


async def test_a_live_socket_without_our_lock_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(StartError, match="another program is serving"):
            await open_listeners(path, 0o600, {})
        assert path.is_socket()


async def test_a_live_socket_with_a_full_backlog_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other, socket.socket(socket.AF_UNIX) as waiting:
        other.bind(str(path))
        other.listen(0)
        waiting.connect(str(path))
        with pytest.raises(StartError, match="another program is serving"):
            await open_listeners(path, 0o600, {})


async def test_a_datagram_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        with pytest.raises(StartError, match="cannot replace the socket"):
            await open_listeners(path, 0o600, {})
        assert path.is_socket()


async def test_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    dead_socket(path)
    [opened] = await open_listeners(path, 0o600, {})
    client = await trio.open_unix_socket(path)
    await client.aclose()
    opened.close()


async def test_a_refused_start_leaves_the_lock_free(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.write_text("precious")
    with pytest.raises(StartError):
        await open_listeners(path, 0o600, {})
    path.unlink()
    (await open_listeners(path, 0o600, {}))[0].close()


@pytest.mark.parametrize(
    "make", [lambda path: path.write_text("precious"), Path.mkdir, lambda path: path.symlink_to("x")]
)
async def test_what_is_no_socket_is_never_removed(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "s.sock"
    make(path)
    with pytest.raises(StartError, match="is not a socket"):
        await open_listeners(path, 0o600, {})
    assert "s.sock" in os.listdir(tmp_path)


async def test_closing_removes_the_socket_and_frees_the_name(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    [first] = await open_listeners(path, 0o600, {})
    first.close()
    assert not path.exists()
    [second] = await open_listeners(path, 0o600, {})
    first.close()  # again, and the second does not notice
    client = await trio.open_unix_socket(path)
    await client.aclose()
    second.close()


async def test_closing_leaves_what_is_no_longer_ours(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    [opened] = await open_listeners(path, 0o600, {})
    moved = tmp_path / "moved"
    path.rename(moved)
    dead_socket(path)
    opened.close()
    assert path.is_socket()


async def test_closing_ends_well_when_the_socket_is_gone(tmp_path: Path) -> None:
    [opened] = await open_listeners(tmp_path / "s.sock", 0o600, {})
    opened.path.unlink()
    opened.close()


async def test_children_inherit_neither_socket_nor_lock(listening: Listening) -> None:
    [lock] = [number for number, target in descriptors().items() if target == f"{listening.path}.lock"]
    assert not os.get_inheritable(lock)
    assert not os.get_inheritable(listening.listener.socket.fileno())


def descriptors() -> dict[int, str]:
    """What every open descriptor of this process leads to."""
    found = {}
    for number in map(int, os.listdir("/proc/self/fd")):
        with suppress(FileNotFoundError):  # the one that listdir itself had
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


async def test_a_path_over_the_systems_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="107 bytes"):
        await open_listeners(tmp_path / ("ü" * 60), 0o600, {})


async def test_a_path_at_the_systems_limit_works(tmp_path: Path) -> None:
    path = tmp_path / ("x" * (107 - len(str(tmp_path)) - 1))
    [opened] = await open_listeners(path, 0o600, {})
    client = await trio.open_unix_socket(path)
    await client.aclose()
    opened.close()


async def test_a_missing_folder_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"gone does not exist: create it, or set daemon\.socket"):
        await open_listeners(tmp_path / "gone" / "s.sock", 0o600, {})


async def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StartError, match="Not a directory"):
        await open_listeners(tmp_path / "file" / "s.sock", 0o600, {})


async def test_the_private_folder_is_made_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "stoker-1"
    monkeypatch.setattr(listen, "private_folder", lambda: folder)
    [opened] = await open_listeners(folder / "s.sock", 0o600, {})
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    opened.close()
    folder.chmod(0o755)
    with pytest.raises(StartError, match="0700"):
        await open_listeners(folder / "s.sock", 0o600, {})
