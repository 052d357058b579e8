"""People with different roles, and a house to which they come."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from supervisor.config.model import AccessConfig, Config, QueueConfig
from supervisor.control import server
from supervisor.core.access import Peer
from tests.control.conftest import House
from tests.control.fake_service import a_config
from tests.control.talk import Talk

GROUP = 50  # of the socket
LOOKER, SUBMITTER, ADMIN, STRANGER = (Peer(4321, uid, frozenset({uid}), GROUP) for uid in (3001, 3002, 3003, 3004))
MEMBER = Peer(4321, 3005, frozenset({3005, GROUP}), GROUP)
MAILER = Peer(4321, 3006, frozenset({3006}), GROUP)
LISTS = AccessConfig(admin=("3003",), submit=("3002", "@50"), look=("3001",))
# Of one queue, `mail`: only the mailer submits and looks.
OWN = AccessConfig(submit=("3006",), look=())


def a_guarded_config(**queues: AccessConfig) -> Config:
    config = a_config()
    more = tuple(QueueConfig(name=name, access=access) for name, access in queues.items())
    return msgspec.structs.replace(config, access=LISTS, queues=(*config.queues, *more))


Come = Callable[[Peer], Awaitable[Talk]]


class Guarded:
    """A house to which everybody comes as the one whom the test says."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        self.house = house
        self._monkeypatch = monkeypatch

    async def come(self, peer: Peer) -> Talk:
        self._monkeypatch.setattr(server, "peer_of", lambda _: peer)
        return await self.house.connect()

    def denied(self) -> list[dict[str, Any]]:
        """What the log says of refusals, which is then forgotten."""
        logs, self.house.logs[:] = [dict(one) for one in self.house.logs], []
        assert {one.pop("event") for one in logs} <= {"access_denied"}
        assert {one.pop("log_level") for one in logs} <= {"warning"}
        return logs
