"""Who may do what in which queue: decided from who is calling, the socket that he came by, and the lists.

A queue may have lists of its own. Whoever administers the daemon administers every queue: he could restart its pool, or
change the lists.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from supervisor.core.roles import Role

NOBODY = 0  # below every Role: what somebody has who is in no list
ROOT = 0


class Peer(NamedTuple):
    """Who is calling, as he was when he connected. `groups` holds the primary one too, `socket_group` is that of the
    socket's file; None: it has no file, or one of a group that this machine does not know."""

    pid: int
    uid: int
    groups: frozenset[int]
    socket_group: int | None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """The people of one list, by number."""

    users: frozenset[int] = frozenset()
    groups: frozenset[int] = frozenset()
    socket_group: bool = False  # whoever is in the group of the socket's file
    everybody: bool = False  # who can connect

    def holds(self, peer: Peer) -> bool:
        return (
            self.everybody
            or peer.uid in self.users
            or not self.groups.isdisjoint(peer.groups)
            or (self.socket_group and peer.socket_group in peer.groups)
        )


class Lists(msgspec.Struct, frozen=True, kw_only=True):
    """Of the daemon, or of one queue."""

    admin: Listed = Listed()
    submit: Listed = Listed(socket_group=True)
    look: Listed = Listed()

    def role(self, peer: Peer) -> int:
        """The highest of his roles, or NOBODY."""
        for role, listed in ((Role.ADMIN, self.admin), (Role.SUBMIT, self.submit), (Role.LOOK, self.look)):
            if listed.holds(peer):
                return role
        return NOBODY


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's lists, and those of the queues that have their own, whole. `owner` is the daemon's user; None: he
    cannot be told from others."""

    owner: int | None
    lists: Lists = Lists()
    queues: Mapping[str, Lists] = {}


class Sight(msgspec.Struct, frozen=True):
    """Which queues somebody sees: those of `names` alone, or, with `but`, all the others."""

    names: frozenset[str]
    but: bool

    def shows(self, queue: str) -> bool:
        return (queue in self.names) != self.but


class Reach:
    """What one caller may do: `daemon` is his role for the daemon as a whole, and in a queue that is not in `queues`;
    `least` and `most` are the lowest and the highest of all. `sight` has what he may look at; None: everything."""

    __slots__ = ("daemon", "least", "most", "queues", "sight")

    def __init__(self, daemon: int, queues: Mapping[str, int]) -> None:
        self.daemon = daemon
        self.queues = {queue: role for queue, role in queues.items() if role != daemon}
        self.least = min(daemon, *self.queues.values()) if self.queues else daemon
        self.most = max(daemon, *self.queues.values()) if self.queues else daemon
        self.sight = self._sight()

    def role(self, queue: str | None) -> int:
        """In a queue, or (None) for the daemon as a whole."""
        return self.daemon if queue is None else self.queues.get(queue, self.daemon)

    def _sight(self) -> Sight | None:
        if self.least >= Role.LOOK:
            return None
        but = self.daemon >= Role.LOOK
        return Sight(frozenset(name for name, role in self.queues.items() if (role < Role.LOOK) == but), but)


def reach(access: Access, peer: Peer, ceiling: Role) -> Reach:
    """`ceiling` is the most that the caller's socket grants to anybody."""
    if peer.uid in (ROOT, access.owner):
        return Reach(ceiling, {})
    daemon = access.lists.role(peer)
    if daemon == Role.ADMIN:
        return Reach(ceiling, {})
    return Reach(
        min(daemon, ceiling), {queue: min(lists.role(peer), ceiling) for queue, lists in access.queues.items()}
    )
