"""The end of a server in good order: whoever was heard is answered, and whoever was not can tell."""

import pytest
import trio
import trio.testing

from supervisor.control import farewell
from supervisor.core.job import State
from tests.control.conftest import House, open_house
from tests.control.fake_service import FakeService
from tests.control.talk import Talk, a_request


async def not_heard(talk: Talk) -> bool:
    """Whether the kernel refuses what the client has to say."""
    try:
        await talk.send("ping")
    except trio.BrokenResourceError:
        return True
    return False


async def test_what_was_sent_by_then_is_answered_and_nothing_after_it_is_heard(house: House) -> None:
    talk = await house.connect()
    await talk.ask("ping")
    await talk.say(b"".join(a_request("submit", {"queue": "thumbs", "payload": n}, n) for n in range(500)))
    await house.farewell.say()
    assert await not_heard(talk)
    assert sorted([(await talk.receive())["id"] for _ in range(500)]) == list(range(500))
    assert await talk.ended()
    assert len(house.service.handed) == 500


async def test_it_waits_for_the_answer_of_a_slow_submit(house: House, service: FakeService) -> None:
    service.hold = trio.Event()
    talk = await house.connect()
    request = await talk.send("submit", queue="thumbs", payload=1)
    said = trio.Event()

    async def say() -> None:
        await house.farewell.say()
        said.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(say)
        while not service.handed:
            await trio.lowlevel.checkpoint()
        assert not said.is_set()
        service.hold.set()
        assert await talk.result(request)
    assert await talk.ended()


async def test_half_a_line_is_no_request_even_where_it_could_be_read_as_one(house: House, service: FakeService) -> None:
    talk = await house.connect()
    await talk.say(a_request("submit", {"queue": "thumbs", "payload": 1}, 1).rstrip(b"\n"))
    await house.farewell.say()
    assert await talk.ended()
    assert not service.handed


async def test_a_last_line_without_its_end_counts_where_the_client_has_closed_its_side(house: House) -> None:
    talk = await house.connect()
    await talk.say(a_request("submit", {"queue": "thumbs", "payload": 1}, 1).rstrip(b"\n"))
    talk.half_close()
    await house.farewell.say()
    assert await talk.result(1)
    assert await talk.ended()


async def test_it_does_not_wait_for_what_waits_for_something_to_happen(house: House, service: FakeService) -> None:
    service.add(id="a", state=State.PENDING)
    waits, follows, asks = [await house.connect() for _ in range(3)]
    await waits.send("wait", id="a")
    await follows.ask("subscribe")
    asked = await asks.send("submit", queue="thumbs", payload=1)
    await trio.testing.wait_all_tasks_blocked()
    with trio.fail_after(farewell.LONGEST / 2):
        await house.farewell.say()
    await asks.result(asked)
    service.end("a")  # by chance in time for an answer
    assert (await waits.receive())["result"]["id"] == "a"


async def test_a_client_that_does_not_read_is_not_waited_for_for_ever(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(farewell, "LONGEST", 0.05)
    talk = await house.connect()
    deaf = b"".join(a_request("ping", {}, n) for n in range(5000))
    with trio.move_on_after(0.2):
        while True:  # until neither side takes any more
            await talk.stream.send_all(deaf)
    with trio.fail_after(10):
        await house.farewell.say()


async def test_who_connects_now_is_left_to_the_next_daemon(service: FakeService) -> None:
    async with open_house(service) as house:
        systemds = house.listener.socket.dup()
        await house.farewell.say()
        late = await house.connect()
        request = await late.send("ping")
        accepted, _ = await systemds.accept()
        assert b"ping" in await accepted.recv(1000)
        assert request == 1
        accepted.close()
        systemds.close()


async def test_who_was_accepted_in_that_moment_is_heard_out(house: House) -> None:
    talks = [await house.connect() for _ in range(5)]
    for talk in talks:
        await talk.send("ping")
    accepted: list[bool] = []
    while not house.service.connections:  # the first is in, others are on their way
        await trio.lowlevel.checkpoint()
    await house.farewell.say()
    for talk in talks:
        try:
            accepted.append(bool(await talk.line()))
        except trio.BrokenResourceError:  # in the queue of a listener that nobody inherits
            accepted.append(False)
    assert accepted[0]
    assert accepted == sorted(accepted, reverse=True)
