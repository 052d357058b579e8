"""A file that a caller names, opened with his rights and not with the daemon's.

A daemon of root could read whatever it is told to, for anybody. So the kernel is asked on the caller's behalf: a thread
that exists for this one file gets his user, his groups and no capability, and ends. (To compare the file's mode with
him would leave out what else decides: the folders above it, ACLs, security modules, a remote file server. A process of
his own would be his: he could trace it.) The kernel keeps these credentials for each thread by itself; the C library's
own functions would change them for all, which is why the system calls are made by hand.
"""

import ctypes
import errno
import os
import platform
import stat
import struct
import threading
from collections.abc import Callable
from functools import cache

from supervisor.config import people
from supervisor.control.complaints import cut
from supervisor.core.access import Peer
from supervisor.errors import Forbidden, Invalid, StoreUnavailable

SEND_THEM = "send the lines themselves instead (`stoker batch submit` does)"
_OPENAT2 = 437  # on every machine
_NO_MAGIC_LINKS = 0x02  # those of /proc: they lead past the folders that would have to let him through
_SETGROUPS = {"x86_64": 116, "aarch64": 159, "riscv64": 159, "loongarch64": 159, "ppc64le": 81, "s390x": 206}
_AT_FDCWD = -100
_PROC = 0x9FA0  # statfs
_CAPABILITIES = 0x20080522  # version 3 of capset
_GET_DUMPABLE, _SET_DUMPABLE = 3, 4  # prctl


class OpenFile:
    """A regular file, open for reading: as large as it was then. It is closed when nobody has it any more, which a
    thread that nobody waits for may be the last to do."""

    __slots__ = ("_fd", "size")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size

    def read(self, at: int, size: int) -> bytes:
        """Blocks. Nothing of what was put behind its end since; it may have become shorter."""
        return os.pread(self._fd, max(0, min(size, self.size - at)), at)

    def __del__(self) -> None:
        os.close(self._fd)


def open_for(peer: Peer, path: str) -> OpenFile:
    """Blocks for as long as a file server may take. Raises Invalid where the path leads to nothing that the caller may
    read, or to no file, and Forbidden where the daemon cannot tell what he may."""
    if not path.startswith("/") or "\0" in path:
        raise Invalid(f'path: must be absolute, since the daemon is in another folder than you, got "{cut(path)}"')
    if peer.uid == os.geteuid():
        return _opened(path)
    if os.geteuid() != 0:
        raise Forbidden(
            f"path: the daemon is not root, and cannot open files as the user with uid {peer.uid}: {SEND_THEM}"
        )
    if people.stands_for_strangers(peer.uid):
        raise Forbidden(f"path: you are of another user namespace, and nobody here: {SEND_THEM}")
    return _in_a_thread(lambda: _opened_as(peer, path))


def _in_a_thread(work: Callable[[], OpenFile]) -> OpenFile:
    """A new one: those that are used again would go on with the caller's rights."""
    done: list[OpenFile | BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:
            done.append(error)

    thread = threading.Thread(target=run, name="opening", daemon=True)
    thread.start()
    thread.join()
    result = done.pop()
    if isinstance(result, BaseException):
        raise result
    return result


def _opened_as(peer: Peer, path: str) -> OpenFile:
    try:
        _become(peer)
    except OSError as error:
        words = f"path: the daemon cannot open files as the user with uid {peer.uid} ({error.strerror}): {SEND_THEM}"
        raise Forbidden(words) from None
    return _opened(path)


def _become(peer: Peer) -> None:
    """In this thread, for good. Raises OSError."""
    libc = _libc()
    dumpable = _dumpable()
    number = _SETGROUPS.get(platform.machine())
    if number is None:
        raise OSError(0, "not on this kind of machine")
    groups = sorted(peer.groups)
    _check(libc.syscall(ctypes.c_long(number), ctypes.c_long(len(groups)), (ctypes.c_uint32 * len(groups))(*groups)))
    # Which of them was the primary one makes no difference to what may be read.
    for set_id, wanted in ((libc.setfsgid, groups[0] if groups else people.overflow("gid")), (libc.setfsuid, peer.uid)):
        set_id(ctypes.c_uint32(wanted))
        if set_id(ctypes.c_uint32(0xFFFFFFFF)) != wanted:  # they tell of no failure; this asks
            raise OSError(0, "not permitted")
    # The kernel takes those that override a file's mode away by itself. What is left would open other processes' /proc.
    _check(libc.capset(struct.pack("=Ii", _CAPABILITIES, 0), bytes(24)))
    if dumpable == 1:  # it has been taken from the whole process, which would leave no core when it crashes
        libc.prctl(_SET_DUMPABLE, 1, 0, 0, 0)


def _opened(path: str) -> OpenFile:
    try:
        return _regular(path)
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise Forbidden(f"path: this needs Linux 5.6: {SEND_THEM}") from None
        raise Invalid(f'path: "{cut(path)}" cannot be opened with your rights: {error.strerror}') from None


def _regular(path: str) -> OpenFile:
    """It is looked at before it is opened: to open a device or a FIFO does something to it."""
    found = _located(path)
    try:
        mode = os.fstat(found).st_mode
        if not stat.S_ISREG(mode) or _is_of_proc(found):
            raise Invalid(f'path: "{cut(path)}" is {_kind(mode)}, and no file with lines: {SEND_THEM}')
        try:
            fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        except FileNotFoundError:
            raise StoreUnavailable(f"path: the daemon has no /proc, without which it opens none: {SEND_THEM}") from None
    finally:
        os.close(found)
    return OpenFile(fd, os.fstat(fd).st_size)


def _located(path: str) -> int:
    how = struct.pack("=QQQ", os.O_PATH | os.O_CLOEXEC, 0, _NO_MAGIC_LINKS)
    name = ctypes.c_char_p(os.fsencode(path))
    fd: int = _libc().syscall(
        ctypes.c_long(_OPENAT2), ctypes.c_long(_AT_FDCWD), name, ctypes.c_char_p(how), ctypes.c_long(len(how))
    )
    _check(fd)
    return fd


def _is_of_proc(fd: int) -> bool:
    """Such a file tells of whoever reads it: the daemon."""
    told = ctypes.create_string_buffer(256)
    _check(_libc().fstatfs(fd, told))
    return ctypes.c_long.from_buffer(told).value == _PROC


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    if stat.S_ISFIFO(mode):
        return "a FIFO"
    if stat.S_ISREG(mode):
        return "a view of the daemon itself"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


@cache
def _dumpable() -> int:
    """As it was before any of this."""
    found: int = _libc().prctl(_GET_DUMPABLE, 0, 0, 0, 0)
    return found
