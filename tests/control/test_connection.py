"""One conversation: what overtakes what, who waits for whom, and what is still done when somebody leaves."""

import json

import pytest
import trio
import trio.testing

from supervisor.core.job import State
from supervisor.core.journal import Kind
from supervisor.errors import Conflict
from tests.control.conftest import House, open_house
from tests.control.fake_service import FakeService, a_config
from tests.control.talk import PATIENCE_SECS, Talk, a_request

MIB = 1024 * 1024


async def settled() -> None:
    """Everybody waits for somebody else: all that could happen has happened."""
    with trio.fail_after(PATIENCE_SECS):
        await trio.testing.wait_all_tasks_blocked()


# -- pipelining --------------------------------------------------------------------------------------------------------


async def test_a_quick_answer_overtakes_a_slow_one(talk: Talk, service: FakeService) -> None:
    service.add(id="a")
    slow = await talk.send("wait", id="a")
    quick = await talk.send("ping")
    await talk.result(quick)
    service.end("a")
    await talk.result(slow)


async def test_many_requests_in_one_write_are_all_answered(talk: Talk) -> None:
    await talk.say(b"".join(a_request("ping", {}, id) for id in range(1000)))
    assert [(await talk.receive())["id"] for _ in range(1000)] == list(range(1000))


async def test_pipelined_submits_are_handed_over_in_the_order_they_were_sent(talk: Talk, service: FakeService) -> None:
    count = 500
    await talk.say(b"".join(a_request("submit", {"queue": "thumbs", "payload": n}, n) for n in range(count)))
    answers = [await talk.receive() for _ in range(count)]
    assert [json.loads(job.payload) for job in service.handed] == list(range(count))
    assert {answer["id"]: answer["result"]["id"] for answer in answers} == {
        n: job.id for n, job in enumerate(service.handed)
    }


async def test_submits_do_not_wait_for_each_others_answers(talk: Talk, service: FakeService) -> None:
    service.hold = trio.Event()
    for n in range(20):
        await talk.send("submit", queue="thumbs", payload=n)
    await settled()
    assert len(service.handed) == 20
    service.hold.set()
    assert len({(await talk.receive())["id"] for _ in range(20)}) == 20


async def test_requests_may_come_in_pieces(talk: Talk) -> None:
    request = a_request("ping", {}, 7)
    for at in range(len(request)):
        await talk.say(request[at : at + 1])
        await settled()
    assert (await talk.receive())["id"] == 7


async def test_ids_come_back_as_they_were_written(talk: Talk) -> None:
    for id in (b'"\\u00e9\\n"', b"1.0", b"null", b"-0", b"12345678901234567890123"):
        await talk.say(b'{"jsonrpc":"2.0","method":"ping","id":%b}\n' % id)
        assert b'"id":%b,' % id in await talk.line()


async def test_a_notification_is_carried_out_and_not_answered(talk: Talk, service: FakeService) -> None:
    await talk.say(a_request("submit", {"queue": "thumbs", "payload": 1}))
    await talk.say(a_request("submit", {"queue": "nowhere", "payload": 1}))
    await talk.say(a_request("no such method", {}))
    await talk.say(a_request("ping", {}))
    await talk.result(await talk.send("ping"))
    await settled()
    assert [job.payload for job in service.handed] == [b"1"]
    talk.half_close()
    assert await talk.ended()


async def test_blank_lines_are_nothing(talk: Talk) -> None:
    await talk.say(b"\n\r\n  \n" + a_request("ping", {}, 1) + b"\n")
    assert (await talk.receive())["id"] == 1
    talk.half_close()
    assert await talk.ended()


# -- leaving -----------------------------------------------------------------------------------------------------------


async def test_after_a_half_close_the_answers_still_come_and_then_the_end(talk: Talk, service: FakeService) -> None:
    service.add(id="a")
    service.hold = trio.Event()
    waiting = await talk.send("wait", id="a")
    submitted = await talk.send("submit", queue="thumbs", payload=1)
    talk.half_close()
    await settled()
    service.hold.set()
    await talk.result(submitted)
    service.end("a")
    await talk.result(waiting)
    assert await talk.ended()


async def test_a_last_line_without_a_newline_is_answered_after_a_half_close(talk: Talk, service: FakeService) -> None:
    await talk.say(a_request("submit", {"queue": "thumbs", "payload": 1}, 1) + a_request("ping", {}, 2).rstrip())
    talk.half_close()
    assert {(await talk.receive())["id"] for _ in range(2)} == {1, 2}
    assert await talk.ended()


async def test_such_a_line_is_answered_in_a_conversation_that_has_gone_on_for_a_while_too(talk: Talk) -> None:
    for n in range(5):
        await talk.send("submit", queue="thumbs", payload=n)
    for _ in range(5):
        await talk.receive()
    await settled()
    await talk.say(a_request("submit", {"queue": "thumbs", "payload": 1}, 6).rstrip())
    talk.half_close()
    assert (await talk.receive())["id"] == 6
    assert await talk.ended()


async def test_a_half_close_behind_more_requests_than_may_be_outstanding_loses_none(service: FakeService) -> None:
    async with open_house(FakeService(a_config(max_outstanding=2))) as house:
        talk = await house.connect()
        await talk.say(b"".join(a_request("submit", {"queue": "thumbs", "payload": n}, n) for n in range(50)))
        talk.half_close()
        assert {(await talk.receive())["id"] for _ in range(50)} == set(range(50))
        assert await talk.ended()


async def test_half_a_line_at_the_end_is_a_parse_error(talk: Talk) -> None:
    await talk.say(b'{"jsonrpc":"2.0","id":1,"meth')
    talk.half_close()
    assert (await talk.receive())["error"]["code"] == -32700
    assert await talk.ended()


async def test_a_client_that_vanishes_ends_its_waits(house: House, service: FakeService) -> None:
    service.add(id="a")
    talk = await house.connect()
    for _ in range(3):
        await talk.send("wait", id="a")
    await settled()
    assert (service.waiting, service.connections) == (3, 1)
    talk.close()
    await settled()
    assert (service.waiting, service.connections) == (0, 0)


async def test_a_client_that_vanishes_after_its_half_close_ends_its_waits(house: House, service: FakeService) -> None:
    service.add(id="a")
    talk = await house.connect()
    await talk.send("wait", id="a")
    talk.half_close()
    await settled()
    assert service.waiting == 1
    talk.close()
    await settled()
    assert (service.waiting, service.connections) == (0, 0)


async def test_a_client_that_vanishes_with_all_it_may_have_outstanding_ends_its_waits() -> None:
    async with open_house(FakeService(a_config(max_outstanding=4))) as house:
        house.service.add(id="a")
        talk = await house.connect()
        for _ in range(9):
            await talk.send("wait", id="a")
        await settled()
        assert house.service.waiting == 4
        talk.close()
        await settled()
        assert (house.service.waiting, house.service.connections) == (0, 0)


async def test_a_client_that_leaves_without_reading_its_answers_is_nothing_special(
    house: House, service: FakeService
) -> None:
    talk = await house.connect()
    await talk.send("ping")
    await settled()
    talk.close()
    await settled()
    assert (service.connections, house.logs) == (0, [])


async def test_what_cannot_be_cancelled_outlasts_its_client_quietly(house: House, service: FakeService) -> None:
    service.hold, service.shield = trio.Event(), True
    talk = await house.connect()
    await talk.send("submit", queue="thumbs", payload=1)
    talk.half_close()
    await settled()
    talk.close()
    await settled()  # never, if the hang-up were reported over and over
    assert service.connections == 1
    service.hold.set()
    await settled()
    assert (len(service.jobs), service.connections) == (1, 0)


async def test_what_a_client_sent_before_it_vanished_is_handed_over(house: House, service: FakeService) -> None:
    talk = await house.connect()
    await talk.say(b"".join(a_request("submit", {"queue": "thumbs", "payload": n}, n) for n in range(100)))
    talk.close()
    await settled()
    assert len(service.handed) == 100
    assert service.connections == 0


async def test_a_client_that_reads_no_more_but_asks_on_is_still_served(house: House, service: FakeService) -> None:
    talk = await house.connect()
    talk.stream.socket.shutdown(trio.socket.SHUT_RD)
    for n in range(300):
        await talk.send("submit", queue="thumbs", payload=n)
    await settled()
    assert len(service.handed) == 300


# -- back pressure -----------------------------------------------------------------------------------------------------


async def flood(talk: Talk, data: bytes) -> None:
    """Send until the daemon reads no more."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.stream.send_all, data)
        await settled()
        nursery.cancel_scope.cancel()


async def test_requests_over_the_limit_are_not_taken_up_until_others_are_answered() -> None:
    async with open_house(FakeService(a_config(max_outstanding=8))) as house:
        service = house.service
        service.hold = trio.Event()
        talk = await house.connect()
        await talk.say(b"".join(a_request("submit", {"queue": "thumbs", "payload": n}, n) for n in range(20)))
        await settled()
        assert len(service.handed) == 8
        service.hold.set()
        assert {(await talk.receive())["id"] for _ in range(20)} == set(range(20))


async def test_a_client_that_reads_nothing_is_read_no_more(house: House, service: FakeService) -> None:
    service.add(id="a", result=b'"' + b"x" * MIB + b'"', state=State.DONE)
    talk, other = await house.connect(), await house.connect()
    await flood(talk, a_request("get", {"id": "a"}, 1) * 100_000)
    # One answer is on its way, and the one that passed the high water waits behind it.
    assert len(service.asked) <= 3
    assert await other.ask("ping")
    talk.close()
    await settled()
    assert service.connections == 1
    assert len(service.asked) <= 6  # nor is what it had sent by then looked up for nobody


async def test_a_client_that_reads_nothing_has_few_big_answers_waiting(house: House, service: FakeService) -> None:
    service.add(id="a", result=b'"' + b"x" * MIB + b'"', state=State.DONE)
    talk = await house.connect()
    await flood(talk, a_request("wait", {"id": "a"}, 1) * 100_000)
    assert len(service.asked) <= 3


async def test_what_may_be_big_is_fetched_one_by_one(talk: Talk, service: FakeService) -> None:
    service.add(id="a")
    service.hold = trio.Event()
    for _ in range(5):
        await talk.send("get", id="a")
    await settled()
    assert len(service.asked) == 1
    service.hold.set()
    assert [(await talk.receive())["id"] for _ in range(5)] == [1, 2, 3, 4, 5]


async def test_pages_of_events_are_fetched_one_by_one_but_who_waits_for_some_is_answered_meanwhile(
    house: House, service: FakeService
) -> None:
    for _ in range(1000):
        service.happen(Kind.SUBMITTED)
    talk, other = await house.connect(), await house.connect()
    await flood(talk, a_request("events", {"limit": 1000}, 1) * 100_000)
    assert len(service.asked) <= 9  # as many as fit between the daemon and a client that reads nothing
    await other.send("events", last=0, wait_secs=100)
    await other.send("ping")
    assert (await other.receive())["id"] == 2


async def test_a_client_that_reads_nothing_has_a_bounded_number_of_small_answers_waiting() -> None:
    async with open_house(FakeService(a_config(max_outstanding=16))) as house:
        service = house.service
        service.add(id="a", result=b'"' + b"x" * 10_000 + b'"', state=State.DONE)
        talk = await house.connect()
        await flood(talk, a_request("wait", {"id": "a"}, 1) * 100_000)
        in_the_socket = 300_000 // 10_000  # both buffers, generously
        assert 16 <= len(service.asked) <= 16 + in_the_socket
        assert (await talk.receive())["id"] == 1


async def test_a_client_that_starts_to_read_gets_everything(house: House) -> None:
    talk = await house.connect()
    count = 20_000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk.stream.send_all, b"".join(a_request("ping", {}, id) for id in range(count)))
        await settled()
        for id in range(count):
            assert (await talk.receive())["id"] == id


async def test_an_answer_larger_than_the_sockets_buffer_arrives_whole(talk: Talk, service: FakeService) -> None:
    service.add(id="a", result=b'"' + b"x" * 15 * MIB + b'"', state=State.DONE)
    assert len((await talk.ask("get", id="a"))["result"]) == 15 * MIB


# -- bad clients -------------------------------------------------------------------------------------------------------


async def test_garbage_is_answered_and_the_conversation_goes_on(talk: Talk) -> None:
    await talk.say(b"hello\n\xff\xfe\n{}\n[]\n" + a_request("ping", {}, 1))
    codes = [(await talk.receive())["error"]["code"] for _ in range(4)]
    assert codes == [-32700, -32700, -32600, -32600]
    assert (await talk.receive())["id"] == 1


@pytest.mark.parametrize("pieces", [1, 3])
async def test_a_line_over_the_limit_is_answered_and_skipped(pieces: int) -> None:
    async with open_house(FakeService(a_config(max_line=1000))) as house:
        talk = await house.connect()
        for _ in range(pieces):
            await talk.say(b"x" * 400_000)
            await settled()
        await talk.say(b"x\n" + a_request("ping", {}, 1))
        answer = await talk.receive()
        assert (answer["id"], answer["error"]["code"]) == (None, -32000)
        assert answer["error"]["data"] == {"code": "too_large", "limit": 1000}
        assert (await talk.receive())["id"] == 1


async def test_nobody_suffers_from_anothers_conversation(house: House, service: FakeService) -> None:
    good = await house.connect()
    garbage, half, silent, greedy = [await house.connect() for _ in range(4)]
    await garbage.say(b"\x00\n" * 1000)
    await half.say(b'{"jsonrpc":"2.0","id":1,"method":"subm')
    await flood(greedy, a_request("list", {}, 1) * 100_000)
    assert await good.ask("submit", queue="thumbs", payload=1)
    for talk in (garbage, half, silent, greedy):
        talk.close()
    await settled()
    assert service.connections == 1
    assert await good.ask("submit", queue="thumbs", payload=2)


async def test_a_refused_request_leaves_no_trace_in_the_next(talk: Talk, service: FakeService) -> None:
    service.breakage = Conflict("once")
    assert (await talk.refusal("submit", queue="thumbs", payload=1)).word == "conflict"
    assert (await talk.ask("submit", queue="thumbs", payload=1))["created"]
