"""Batches are looked at and ended by whom their queue allows, and for everybody else they are not there."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from supervisor.batch.words import BatchState, Counts
from supervisor.config.model import AccessConfig
from supervisor.control.access import access_of
from supervisor.control.cursors import decode_batch, encode_batch, encode_cursor
from supervisor.errors import Invalid
from tests.control.conftest import House
from tests.control.fake_batches import FakeBatches, batch_id
from tests.control.fake_service import FakeService, a_config
from tests.control.guarded import LOOKER, MAILER, OWN, SUBMITTER, Guarded, a_guarded_config
from tests.control.talk import Talk

HIDDEN, OPEN = batch_id(1), batch_id(2)


@pytest.fixture
def service(tmp_path: Path) -> FakeService:
    """With a batch in `mail`, which is the mailer's alone, and one in `thumbs`."""
    service = FakeService(a_guarded_config(mail=OWN))
    service.batches = FakeBatches(tmp_path)
    service.batches.add(HIDDEN, queue="mail", state=BatchState.COMPLETED)
    service.batches.add(OPEN, queue="thumbs", state=BatchState.IN_PROGRESS)
    return service


@pytest.fixture
def guarded(house: House, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    return Guarded(house, monkeypatch)


async def test_a_batch_is_shown_whole(talk: Talk, service: FakeService, tmp_path: Path) -> None:
    service.batches.add(
        batch_id(3),
        state=BatchState.FAILED,
        counts=Counts(total=4, completed=2, failed=1, cancelled=1),
        cancel_requested=True,
        finished_at=service.batches.get(OPEN).created_at + 1_500_000,
        input_bytes=99,
        name="april",
        priority=3,
        timeout=5.0,
        max_attempts=2,
        tags=("a", "b"),
        client="cron",
        key="monday",
    )
    assert await talk.ask("batch_get", id=batch_id(3)) == {
        "id": batch_id(3),
        "queue": "thumbs",
        "name": "april",
        "state": "failed",
        "counts": {"total": 4, "completed": 2, "failed": 1, "cancelled": 1},
        "cancel_requested": True,
        "created_at": "2025-01-01T00:00:00.000000Z",
        "updated_at": "2025-01-01T00:00:00.000000Z",
        "finished_at": "2025-01-01T00:00:01.500000Z",
        "input_bytes": 99,
        "folder": str(tmp_path / batch_id(3)),
        "waiting": None,
        "priority": 3,
        "timeout_secs": 5.0,
        "max_attempts": 2,
        "tags": ["a", "b"],
        "client": "cron",
        "key": "monday",
    }


async def test_a_list_goes_from_the_newest_to_the_oldest_page_by_page(talk: Talk, service: FakeService) -> None:
    for n in range(3, 8):
        service.batches.add(batch_id(n))
    found: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await talk.ask("batch_list", limit=3, **cursor)
        assert page["total"] == 7
        found += [batch["id"] for batch in page["batches"]]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    assert found == [batch_id(n) for n in range(7, 0, -1)]


async def test_a_list_is_of_one_queue_and_of_some_states(talk: Talk, service: FakeService) -> None:
    page = await talk.ask("batch_list", queue="thumbs", state=["failed", "completed", "failed"])
    assert page["total"] == 1
    assert service.batches.asked == [(50, None, "thumbs", (BatchState.FAILED, BatchState.COMPLETED))]


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("batch_list", {"limit": 0}, "limit: must be between 1 and 200"),
        ("batch_list", {"limit": 201}, "limit: must be between 1 and 200"),
        ("batch_list", {"state": "done"}, 'state: there is none called "done"'),
        ("batch_list", {"cursor": encode_cursor(3)}, "cursor: not one of this daemon's"),
        ("batch_list", {"cursor": "é"}, "cursor: not one of this daemon's"),
        ("batch_gc", {"older_than_secs": -1}, "older_than_secs: must be at least 0"),
        ("batch_gc", {}, "older_than_secs: required"),
        ("batch_gc", {"older_than_secs": 0, "state": "in_progress"}, "state: in_progress batches cannot be deleted"),
        ("batch_get", {"id": OPEN, "file": "output"}, "file: not a parameter"),
    ],
)
async def test_what_makes_no_sense_is_refused(talk: Talk, method: str, params: dict[str, Any], message: str) -> None:
    refusal = await talk.refusal(method, **params)
    assert (refusal.word, message in refusal.message) == ("invalid", True)


@pytest.mark.parametrize("method", ["batch_get", "batch_cancel", "batch_delete"])
@pytest.mark.parametrize("id", [batch_id(9), "", "..", "../jobs", "/etc", "a\0b", "x" * 5000])
async def test_what_is_no_batch_is_not_found(talk: Talk, method: str, id: str) -> None:
    assert (await talk.refusal(method, id=id)).message.startswith("there is no batch ")


async def test_cancel_answers_when_it_is_final(talk: Talk, service: FakeService) -> None:
    service.batches.hold = trio.Event()
    await talk.send("batch_cancel", id=OPEN)
    assert (await talk.ask("batch_get", id=OPEN))["state"] == "in_progress"
    service.batches.hold.set()
    assert (await talk.result())["state"] == "cancelled"
    assert (await talk.ask("batch_cancel", id=HIDDEN))["state"] == "completed"


async def test_only_what_is_final_is_deleted(talk: Talk, service: FakeService) -> None:
    assert (await talk.refusal("batch_delete", id=OPEN)).word == "conflict"
    assert await talk.ask("batch_delete", id=HIDDEN) == {"deleted": True}
    assert (await talk.refusal("batch_get", id=HIDDEN)).word == "not_found"


async def test_gc_tells_what_it_deleted_or_would(talk: Talk, service: FakeService) -> None:
    answer = await talk.ask("batch_gc", older_than_secs=60, state="completed", queue="mail", dry_run=True)
    assert answer == {"ids": [HIDDEN], "count": 1, "dry_run": True}
    assert service.batches.asked[-1] == {
        "older_than": 60.0,
        "states": (BatchState.COMPLETED,),
        "queue": "mail",
        "dry_run": True,
    }


async def test_gc_of_a_misspelled_queue_is_refused_and_not_taken_for_done(talk: Talk, service: FakeService) -> None:
    assert (await talk.refusal("batch_gc", older_than_secs=60, queue="thumb")).word == "unknown_queue"
    service.batches.add(batch_id(3), queue="gone", state=BatchState.FAILED)  # from the configuration, not from the disk
    assert batch_id(3) in (await talk.ask("batch_gc", older_than_secs=60, queue="gone"))["ids"]


def test_a_cursor_is_the_place_of_a_batch_and_of_nothing_else() -> None:
    assert decode_batch(encode_batch(OPEN)) == OPEN
    for wrong in ("", "AAAA", encode_cursor(1), encode_batch(OPEN)[:-4]):
        with pytest.raises(Invalid):
            decode_batch(wrong)


@pytest.mark.parametrize("method", ["batch_get", "batch_cancel", "batch_delete", "batch_output"])
async def test_one_of_a_hidden_queue_is_not_there(guarded: Guarded, service: FakeService, method: str) -> None:
    talk = await guarded.come(SUBMITTER)
    hidden, none = await talk.refusal(method, id=HIDDEN), await talk.refusal(method, id=batch_id(9))
    assert hidden.message.replace(HIDDEN, "…") == none.message.replace(batch_id(9), "…")
    assert (hidden.word, hidden.data) == (none.word, none.data) == ("not_found", {"code": "not_found"})
    assert [one["queue"] for one in guarded.denied()] == ["mail"]
    assert HIDDEN in service.batches.all


async def test_a_list_and_its_total_hold_what_may_be_looked_at(guarded: Guarded, service: FakeService) -> None:
    for peer, seen in ((LOOKER, [OPEN]), (MAILER, [HIDDEN])):
        page = await (await guarded.come(peer)).ask("batch_list")
        assert ([batch["id"] for batch in page["batches"]], page["total"]) == (seen, 1)
    assert (await (await guarded.come(LOOKER)).refusal("batch_list", queue="mail")).word == "forbidden"
    guarded.denied()


async def test_what_is_said_of_all_of_them_is_of_the_queues_in_sight(guarded: Guarded) -> None:
    for peer in (LOOKER, MAILER):
        assert (await (await guarded.come(peer)).ask("status"))["batches"]["pending"] == 1


async def test_gc_over_all_queues_takes_the_role_in_all(guarded: Guarded, service: FakeService) -> None:
    service.batches.end(OPEN)
    talk = await guarded.come(SUBMITTER)
    assert "name a queue" in (await talk.refusal("batch_gc", older_than_secs=0)).message
    assert (await talk.refusal("batch_gc", older_than_secs=0, queue="mail")).word == "forbidden"
    assert (await talk.ask("batch_gc", older_than_secs=0, queue="thumbs"))["ids"] == [OPEN]
    guarded.denied()


async def test_only_whom_the_queue_names_submits_to_it(guarded: Guarded, service: FakeService) -> None:
    mailer = await guarded.come(MAILER)
    assert (await mailer.ask("batch_submit", queue="mail", lines="1"))["queue"] == "mail"
    assert (await mailer.refusal("batch_submit", queue="thumbs", lines="1")).word == "forbidden"
    submitter = await guarded.come(SUBMITTER)
    assert (await submitter.refusal("batch_submit", queue="mail", lines="1")).word == "forbidden"
    assert (await submitter.refusal("batch_submit", lines="1")).word == "invalid"
    assert [want.submitted_by for want in service.batches.asked] == [MAILER.uid]
    guarded.denied()


async def test_one_who_may_look_at_a_batch_only_ends_none(guarded: Guarded, service: FakeService) -> None:
    talk = await guarded.come(LOOKER)
    for method in ("batch_cancel", "batch_delete"):
        assert (await talk.refusal(method, id=OPEN)).word == "forbidden"
    assert (await talk.refusal("batch_submit", queue="thumbs", lines="1")).word == "forbidden"
    guarded.denied()


async def test_a_key_that_a_hidden_batch_has_tells_nothing_of_it(guarded: Guarded, service: FakeService) -> None:
    said = {"client": "cron", "key": "monday", "lines": "1"}
    await (await guarded.come(MAILER)).ask("batch_submit", queue="mail", **said)
    refusal = await (await guarded.come(SUBMITTER)).refusal("batch_submit", queue="thumbs", **said)
    assert (refusal.word, refusal.data) == ("conflict", {"code": "conflict"})


async def test_who_may_submit_no_more_does_not_finish_what_he_began(guarded: Guarded, service: FakeService) -> None:
    talk = await guarded.come(MAILER)
    id = (await talk.ask("batch_submit", queue="mail", lines="1\n", more=True))["id"]
    rules = a_guarded_config(mail=AccessConfig(submit=(), look=("3006",)), small=AccessConfig(submit=("3006",)))
    service.access = access_of(rules, owner=1)
    refusal = await talk.refusal("batch_submit", batch=id, lines="2\n")
    assert (refusal.word, refusal.data["queue"]) == ("forbidden", "mail")
    assert len(service.batches.all) == 2
    guarded.denied()


async def test_who_may_look_no_more_is_told_no_more(guarded: Guarded, service: FakeService) -> None:
    service.batches.all[HIDDEN].state = BatchState.IN_PROGRESS
    talk = await guarded.come(MAILER)
    await talk.ask("batch_output", id=HIDDEN, follow=True)
    service.batches.write(HIDDEN, b'{"line":1}\n')
    assert (await talk.receive())["params"]["n"] == 1
    service.access = access_of(a_config(), owner=1)
    service.batches.write(HIDDEN, b'{"line":2}\n')
    assert await talk.ended()


async def test_a_cancel_that_took_its_time_tells_nobody_who_may_look_no_more(
    guarded: Guarded, service: FakeService
) -> None:
    service.batches.all[HIDDEN].state = BatchState.IN_PROGRESS
    service.batches.hold = trio.Event()
    talk = await guarded.come(MAILER)
    asked = await talk.send("batch_cancel", id=HIDDEN)
    await talk.ask("ping")
    service.access = access_of(msgspec.structs.replace(a_guarded_config(), queues=()), owner=1)
    service.batches.hold.set()
    with pytest.raises(Exception, match="there is no batch"):
        await talk.result(asked)
