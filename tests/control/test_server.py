"""The server as a whole: who may come in, and what no client and no bug can do to it."""

import errno

import pytest
import trio
import trio.testing

from supervisor.control import connection, server
from supervisor.core.access import Peer
from supervisor.core.job import State
from tests.control.conftest import House, open_house
from tests.control.fake_service import FakeService, a_config
from tests.control.talk import a_request


async def test_connections_are_counted(house: House, service: FakeService) -> None:
    talks = [await house.connect() for _ in range(3)]
    for talk in talks:
        await talk.ask("ping")
    assert service.connections == 3
    talks[0].close()
    await trio.testing.wait_all_tasks_blocked()
    assert service.connections == 2


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Whoever comes submits and does not administer, until it is undone."""
    peer = Peer(4321, 3001, frozenset({50}), 50)
    monkeypatch.setattr(server, "peer_of", lambda _: peer)
    return monkeypatch


@pytest.mark.usefixtures("ordinary")
async def test_one_connection_too_many_is_told_so_and_closed() -> None:
    async with open_house(FakeService(a_config(max_connections=2))) as house:
        first, second, third = [await house.connect() for _ in range(3)]
        await first.ask("ping")
        refused = await third.receive()
        assert (refused["id"], refused["error"]["code"]) == (None, -32000)
        assert refused["error"]["data"] == {"code": "forbidden", "limit": 2}
        assert await third.ended()
        second.close()
        await trio.testing.wait_all_tasks_blocked()
        assert await (await house.connect()).ask("ping")


async def test_who_administers_comes_in_although_others_have_all_connections(ordinary: pytest.MonkeyPatch) -> None:
    async with open_house(FakeService(a_config(max_connections=2))) as house:
        others = [await house.connect() for _ in range(3)]
        assert (await others[2].receive())["error"]["data"]["limit"] == 2
        ordinary.undo()
        admins = [await house.connect() for _ in range(server.SPARE + 1)]
        for admin in admins[:-1]:
            assert (await admin.ask("ping"))["role"] == "admin"
        assert (await admins[-1].receive())["error"]["data"] == {"code": "forbidden", "limit": 2}


async def test_a_bug_in_a_handler_is_logged_and_told_to_its_caller_only(house: House, service: FakeService) -> None:
    talk = await house.connect()
    service.breakage = ZeroDivisionError("secret detail")
    refusal = await talk.refusal("submit", queue="thumbs", payload=1)
    assert (refusal.code, refusal.word) == (-32603, "internal")
    assert "secret" not in refusal.message
    entry = house.logs.pop()
    assert (entry["event"], entry["log_level"], entry["method"]) == ("request_failed", "error", "submit")
    assert isinstance(entry["exc_info"], ZeroDivisionError)
    assert await talk.ask("ping")


async def test_a_result_that_cannot_be_encoded_is_a_bug_like_any_other(house: House, service: FakeService) -> None:
    talk = await house.connect()
    service.version = "\ud800"
    assert (await talk.refusal("ping")).word == "internal"
    assert house.logs.pop()["event"] == "request_failed"


async def test_a_bug_in_a_notification_is_logged(house: House, service: FakeService) -> None:
    talk = await house.connect()
    service.breakage = ZeroDivisionError()
    await talk.say(a_request("submit", {"queue": "thumbs", "payload": 1}))
    await talk.ask("ping")
    await trio.testing.wait_all_tasks_blocked()
    assert house.logs.pop()["event"] == "request_failed"


async def test_a_bug_in_a_conversation_ends_that_one_only(
    house: House, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky, lucky = await house.connect(), await house.connect()
    await lucky.ask("ping")

    def fail(_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(connection.Intake, "feed", fail)
        await unlucky.say(b"anything")
        assert await unlucky.ended()
    assert house.logs.pop()["event"] == "connection_failed"
    assert await lucky.ask("ping")
    assert service.connections == 1


async def test_a_lack_of_descriptors_only_delays_new_connections(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = await house.connect()
    await first.ask("ping")
    accept = house.listener.accept
    failures = [errno.EMFILE, errno.ENFILE, errno.ENOMEM]

    async def short_of_descriptors() -> trio.SocketStream:
        stream = await accept()
        if failures:
            await stream.aclose()
            raise OSError(failures.pop(), "none left")
        return stream

    monkeypatch.setattr(house.listener, "accept", short_of_descriptors)
    assert await (await house.connect()).ask("ping")  # by the accept that was under way already
    for _ in range(3):
        assert await (await house.connect()).ended()
    assert await (await house.connect()).ask("ping")
    assert await first.ask("ping")
    assert len(caplog.records) == 3


async def test_stopping_the_server_ends_every_conversation(service: FakeService) -> None:
    service.add(id="a", state=State.PENDING)
    async with open_house(service) as house:
        talk = await house.connect()
        await talk.send("wait", id="a")
        await trio.testing.wait_all_tasks_blocked()
        house.stop()
        assert await talk.ended()
    assert (service.waiting, service.connections) == (0, 0)
