"""A control server on a socket of its own, in front of a fake service."""

import contextlib
import socket
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

import pytest
import structlog.testing
import trio

from supervisor.control.farewell import Farewell
from supervisor.control.server import Entrance, serve_control
from tests.control.fake_service import NOW, FakeService
from tests.control.talk import Talk


class House:
    """A listening server: `connect` as often as you like. A test that makes it log takes the entries out of `logs`."""

    def __init__(self, service: FakeService) -> None:
        self.service = service
        self.logs: list[MutableMapping[str, Any]] = []
        sock = socket.socket(socket.AF_UNIX)
        sock.bind("")  # the kernel chooses an abstract name: no file, no path that is too long
        sock.listen(100)
        self._address = sock.getsockname()
        self._talks: list[Talk] = []
        self._serving = trio.CancelScope()
        self.farewell: Farewell
        self.listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))

    async def run(self, *, task_status: trio.TaskStatus[Farewell]) -> None:
        with self._serving:
            await serve_control(self.service, [Entrance(self.listener)], now=lambda: NOW, task_status=task_status)  # type: ignore[arg-type]

    def stop(self) -> None:
        self._serving.cancel()

    async def connect(self) -> Talk:
        sock = trio.socket.socket(socket.AF_UNIX)
        await sock.connect(self._address)
        talk = Talk(trio.SocketStream(sock))
        self._talks.append(talk)
        return talk

    def close(self) -> None:
        self.stop()
        for talk in self._talks:
            talk.close()


@contextlib.asynccontextmanager
async def open_house(service: FakeService | None = None) -> AsyncIterator[House]:
    house = House(service or FakeService())
    with structlog.testing.capture_logs() as house.logs:
        async with trio.open_nursery() as nursery:
            house.farewell = await nursery.start(house.run)
            with contextlib.closing(house):
                yield house
    assert not house.logs


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
async def house(service: FakeService) -> AsyncIterator[House]:
    async with open_house(service) as opened:
        yield opened


@pytest.fixture
async def talk(house: House) -> Talk:
    return await house.connect()
