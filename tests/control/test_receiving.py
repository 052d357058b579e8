"""Batches come in, whole or in parts, on the connection that they belong to."""

import base64
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from supervisor.batch.words import BatchState, NewBatch
from supervisor.config.model import BatchesConfig
from supervisor.control import receiving
from supervisor.control.receiving import Receptions
from tests.control.conftest import House
from tests.control.fake_batches import FakeBatches, batch_id
from tests.control.fake_service import FakeService
from tests.control.talk import Talk


@pytest.fixture
def batches(service: FakeService) -> FakeBatches:
    return service.batches


async def until(true: Callable[[], object]) -> None:
    with trio.fail_after(20):
        while not true():  # noqa: ASYNC110  # nobody tells
            await trio.sleep(0.001)


async def begin(talk: Talk, **more: Any) -> str:
    answer = await talk.ask("batch_submit", **{"queue": "thumbs", "lines": "1\n", "more": True, **more})
    assert answer == {"id": answer["id"], "state": "receiving", "bytes": answer["bytes"]}
    return str(answer["id"])


async def test_one_call_is_enough_for_a_small_one(talk: Talk, batches: FakeBatches) -> None:
    batch = await talk.ask("batch_submit", queue="thumbs", lines="1\n2\n", name="two", tags=["a"])
    assert (batch["created"], batch["state"], batch["queue"], batch["input_bytes"]) == (True, "pending", "thumbs", 4)
    assert batch["counts"] == {"total": 2, "completed": 0, "failed": 0, "cancelled": 0}
    assert batch["folder"] == f"/nowhere/{batch['id']}"
    [want] = batches.asked
    assert want == NewBatch(queue="thumbs", name="two", tags=("a",), submitted_by=os.geteuid())
    assert batches.intakes[0].data == b"1\n2\n"


async def test_everything_that_is_said_of_it_reaches_it(talk: Talk, batches: FakeBatches) -> None:
    said = {"priority": 3, "timeout_secs": 5.0, "max_attempts": 2, "client": "cron", "key": "monday"}
    batch = await talk.ask("batch_submit", queue="small", lines="", **said)
    assert batch.items() >= said.items()
    [want] = batches.asked
    assert (want.priority, want.timeout, want.max_attempts, want.client, want.key) == (3, 5.0, 2, "cron", "monday")


async def test_an_earlier_one_with_the_same_client_and_key_answers(talk: Talk, batches: FakeBatches) -> None:
    said = {"queue": "thumbs", "client": "cron", "key": "monday"}
    first = await talk.ask("batch_submit", lines="1\n", **said)
    for again in ({"lines": "2\n"}, {"lines": "", "more": True}, {"path": "/there/is/none"}):
        assert await talk.ask("batch_submit", **said, **again) == {**first, "created": False}
    assert len(batches.intakes) == 1


async def test_parts_are_put_together_in_their_order(talk: Talk, batches: FakeBatches) -> None:
    id = await begin(talk)
    for n in range(40):  # without waiting for the answers
        await talk.send("batch_submit", batch=id, lines=f"{n}\n", more=True)
    await talk.send("batch_submit", batch=id, base64=base64.b64encode(b'"\xc3').decode(), more=True)
    last = await talk.send("batch_submit", batch=id, base64=base64.b64encode(b'\xa4"').decode())
    answers = [await talk.receive() for _ in range(42)]
    assert [one["result"]["state"] for one in answers] == ["receiving"] * 41 + ["pending"]
    assert [one["result"]["bytes"] for one in answers[:2]] == [4, 6]
    assert answers[-1]["id"] == last
    assert answers[-1]["result"]["created"] is True
    assert batches.intakes[0].data == b"1\n" + b"".join(b"%d\n" % n for n in range(40)) + '"ä"'.encode()


async def test_another_request_is_taken_up_when_a_part_was_taken(talk: Talk, batches: FakeBatches) -> None:
    batches.hold = trio.Event()
    await talk.send("batch_submit", queue="thumbs", lines="1\n")
    await talk.send("ping")
    with trio.move_on_after(0.05):
        await talk.receive()
        pytest.fail("the next request was answered before the part")
    batches.hold.set()
    assert (await talk.receive())["result"]["created"]
    assert (await talk.receive())["result"]["protocol"] == 1


@pytest.mark.parametrize(
    ("params", "word", "message"),
    [
        ({"lines": "1"}, "invalid", "queue: required"),
        ({"queue": "thumb", "lines": "1"}, "unknown_queue", "thumb"),
        ({"queue": "thumbs"}, "invalid", "lines: give one of path, lines and base64"),
        ({"queue": "thumbs", "lines": "1", "base64": "MQ=="}, "invalid", "lines: give one of"),
        ({"queue": "thumbs", "lines": "1", "path": "/x"}, "invalid", "lines: give one of"),
        ({"queue": "thumbs", "path": "/x", "more": True}, "invalid", "lines: give one of"),
        ({"queue": "thumbs", "path": "x"}, "invalid", "path: must be absolute"),
        ({"queue": "thumbs", "path": "/there/is/none"}, "invalid", 'path: "/there/is/none" cannot be opened'),
        ({"queue": "thumbs", "base64": "MQ="}, "invalid", "base64: "),
        ({"queue": "thumbs", "base64": "MQ==\n"}, "invalid", "base64: "),
        ({"queue": "thumbs", "base64": "Ä==="}, "invalid", "base64: "),
        ({"queue": "thumbs", "lines": 1}, "invalid", "lines: expected a string or null, got an integer"),
        ({"queue": "thumbs", "lines": "1", "payload": 1}, "invalid", "payload: not a parameter"),
        ({"queue": "thumbs", "lines": "1", "priority": 2**31}, "invalid", "priority: must be between"),
        ({"queue": "thumbs", "lines": "1", "timeout_secs": 0}, "invalid", "timeout_secs: must be more than 0"),
        ({"queue": "thumbs", "lines": "1", "max_attempts": 0}, "invalid", "max_attempts: must be between"),
        ({"queue": "thumbs", "lines": "1", "tags": [""]}, "invalid", "tags[0]: must have 1 to 100"),
        ({"queue": "thumbs", "lines": "1", "key": "a"}, "invalid", "key: needs client"),
        ({"queue": "thumbs", "lines": "1", "client": "batch:1"}, "invalid", 'client: must not begin with "batch:"'),
        ({"batch": "a", "lines": "1"}, "not_found", 'batch: none with the id "a" is being received'),
        ({"batch": "a", "lines": "1", "queue": "thumbs"}, "invalid", "queue: not together with batch"),
        ({"batch": "a", "path": "/x"}, "invalid", "path: not together with batch"),
    ],
)
async def test_what_cannot_be_one_is_refused_and_leaves_nothing(
    talk: Talk, batches: FakeBatches, params: dict[str, Any], word: str, message: str
) -> None:
    refusal = await talk.refusal("batch_submit", **params)
    assert refusal.word == word
    assert message in refusal.message
    assert not batches.all
    assert all(intake.dropped for intake in batches.intakes)


async def test_a_part_that_is_not_base64_changes_nothing(talk: Talk, batches: FakeBatches) -> None:
    id = await begin(talk)
    assert (await talk.refusal("batch_submit", batch=id, base64="%%%%")).message.startswith("base64: ")
    assert (await talk.refusal("batch_submit", batch=id)).message == "lines: give either lines or base64"
    await talk.ask("batch_submit", batch=id, lines="2\n")
    assert batches.intakes[0].data == b"1\n2\n"


async def test_one_that_grows_too_large_is_dropped_whole(talk: Talk, batches: FakeBatches) -> None:
    batches.most = 10
    id = await begin(talk)
    refusal = await talk.refusal("batch_submit", batch=id, lines="x" * 9)
    assert (refusal.word, refusal.data["limit"]) == ("too_large", 10)
    assert batches.intakes[0].dropped == 1
    assert (await talk.refusal("batch_submit", batch=id, lines="x")).word == "not_found"


async def test_a_part_belongs_to_the_connection_that_began(house: House, talk: Talk, batches: FakeBatches) -> None:
    id = await begin(talk)
    other = await house.connect()
    assert (await other.refusal("batch_submit", batch=id, lines="2\n")).word == "not_found"
    assert (await other.refusal("batch_delete", id=id)).word == "not_found"
    assert (await other.refusal("batch_get", id=id)).word == "not_found"
    await talk.ask("batch_submit", batch=id, lines="2\n")
    assert batches.intakes[0].data == b"1\n2\n"


async def test_what_is_finished_takes_no_more_parts(talk: Talk, batches: FakeBatches) -> None:
    id = await begin(talk)
    await talk.ask("batch_submit", batch=id, lines="2\n")
    assert (await talk.refusal("batch_submit", batch=id, lines="3\n")).word == "not_found"
    assert not batches.intakes[0].dropped


async def test_it_ends_with_its_connection(house: House, talk: Talk, batches: FakeBatches) -> None:
    await begin(talk)
    await begin(talk)
    talk.close()
    await until(lambda: [intake.dropped for intake in batches.intakes] == [1, 1])
    assert not batches.all


async def test_it_ends_with_the_daemon(house: House, talk: Talk, batches: FakeBatches) -> None:
    await begin(talk)
    house.stop()
    await until(lambda: batches.intakes[0].dropped)


async def test_what_came_to_its_end_is_one_though_the_client_has_gone(talk: Talk, batches: FakeBatches) -> None:
    batches.hold = trio.Event()
    await talk.send("batch_submit", queue="thumbs", lines="1\n")
    await talk.send("batch_submit", queue="thumbs", lines="2\n")
    await until(lambda: batches.intakes)
    talk.close()
    batches.hold.set()
    await until(lambda: len(batches.all) == 2)
    assert not any(intake.dropped for intake in batches.intakes)


async def test_one_that_will_not_be_finished_can_be_deleted(talk: Talk, batches: FakeBatches) -> None:
    id = await begin(talk)
    assert await talk.ask("batch_delete", id=id) == {"deleted": True}
    assert batches.intakes[0].dropped == 1
    assert (await talk.refusal("batch_submit", batch=id, lines="2\n")).word == "not_found"


async def test_a_user_sends_so_many_at_once(
    house: House, talk: Talk, batches: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "MOST_EACH", 2)
    first = await begin(talk)
    await begin(await house.connect())
    refusal = await talk.refusal("batch_submit", queue="thumbs", lines="1\n")
    assert (refusal.word, refusal.data["limit"]) == ("conflict", 2)
    assert refusal.message.startswith("there are 2 batches of yours being received already, and 2 may be")
    await talk.ask("batch_submit", batch=first, lines="")
    await begin(talk)


async def test_all_users_together_send_so_many_at_once() -> None:
    receptions = Receptions()
    for n in range(receiving.MOST):
        receptions.reserve(n)
    with pytest.raises(receiving.Conflict, match="there are 64 batches being received already"):
        receptions.reserve(1000)
    receptions.release(7)
    receptions.reserve(1000)


async def _sitting(work: Callable[[Receptions, FakeBatches], Awaitable[None]]) -> None:
    receptions, batches = Receptions(), FakeBatches()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(receptions.run)
        await work(receptions, batches)
        nursery.cancel_scope.cancel()


def test_one_whose_parts_have_stopped_is_dropped() -> None:
    async def main(receptions: Receptions, batches: FakeBatches) -> None:
        parts = receptions.of(7)
        idle = await parts.begin(batches, NewBatch(queue="thumbs"))  # type: ignore[arg-type]
        alive = await parts.begin(batches, NewBatch(queue="thumbs"))  # type: ignore[arg-type]
        assert isinstance(idle, receiving.Reception)
        assert isinstance(alive, receiving.Reception)
        for _ in range(4):
            await trio.sleep(receiving.IDLE / 2)
            await alive.append(b"1\n")
        assert [intake.dropped for intake in batches.intakes] == [1, 0]
        with pytest.raises(receiving.NotFound, match=r"with no more than 600 s in between"):
            parts.find(idle.id)
        with pytest.raises(receiving.Conflict, match="was given up"):
            await idle.append(b"1\n")
        await parts.close()
        assert [intake.dropped for intake in batches.intakes] == [1, 1]

    trio.run(_sitting, main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_a_file_is_read_by_the_daemon(talk: Talk, batches: FakeBatches, tmp_path: Path) -> None:
    data = b"".join(b"%d\n" % n for n in range(100_000))
    (tmp_path / "lines").write_bytes(data)
    batch = await talk.ask("batch_submit", queue="thumbs", path=str(tmp_path / "lines"))
    assert (batch["input_bytes"], batch["counts"]["total"]) == (len(data), 100_000)
    assert batches.intakes[0].data == data


async def test_a_file_that_is_too_large_is_dropped(talk: Talk, batches: FakeBatches, tmp_path: Path) -> None:
    batches.most = 300_000
    (tmp_path / "lines").write_bytes(b"1\n" * 200_000)
    assert (await talk.refusal("batch_submit", queue="thumbs", path=str(tmp_path / "lines"))).word == "too_large"
    assert batches.intakes[0].dropped == 1
    assert len(batches.intakes[0].data) == 262_144


async def test_a_file_that_will_be_too_large_is_not_even_read(
    talk: Talk, batches: FakeBatches, service: FakeService, tmp_path: Path
) -> None:
    limits = BatchesConfig(max_bytes=99)
    service.config = msgspec.structs.replace(service.config, batches=limits)
    (tmp_path / "lines").write_bytes(b"1\n" * 50)
    refusal = await talk.refusal("batch_submit", queue="thumbs", path=str(tmp_path / "lines"))
    assert (refusal.word, refusal.data["size"], refusal.data["limit"]) == ("too_large", 100, 99)
    assert (batches.intakes[0].data, batches.intakes[0].dropped) == (b"", 1)


async def test_the_caller_hears_of_a_file_that_he_may_not_read(
    talk: Talk, batches: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4000)
    refusal = await talk.refusal("batch_submit", queue="thumbs", path="/etc/passwd")
    assert refusal.word == "forbidden"
    assert batches.intakes[0].dropped == 1


@pytest.mark.parametrize("method", ["submit", "submit_many"])
async def test_no_job_can_pretend_to_be_of_a_batch(talk: Talk, service: FakeService, method: str) -> None:
    job = {"queue": "thumbs", "payload": 1, "client": f"batch:{batch_id(1)}", "key": "1"}
    params: dict[str, Any] = job if method == "submit" else {"jobs": [job]}
    refusal = await talk.refusal(method, **params)
    assert refusal.word == "invalid"
    assert 'client: must not begin with "batch:"' in refusal.message
    assert not service.handed


async def test_its_state_is_told_as_it_is(talk: Talk, batches: FakeBatches) -> None:
    batches.add(batch_id(1), state=BatchState.IN_PROGRESS, waiting="queue thumbs is paused")
    batch = await talk.ask("batch_get", id=batch_id(1))
    assert (batch["state"], batch["waiting"], "created" in batch) == ("in_progress", "queue thumbs is paused", False)
