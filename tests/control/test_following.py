"""events: what is asked for, and how it is answered."""

import pytest

from supervisor.control.cursors import encode_cursor, encode_place
from supervisor.core.journal import Kind, Wanted
from supervisor.errors import Gone
from tests.control.fake_service import NOW, FakeService
from tests.control.talk import Talk


async def test_events_are_told_with_their_places(talk: Talk, service: FakeService) -> None:
    service.happen(Kind.SUBMITTED)
    service.happen(Kind.RETRYING, attempt=1, run_at=NOW, cause="error", job=None)
    answer = await talk.ask("events")
    assert answer == {
        "events": [
            {
                "cursor": encode_place(1),
                "at": "2025-01-01T00:00:00.000001Z",
                "job": "a",
                "queue": "thumbs",
                "kind": "submitted",
                "data": {"attempt": 0},
            },
            {
                "cursor": encode_place(2),
                "at": "2025-01-01T00:00:00.000002Z",
                "job": None,
                "queue": "thumbs",
                "kind": "retrying",
                "data": {"attempt": 1, "run_at": "2025-01-01T00:00:00.000000Z", "cause": "error"},
            },
        ],
        "next": encode_place(2),
        "more": False,
    }


async def test_every_page_begins_where_the_last_one_ended(talk: Talk, service: FakeService) -> None:
    for _ in range(5):
        service.happen(Kind.SUBMITTED)
    seen, since = [], encode_place(0)
    more = True
    while more:
        page = await talk.ask("events", since=since, limit=2)
        seen += [event["cursor"] for event in page["events"]]
        since, more = page["next"], page["more"]
    assert seen == [encode_place(n) for n in range(1, 6)]


async def test_what_was_asked_reaches_the_service(talk: Talk, service: FakeService) -> None:
    for _ in range(4):
        service.happen(Kind.SUBMITTED)
    await talk.ask("events", job="a", queue="thumbs", kind=["done", "failed"], limit=7, last=3)
    await talk.ask("events", since=encode_place(0), kind="done", wait_secs=0.5)
    await talk.ask("events")
    assert service.asked == [
        (1, 7, Wanted(job="a", queue="thumbs", kinds=(Kind.DONE, Kind.FAILED)), 0.0),
        (0, 100, Wanted(kinds=(Kind.DONE,)), 0.5),
        (None, 100, Wanted(), 0.0),
    ]


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"last": -1}, "last"),
        ({"last": 1, "since": encode_place(1)}, "last"),
        ({"since": "nonsense"}, "since"),
        ({"since": encode_cursor(3)}, "since"),
        ({"since": encode_place(-1)}, "since"),
        ({"wait_secs": -1}, "wait_secs"),
        ({"kind": "dnoe"}, "kind"),
        ({"kind": ["done", ""]}, "kind"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(talk: Talk, asked: dict[str, object], word: str) -> None:
    refusal = await talk.refusal("events", **asked)
    assert refusal.word == "invalid"
    assert refusal.message.startswith(f"{word}: ")


async def test_a_place_in_a_list_and_one_in_the_journal_are_not_taken_for_each_other(talk: Talk) -> None:
    assert (await talk.refusal("list", cursor=encode_place(3))).word == "invalid"


async def test_a_place_that_is_gone_is_said_to_be(talk: Talk, service: FakeService) -> None:
    service.breakage = Gone("events were removed", first=12)
    refusal = await talk.refusal("events", since=encode_place(3))
    assert (refusal.code, refusal.word, refusal.data["first"]) == (-32000, "gone", 12)


@pytest.mark.parametrize("method", ["events", "subscribe"])
async def test_a_queue_that_nobody_knows_is_refused(talk: Talk, method: str) -> None:
    refusal = await talk.refusal(method, queue="thumps")
    assert refusal.word == "unknown_queue"
