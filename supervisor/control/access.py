"""Who is calling, and what he may do: the kernel says who, the configuration what.

The credentials are those of the moment when the client connected, whatever its process has become since.
"""

import os
import socket
import struct
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple, NoReturn, Protocol

import structlog
import trio

from supervisor.config import people
from supervisor.config.model import AccessConfig, Config
from supervisor.control.complaints import cut
from supervisor.core.access import NOBODY, Access, Listed, Lists, Peer, Reach, Sight, reach
from supervisor.core.denials import Denials
from supervisor.core.roles import Role
from supervisor.errors import Forbidden

log = structlog.get_logger("stoker.control")

SO_PEERGROUPS = 59  # Python has no name for it
_CREDENTIALS = struct.Struct("iII")  # pid, uid, gid
_GROUPS_MOST = 1024  # bytes: which is what Python's getsockopt gives at most: 256 groups
_GROUPS_LOGGED = 32
_name = lru_cache(256)(people.name_of)  # a directory service may take its time, and a client may ask again and again


def access_of(config: Config, owner: int) -> Access:
    """What the configuration says, with `owner` the daemon's user. An entry for which this machine has no user or group
    is logged, and means nobody."""
    said = config.access
    lists = Lists(
        admin=_listed("access.admin", said.admin or ()),
        submit=Listed(socket_group=True) if said.submit is None else _listed("access.submit", said.submit),
        look=_listed("access.look", said.look or ()),
    )
    own = [queue for queue in config.queues if queue.access != AccessConfig()]
    return Access(
        owner=_owner(owner),
        lists=lists,
        queues={queue.name: _for_queue(f"queues.{queue.name}.access", queue.access, lists) for queue in own},
    )


def _owner(uid: int) -> int | None:
    if not people.stands_for_strangers(uid):
        return uid
    reason = "the daemon's own user, and everybody of another user namespace: let it run as another user"
    log.warning("access_unknown", key="access.admin", entry=str(uid), reason=reason)
    return None


def _for_queue(at: str, said: AccessConfig, lists: Lists) -> Lists:
    return Lists(
        admin=lists.admin if said.admin is None else _listed(f"{at}.admin", said.admin),
        submit=lists.submit if said.submit is None else _listed(f"{at}.submit", said.submit),
        look=lists.look if said.look is None else _listed(f"{at}.look", said.look),
    )


def _listed(at: str, entries: Iterable[str]) -> Listed:
    found = []
    for entry in entries:
        try:
            person = people.find(entry)
        except LookupError as error:
            log.warning("access_unknown", key=at, entry=entry, reason=error.args[0])
            continue
        found.append(person)
        if people.is_out_of_sight(person):
            reason = "not one of the daemon's user namespace: its unit must not say PrivateUsers=yes"
            log.warning("access_unknown", key=at, entry=entry, reason=reason)
    return Listed(
        users=frozenset(one.uid for one in found if one.uid is not None),
        groups=frozenset(one.gid for one in found if one.gid is not None),
        everybody=people.Person() in found,
    )


def peer_of(sock: trio.socket.SocketType) -> Peer:
    """Who is at the other end of an accepted connection."""
    pid, uid, gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    groups = {gid, *_more_groups(sock, uid, gid)} - {people.overflow("gid")}
    return Peer(pid, uid, frozenset(groups), _socket_group(sock))


def _more_groups(sock: trio.socket.SocketType, uid: int, gid: int) -> Iterable[int]:
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _GROUPS_MOST)
    except OSError:  # a kernel before 4.13, or somebody with more groups than that
        return people.groups_of(uid, gid)
    return (group for (group,) in struct.iter_unpack("I", data))


def _socket_group(sock: trio.socket.SocketType) -> int | None:
    """Looked up for each connection: whoever made the socket may give it to another group later."""
    path = sock.getsockname()
    try:
        group = os.stat(path).st_gid if path else None
    except (OSError, ValueError):  # removed, or the name of none: an abstract socket's begins with NUL
        return None
    return None if group == people.overflow("gid") else group


class Guarded(Protocol):
    """What has the rules, which a reload may change."""

    access: Access
    config: Config


class Demand(NamedTuple):
    """What a call needs."""

    method: str
    role: Role


class Caller:
    """One connection's. What he may do is worked out when he connects, and when the rules have changed since."""

    __slots__ = ("_access", "_ceiling", "_denials", "_reach", "_rules", "peer")

    def __init__(self, rules: Guarded, peer: Peer, ceiling: Role, denials: Denials) -> None:
        self.peer = peer
        self._rules = rules
        self._ceiling = ceiling
        self._denials = denials
        self._access = rules.access
        self._reach = reach(self._access, peer, ceiling)

    @property
    def reach(self) -> Reach:
        if self._access is not self._rules.access:
            self._access = self._rules.access
            self._reach = reach(self._access, self.peer, self._ceiling)
        return self._reach

    @property
    def sight(self) -> Sight | None:
        """The queues that he may look at; None: all."""
        return self.reach.sight

    def sees(self, queue: str) -> bool:
        return self.reach.role(queue) >= Role.LOOK

    def demand(self, demand: Demand, queue: str | None = None) -> None:
        """Raises Forbidden where he has not the role, in the queue or (None) for the daemon as a whole."""
        has = self.reach.role(queue)
        if has < demand.role:
            self.refuse(demand, has, queue)

    def turned_away(self) -> Forbidden:
        """What is told to one who has no role anywhere."""
        needs = Demand("connect", Role.LOOK)
        self.note(needs, NOBODY)
        words = f"{self} may do nothing here: {self._remedy(needs.role, None)}"
        return Forbidden(words, needs=_word(needs.role), has=None)

    def refuse(self, demand: Demand, has: int, queue: str | None = None) -> NoReturn:
        self.note(demand, has, queue)
        where = "" if queue is None else f" in queue {cut(queue)}"
        words = (
            f'"{demand.method}" needs the role {_word(demand.role)}{where}, and {self} has {_word(has)}: '
            f"{self._remedy(demand.role, queue)}"
        )
        data = {} if queue is None else {"queue": cut(queue)}
        raise Forbidden(words, needs=_word(demand.role), has=_word(has) if has else None, **data)

    def note(self, demand: Demand, has: int, queue: str | None = None) -> None:
        """In the log, where the same has not been told of just now."""
        left_out = self._denials.tell(self.peer.uid, demand.method, time.monotonic())
        if left_out is not None:
            log.warning(
                "access_denied",
                uid=self.peer.uid,
                user=_name(self.peer.uid),
                pid=self.peer.pid,
                groups=sorted(self.peer.groups)[:_GROUPS_LOGGED],
                socket_group=self.peer.socket_group,
                method=demand.method,
                queue=None if queue is None else cut(queue),
                needs=_word(demand.role),
                has=_word(has),
                left_out=left_out,
            )

    def _remedy(self, needs: Role, queue: str | None) -> str:
        if self._ceiling < needs:
            return f"this socket grants {_word(self._ceiling)} at most, use another one"
        section = "[access]" if queue is None or queue not in self._access.queues else f"[queues.{queue}.access]"
        return f"ask for an entry in {_word(needs)} under {section} in {self._rules.config.source}, or use sudo"

    def __str__(self) -> str:
        name = _name(self.peer.uid)
        return f"the user with uid {self.peer.uid}" if name is None else f"user {name} (uid {self.peer.uid})"


def _word(role: int) -> str:
    return Role(role).name.lower() if role > NOBODY else "none"
