"""subscribe: events by themselves, each once, as the client takes them."""

from typing import Any

import pytest
import trio

from supervisor.control import following
from supervisor.control.cursors import encode_place
from supervisor.core.journal import Kind
from supervisor.errors import Gone, StoreUnavailable
from tests.control.fake_service import FakeService
from tests.control.talk import Talk


async def told(talk: Talk) -> tuple[str, dict[str, Any]]:
    notification = await talk.receive()
    assert set(notification) == {"jsonrpc", "method", "params"}
    return notification["method"], notification["params"]


async def cursors(talk: Talk, count: int) -> list[str]:
    found = [await told(talk) for _ in range(count)]
    assert {method for method, _ in found} == {"event"}
    return [event["cursor"] for _, event in found]


async def test_what_happened_and_what_happens_next_is_told_in_one_stream(talk: Talk, service: FakeService) -> None:
    for _ in range(3):
        service.happen(Kind.SUBMITTED)
    assert await talk.ask("subscribe", since=encode_place(1)) == {"cursor": encode_place(1)}
    assert await cursors(talk, 2) == [encode_place(2), encode_place(3)]
    service.happen(Kind.STARTED, attempt=1)
    method, event = await told(talk)
    assert (method, event["cursor"], event["kind"]) == ("event", encode_place(4), "started")
    assert event["data"] == {"attempt": 1}


async def test_it_begins_with_the_oldest_event_or_some_before_the_newest(talk: Talk, service: FakeService) -> None:
    for _ in range(3):
        service.happen(Kind.SUBMITTED)
    service.forget(1)
    assert await talk.ask("subscribe", last=1) == {"cursor": encode_place(2)}
    assert await cursors(talk, 1) == [encode_place(3)]
    assert await talk.ask("subscribe") == {"cursor": encode_place(1)}
    assert await cursors(talk, 2) == [encode_place(2), encode_place(3)]


async def test_other_requests_are_answered_beside_it(talk: Talk, service: FakeService) -> None:
    await talk.ask("subscribe")
    assert "version" in await talk.ask("ping")
    service.happen(Kind.SUBMITTED)
    assert await cursors(talk, 1) == [encode_place(1)]
    assert "version" in await talk.ask("ping")


async def test_it_goes_on_for_who_has_nothing_more_to_ask(talk: Talk, service: FakeService) -> None:
    """As in `echo … | nc -U`."""
    await talk.ask("subscribe")
    talk.half_close()
    service.happen(Kind.SUBMITTED)
    assert await cursors(talk, 1) == [encode_place(1)]


async def test_events_removed_before_they_were_taken_are_told_as_a_gap(talk: Talk, service: FakeService) -> None:
    service.happen(Kind.SUBMITTED)
    await talk.ask("subscribe")
    assert await cursors(talk, 1) == [encode_place(1)]
    service.journal += [None] * 5  # type: ignore[list-item]
    service.forget(6)
    service.happen(Kind.DONE)
    assert await told(talk) == ("gap", {"cursor": encode_place(6), "missed": 5, "first": 7})
    assert await cursors(talk, 1) == [encode_place(7)]


async def test_a_place_that_is_gone_at_the_beginning_is_a_refusal(talk: Talk, service: FakeService) -> None:
    for _ in range(3):
        service.happen(Kind.SUBMITTED)
    service.forget(2)
    refusal = await talk.refusal("subscribe", since=encode_place(1))
    assert (refusal.word, refusal.data["first"]) == (Gone.code, 3)


async def test_who_is_told_of_nothing_learns_how_far_he_is(talk: Talk, service: FakeService) -> None:
    """Else the place to go on from would grow old, and be gone one day, though nothing was missed."""
    for _ in range(3):
        service.happen(Kind.SUBMITTED)
    await talk.ask("subscribe", kind="failed")
    assert await told(talk) == ("place", {"cursor": encode_place(3)})
    service.happen(Kind.FAILED)
    assert await cursors(talk, 1) == [encode_place(4)]


async def test_a_read_that_fails_is_done_again(
    talk: Talk, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "AGAIN_SECS", 0)
    await talk.ask("subscribe")
    service.breakage = StoreUnavailable("the file cannot be read")
    service.happen(Kind.SUBMITTED)
    assert await cursors(talk, 1) == [encode_place(1)]


async def test_of_who_takes_nothing_one_page_is_kept_and_nothing_more_is_read(talk: Talk, service: FakeService) -> None:
    many = 20_000
    for _ in range(many):
        service.happen(Kind.SUBMITTED)
    await talk.ask("subscribe")
    await trio.testing.wait_all_tasks_blocked()
    read = len(service.asked) * following.PAGE
    assert read < many / 4  # as much as the kernel takes, and a page
    assert await cursors(talk, many) == [encode_place(n) for n in range(1, many + 1)]


async def test_what_makes_no_sense_is_refused_by_name(talk: Talk) -> None:
    for asked, word in (({"last": -1}, "last"), ({"since": "nonsense"}, "since"), ({"kind": "over"}, "kind")):
        refusal = await talk.refusal("subscribe", **asked)
        assert (refusal.word, refusal.message.partition(":")[0]) == ("invalid", word)
