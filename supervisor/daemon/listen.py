"""The control sockets: a live one is never taken away, a dead one is replaced, those handed over by systemd are used.

Two things guard a socket of ours. The lock on PATH.lock, held for the daemon's life, tells daemons apart even in the
moment between binding and listening; the attempt to connect finds what knows nothing of that lock. The lock file
stays when the daemon leaves: removing it would let two daemons hold the lock of one name.
"""

import errno
import os
import socket
import stat
from collections.abc import MutableMapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import structlog
import trio

from supervisor.config.kinds import SOCKET_PATH_MAX
from supervisor.config.places import make_private, private_folder
from supervisor.core.roles import Role
from supervisor.daemon.inherited import Inherited, take_inherited
from supervisor.errors import StartError
from supervisor.store.sqlite.lock import take_lock

log = structlog.get_logger("stoker.daemon")

BACKLOG = 4096  # connections that may wait while the daemon is busy; net.core.somaxconn may say less

_OR_ELSEWHERE = "or set daemon.socket to another path"


class Listening:
    """A listening control socket. `path` is where clients find it, `inherited` whether it is systemd's, `ceiling` what
    may be done through it at most."""

    def __init__(self, sock: socket.socket, path: Path, lock: int | None = None, *, ceiling: Role = Role.ADMIN) -> None:
        self.path = path
        self.ceiling = ceiling
        self.inherited = lock is None
        self.listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        self._lock = lock
        self._inode = None if lock is None else _inode(path)

    def close(self) -> None:
        """Stop listening. The path is removed only while it still leads to this socket; may be called twice."""
        self.listener.socket.close()
        if self._lock is None:
            return
        if self._inode == _inode(self.path):
            with suppress(OSError):  # a stale socket is no reason to end badly: the next start replaces it
                self.path.unlink()
        os.close(self._lock)
        self._lock = None


async def open_listeners(path: Path, mode: int, environ: MutableMapping[str, str]) -> list[Listening]:
    """Listen on the sockets that systemd handed over through `environ`, from which its variables are removed; and at
    `path` (permissions `mode`) where none of those is for everything: a daemon that nobody may administer could not
    even be told to reload. The one for everything comes first. Raises StartError; then nothing was changed that
    anybody uses."""
    await trio.lowlevel.checkpoint()
    with ExitStack() as closing:
        inherited = [_inherited(one) for one in take_inherited(environ)]
        for one in inherited:
            closing.callback(one.close)
        found = sorted(inherited, key=lambda one: -one.ceiling)
        if not found or found[0].ceiling < Role.ADMIN:
            found.insert(0, _own_beside(path, mode, inherited))
        closing.pop_all()
        return found


def tell_if_elsewhere(path: Path, listening: Sequence[Listening]) -> None:
    """Whoever reads the configuration looks for the daemon at `path`: warn where none of its sockets is."""
    if path not in [one.path for one in listening]:
        log.warning("socket_elsewhere", configured=str(path), sockets=[str(one.path) for one in listening])


def _inherited(one: Inherited) -> Listening:
    name = one.sock.getsockname()
    if isinstance(name, bytes):  # without a file
        name = "@" + name[1:].decode(errors="backslashreplace")
    return Listening(one.sock, Path(name), ceiling=one.ceiling)


def _own_beside(path: Path, mode: int, inherited: Sequence[Listening]) -> Listening:
    if not inherited:
        return _own(path, mode)
    if path in [one.path for one in inherited]:
        raise StartError(
            f"systemd hands {path} over for less than everything, and daemon.socket is the same: hand over one more "
            "with FileDescriptorName=control, or set daemon.socket to another path"
        )
    try:
        return _own(path, mode)
    except StartError as error:
        raise StartError(f"{error.message} (systemd handed over no socket with FileDescriptorName=control)") from None


def _own(path: Path, mode: int) -> Listening:
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        raise StartError(f"the socket path {path} is over {SOCKET_PATH_MAX} bytes, the system's limit: shorten it")
    if path.parent == private_folder():
        make_private(path.parent)
    lock = _lock(path)
    try:
        _clear(path)
        return Listening(_bind(path, mode), path, lock)
    except BaseException:
        os.close(lock)
        raise


def _lock(path: Path) -> int:
    """The descriptor of PATH.lock, locked, with our pid in it."""
    file = path.with_name(path.name + ".lock")
    try:
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except FileNotFoundError:
        raise StartError(f"the socket's folder {path.parent} does not exist: create it, {_OR_ELSEWHERE}") from None
    except OSError as error:
        raise StartError(
            f"cannot open {file}: {error.strerror}; let this user write in {path.parent}, {_OR_ELSEWHERE}"
        ) from None
    try:
        if not take_lock(lock):
            holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            raise _taken(path, f"another stoker (pid {holder})" if holder.isdigit() else "another stoker")
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except StartError:
        os.close(lock)
        raise
    except OSError as error:
        os.close(lock)
        raise StartError(f"cannot lock {file}: {error.strerror}; make room there, {_OR_ELSEWHERE}") from None
    return lock


def _taken(path: Path, holder: str) -> StartError:
    return StartError(f"{holder} is serving {path}: stop it first, {_OR_ELSEWHERE}")


def _clear(path: Path) -> None:
    """Remove what a dead daemon left; raises StartError for anything that is alive, or not a socket."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise StartError(f"{path} exists and is not a socket: move it away, {_OR_ELSEWHERE}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as probe:
            refusal = probe.connect_ex(str(path))
        if refusal in (0, errno.EAGAIN):  # EAGAIN: its backlog is full, so it is busy, not dead
            raise _taken(path, "another program")
        if refusal != errno.ECONNREFUSED:
            raise OSError(refusal, os.strerror(refusal))
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise StartError(
            f"cannot replace the socket {path}: {error.strerror}; remove it if nothing uses it, {_OR_ELSEWHERE}"
        ) from None


def _bind(path: Path, mode: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
        # Until listen() nobody can connect, so there is no moment with a wider mode; umask would reach other threads.
        os.chmod(path, mode)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen at {path}: {error.strerror}") from None
    return sock


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
