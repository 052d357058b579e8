"""The control socket's server: who may come in, and what happens when a conversation goes wrong."""

import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

import structlog
import trio

from protocol.control import REFUSED
from supervisor.control.access import Caller, peer_of
from supervisor.control.connection import Connection
from supervisor.control.context import Context
from supervisor.control.dispatch import Dispatcher
from supervisor.control.farewell import Farewell
from supervisor.control.hangups import HangUps
from supervisor.control.receiving import Receptions
from supervisor.control.rpc import encode_error
from supervisor.control.service import Service
from supervisor.core.access import NOBODY
from supervisor.core.denials import Denials
from supervisor.core.roles import Role
from supervisor.errors import Forbidden

log = structlog.get_logger("stoker.control")

SPARE = 8  # connections beyond the limit, for those who administer: nobody who fills it up shall keep them out


def utc_micros() -> int:
    return time.time_ns() // 1000


class Entrance(NamedTuple):
    """Where clients come in, and what they may do at most who come in there."""

    listener: trio.SocketListener
    ceiling: Role = Role.ADMIN


async def serve_control(
    service: Service,
    entrances: Sequence[Entrance],
    *,
    now: Callable[[], int] = utc_micros,
    task_status: trio.TaskStatus[Farewell] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve whoever connects until cancelled; what is given to `task_status` ends the conversations in good order
    before. `now` tells microseconds since 1970 in UTC.

    A lack of descriptors or memory delays new connections and ends nothing (trio logs it and tries again). The
    listeners are closed at the end; their paths are the caller's.
    """
    farewell = Farewell()
    with contextlib.closing(HangUps()) as hang_ups:
        door = _Door(service, hang_ups, farewell, now)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hang_ups.run)
            nursery.start_soon(door.receptions.run)
            for listener, ceiling in entrances:
                let_in = partial(door.let_in, ceiling=ceiling)
                nursery.start_soon(_accept, listener, let_in, nursery, farewell.accepting())
            task_status.started(farewell)


async def _accept(
    listener: trio.SocketListener,
    let_in: Callable[[trio.SocketStream], Awaitable[object]],
    conversations: trio.Nursery,
    scope: trio.CancelScope,
) -> None:
    with scope:
        await trio.serve_listeners(let_in, [listener], handler_nursery=conversations)


class _Door:
    def __init__(self, service: Service, hang_ups: HangUps, farewell: Farewell, now: Callable[[], int]) -> None:
        self._service = service
        self._now = now
        self._denials = Denials()
        self._hang_ups = hang_ups
        self._farewell = farewell
        self.receptions = Receptions()

    async def let_in(self, stream: trio.SocketStream, ceiling: Role = Role.ADMIN) -> None:
        """One client, from its connecting on, at a socket that grants `ceiling` at most. serve_listeners closes the
        stream."""
        try:
            await self._receive(stream, ceiling)
        except Exception as error:  # a bug, which is this client's misfortune and nobody else's
            log.error("connection_failed", exc_info=error)

    async def _receive(self, stream: trio.SocketStream, ceiling: Role) -> None:
        fd = stream.socket.fileno()
        daemon = self._service.config.daemon  # as it is now
        caller = Caller(self._service, peer_of(stream.socket), ceiling, self._denials)
        if caller.reach.most == NOBODY:
            _say(fd, caller.turned_away())
            return
        spare = SPARE if caller.reach.daemon == Role.ADMIN else 0
        if self._service.connections >= daemon.max_connections + spare:
            self._turn_away(fd)
            return
        self._service.connections += 1
        parts = self.receptions.of(caller.peer.uid)
        try:
            connection = Connection(
                fd,
                Dispatcher(Context(self._service, self._now, caller, parts)),
                self._hang_ups,
                max_line=daemon.max_line,
                max_outstanding=daemon.max_outstanding,
            )
            with self._farewell.to(connection, stream):
                await connection.converse()
        finally:
            self._service.connections -= 1
            await parts.close()

    def _turn_away(self, fd: int) -> None:
        limit = self._service.config.daemon.max_connections
        message = (
            f"there are {limit} connections already (daemon.max_connections): close one, or ask more on each, "
            "since requests can be pipelined"
        )
        _say(fd, Forbidden(message, limit=limit))


def _say(fd: int, refusal: Forbidden) -> None:
    """To a client that is not let in."""
    with contextlib.suppress(OSError):
        os.write(fd, encode_error(b"null", REFUSED, refusal.message, {"code": refusal.code, **refusal.data}))
