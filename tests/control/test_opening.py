"""A file is opened with the rights of whoever names it, and nobody else ever has them."""

import ctypes
import os
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from supervisor.config import people
from supervisor.control import opening
from supervisor.control.opening import OpenFile, open_for
from supervisor.core.access import Peer
from supervisor.errors import Forbidden, Invalid

UID, GROUP, OTHER = 3001, 3077, 3078
CALLER = Peer(1, UID, frozenset({UID, GROUP}), None)
MYSELF = Peer(1, os.geteuid(), frozenset(os.getgroups()), None)
root = pytest.mark.skipif(os.geteuid() != 0, reason="to be somebody else takes root")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & stat.S_IXOTH:
            place.chmod(0o755)
    return tmp_path


def a_file(path: Path, mode: int, uid: int = 0, gid: int = 0) -> str:
    path.write_text("1\n2\n")
    os.chown(path, uid, gid)
    path.chmod(mode)
    return str(path)


def content(file: OpenFile) -> bytes:
    return file.read(0, 100)


def refused(path: str, peer: Peer = CALLER) -> str:
    with pytest.raises(Invalid) as refusal:
        open_for(peer, path)
    return refusal.value.message


@root
@pytest.mark.parametrize(
    ("mode", "uid", "gid"),
    [(0o400, UID, 0), (0o040, 0, UID), (0o040, 0, GROUP), (0o004, 0, 0)],
    ids=["owner", "primary group", "another group", "anybody"],
)
def test_what_the_caller_may_read_is_read(folder: Path, mode: int, uid: int, gid: int) -> None:
    assert content(open_for(CALLER, a_file(folder / "lines", mode, uid, gid))) == b"1\n2\n"


@root
@pytest.mark.parametrize(
    ("mode", "uid", "gid"),
    [(0o600, 0, 0), (0o040, 0, OTHER), (0o044, UID, 0), (0o404, 0, GROUP)],
    ids=["root's", "a group that is not his", "his own without the right", "his group's without the right"],
)
def test_what_he_may_not_read_is_not(folder: Path, mode: int, uid: int, gid: int) -> None:
    assert "with your rights: Permission denied" in refused(a_file(folder / "lines", mode, uid, gid))


@root
def test_a_readable_file_in_a_folder_that_he_may_not_enter_is_not_read(folder: Path) -> None:
    (folder / "closed").mkdir(mode=0o700)
    path = a_file(folder / "closed" / "lines", 0o644)
    assert "Permission denied" in refused(path)


@root
def test_a_link_leads_where_he_may_go(folder: Path) -> None:
    a_file(folder / "his", 0o400, UID)
    a_file(folder / "roots", 0o400)
    for name in ("his", "roots"):
        (folder / f"to-{name}").symlink_to(folder / name)
    assert content(open_for(CALLER, str(folder / "to-his"))) == b"1\n2\n"
    assert "Permission denied" in refused(str(folder / "to-roots"))


@pytest.mark.parametrize("peer", [pytest.param(CALLER, marks=root), MYSELF], ids=["another", "the daemon's user"])
def test_nothing_but_a_regular_file_is_opened(folder: Path, peer: Peer) -> None:
    os.mkfifo(folder / "fifo", 0o666)
    os.mknod(folder / "sock", stat.S_IFSOCK | 0o666)
    assert "is a FIFO" in refused(str(folder / "fifo"), peer)
    assert "is a folder" in refused(str(folder), peer)
    assert "is a device" in refused("/dev/null", peer)
    assert "is a socket" in refused(str(folder / "sock"), peer)


def test_a_fifo_is_not_touched(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    refused(str(folder / "fifo"), MYSELF)
    with pytest.raises(OSError, match="No such device or address"):  # nobody has it open for reading
        os.open(folder / "fifo", os.O_WRONLY | os.O_NONBLOCK)


@pytest.mark.parametrize("peer", [pytest.param(CALLER, marks=root), MYSELF], ids=["another", "the daemon's user"])
@pytest.mark.parametrize("path", ["maps", "environ", "fd/0", "root/etc/passwd", "cwd/pyproject.toml", "task/self"])
def test_the_daemons_own_proc_leads_nowhere(peer: Peer, path: str) -> None:
    refused(f"/proc/self/{path}", peer)
    refused(f"/proc/thread-self/{path}", peer)
    refused(f"/proc/{os.getpid()}/{path}", peer)


@root
def test_no_capability_opens_other_processes_to_him() -> None:
    assert "Permission denied" in refused("/proc/1/root/etc/passwd")


@pytest.mark.parametrize("path", ["lines", "", "./lines", "/etc/pass\0wd"])
def test_a_path_that_would_mean_something_else_to_the_daemon_is_refused(path: str) -> None:
    assert refused(path, MYSELF).startswith("path: must be absolute")


def test_what_is_not_there_is_said(folder: Path) -> None:
    assert "No such file" in refused(str(folder / "none"), MYSELF)
    assert "File name too long" in refused("/" + "x" * 5000, MYSELF)
    assert "Permission denied" not in refused("/\udcff" + "x", MYSELF)


def test_a_file_is_as_long_as_it_was(folder: Path) -> None:
    path = folder / "lines"
    path.write_bytes(b"123456")
    file = open_for(MYSELF, str(path))
    with path.open("ab") as more:
        more.write(b"789")
    assert (file.read(0, 4), file.read(4, 4), file.read(6, 4)) == (b"1234", b"56", b"")


def test_its_descriptor_is_closed_when_nobody_has_it(folder: Path) -> None:
    path = folder / "lines"
    path.write_bytes(b"1")
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        open_for(MYSELF, str(path))
        refused(str(folder), MYSELF)
    assert os.listdir("/proc/self/fd") == before


def test_a_daemon_that_is_not_root_opens_for_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4000)
    with pytest.raises(Forbidden, match="send the lines themselves instead"):
        open_for(CALLER, "/etc/passwd")


@root
def test_who_is_of_another_user_namespace_is_nobody_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "stands_for_strangers", lambda uid: True)
    with pytest.raises(Forbidden, match="another user namespace"):
        open_for(CALLER, "/etc/passwd")


@root
def test_on_a_machine_whose_calls_are_not_known_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_SETGROUPS", {})
    with pytest.raises(Forbidden, match="not on this kind of machine"):
        open_for(CALLER, "/etc/passwd")


def test_a_kernel_that_cannot_keep_to_the_callers_path_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_OPENAT2", 100_000)
    with pytest.raises(Forbidden, match=r"needs Linux 5\.6: send the lines themselves"):
        open_for(MYSELF, "/etc/passwd")


def _credentials(task: str) -> dict[str, list[str]]:
    with open(f"/proc/{task}/status") as status:
        rows = [line.partition(":") for line in status]
    return {name: value.split() for name, _, value in rows if name in ("Uid", "Gid", "Groups", "CapEff", "CapPrm")}


def _dumpable() -> int:
    return int(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))


@root
def test_one_thread_has_his_rights_while_it_opens_and_no_other_ever(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = a_file(folder / "lines", 0o400, UID)
    seen: list[dict[str, list[str]]] = []
    real = opening._opened

    def watched(name: str) -> OpenFile:
        seen.append(_credentials("thread-self"))
        seen.append(_credentials("self"))  # that of the main thread
        return real(name)

    monkeypatch.setattr(opening, "_opened", watched)
    before, dumpable = _credentials("self"), _dumpable()
    with ThreadPoolExecutor(1) as pool:  # as the daemon does, beside its loop
        pool.submit(open_for, CALLER, path).result()
        after = pool.submit(_credentials, "thread-self").result()
    within, beside = seen
    assert (within["Uid"], within["Gid"]) == (["0", "0", "0", str(UID)], ["0", "0", "0", str(UID)])
    assert within["Groups"] == [str(UID), str(GROUP)]
    assert within["CapEff"] == within["CapPrm"] == ["0" * 16]
    assert before == beside == after == _credentials("self")
    assert _dumpable() == dumpable
    assert "opening" not in {thread.name for thread in threading.enumerate()}


@root
def test_many_at_once_do_not_mix(folder: Path) -> None:
    for uid in range(3001, 3009):
        a_file(folder / str(uid), 0o400, uid)

    def reads(uid: int) -> Callable[[int], bool]:
        def read(owner: int) -> bool:
            try:
                open_for(Peer(1, uid, frozenset({uid}), None), str(folder / str(owner)))
            except Invalid:
                return False
            return True

        return read

    pairs = [(uid, owner) for uid in range(3001, 3009) for owner in range(3001, 3009)] * 3
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda pair: reads(pair[0])(pair[1]), pairs))
    assert found == [uid == owner for uid, owner in pairs]
    assert content(open_for(Peer(1, 0, frozenset({0}), None), str(folder / "3001"))) == b"1\n2\n"
