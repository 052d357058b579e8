"""The sockets that systemd hands over, and what each is for: sd_listen_fds_with_names(3)."""

import os
import re
import socket
from collections.abc import MutableMapping
from contextlib import ExitStack
from typing import NamedTuple

from supervisor.core.roles import Role
from supervisor.errors import StartError

FIRST = 3  # sd_listen_fds(3)

# What may be done at most through a socket with this FileDescriptorName=.
_CEILINGS = {"control": Role.ADMIN, "look": Role.LOOK, "submit": Role.SUBMIT, "admin": Role.ADMIN}
_UNNAMED = ("", "unknown")  # what sd_listen_fds_with_names says where nobody gave a name


class Inherited(NamedTuple):
    """A Unix stream socket that listens."""

    sock: socket.socket
    name: str
    ceiling: Role


def take_inherited(environ: MutableMapping[str, str]) -> list[Inherited]:
    """All that is handed over to this process, in systemd's order; none is open to a child. The variables that say
    so are removed. Raises StartError for a socket that cannot be served as it was meant."""
    names = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID")
    count, pid, told, _ = (environ.pop(name, "") for name in names)
    if pid != str(os.getpid()) or not re.fullmatch("[1-9][0-9]{0,3}", count):
        return []
    fds = range(FIRST, FIRST + int(count))
    for fd in fds:
        _keep(fd)
    named = told.split(":")
    with ExitStack() as closing:
        socks = [
            (closing.enter_context(_opened(fd)), named[at] if at < len(named) else "") for at, fd in enumerate(fds)
        ]
        found = [_checked(sock, name) for sock, name in socks]
        closing.pop_all()
        return found


def _keep(fd: int) -> None:
    """From our children, and before anything can go wrong: systemd hands them over open to all."""
    try:
        os.set_inheritable(fd, False)
    except OSError as error:
        raise _unusable(error) from None


def _opened(fd: int) -> socket.socket:
    try:
        return socket.socket(fileno=fd)
    except OSError as error:
        raise _unusable(error) from None


def _unusable(error: OSError) -> StartError:
    return StartError(
        f"cannot use a descriptor that systemd handed over: {error.strerror}; "
        "let the socket units have ListenStream=/PATH and nothing else to listen at"
    )


def _checked(sock: socket.socket, name: str) -> Inherited:
    wrong = _wrong(sock)
    if wrong:
        raise StartError(f'systemd handed over {wrong} (its name is "{name}")')
    return Inherited(sock, name, _ceiling(name))


def _wrong(sock: socket.socket) -> str | None:
    """What it is instead, and the line of its unit that is to be changed."""
    if sock.family != socket.AF_UNIX:
        return "a network socket: stoker listens at paths only, let its socket units say ListenStream=/PATH"
    if sock.type == socket.SOCK_DGRAM:
        return "a datagram socket: write ListenStream=/PATH in place of ListenDatagram="
    if sock.type != socket.SOCK_STREAM:
        return "a packet socket: write ListenStream=/PATH in place of ListenSequentialPacket="
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "a connection and not a listening socket: its unit must say Accept=no"
    return None


def _ceiling(name: str) -> Role:
    """Without FileDescriptorName=, the name is that of the unit. A name that means nothing here is refused, even where
    there is no other: a misspelled `look` would let everybody in."""
    if name in _CEILINGS:
        return _CEILINGS[name]
    if name in _UNNAMED or name.endswith(".socket"):
        return Role.ADMIN
    raise StartError(
        f'systemd handed over a socket named "{name}": write FileDescriptorName=control, look, submit or admin in its '
        "unit, or leave the line out, which is control"
    )
