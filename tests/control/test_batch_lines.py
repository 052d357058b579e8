"""What is in a batch's files is told line by line, as fast as it is taken and as it grows."""

import base64
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from supervisor.batch.words import BatchState
from supervisor.control import batch_lines
from supervisor.control.batch_lines import Records
from tests.control.conftest import House
from tests.control.fake_batches import FakeBatches, batch_id
from tests.control.fake_service import FakeService
from tests.control.talk import Talk

ONE = batch_id(1)


@pytest.fixture
def batches(service: FakeService, tmp_path: Path) -> FakeBatches:
    service.batches = FakeBatches(tmp_path)
    service.batches.add(ONE, state=BatchState.IN_PROGRESS)
    return service.batches


def record(n: int, size: int = 0) -> bytes:
    return json.dumps({"line": n, "result": "x" * size}, separators=(",", ":")).encode() + b"\n"


def records(count: int, size: int = 0) -> bytes:
    return b"".join(record(n, size) for n in range(1, count + 1))


async def told(talk: Talk) -> list[dict[str, Any]]:
    """Notifications to the end."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["method"] not in ("batch_end", "batch_failed"):
        found.append(await talk.receive())
    return found


async def begin(talk: Talk, **params: Any) -> None:
    answer = await talk.ask("batch_output", **{"id": ONE, **params})
    assert answer == {"id": ONE, "file": params.get("file", "output")}


def numbers(notifications: list[dict[str, Any]]) -> list[int]:
    return [one["params"]["n"] for one in notifications if one["method"] == "batch_line"]


async def test_all_records_are_told_and_then_the_end(talk: Talk, batches: FakeBatches) -> None:
    batches.write(ONE, records(3))
    await begin(talk)
    assert await told(talk) == [
        *[
            {
                "jsonrpc": "2.0",
                "method": "batch_line",
                "params": {"id": ONE, "file": "output", "n": n, "record": {"line": n, "result": ""}},
            }
            for n in (1, 2, 3)
        ],
        {
            "jsonrpc": "2.0",
            "method": "batch_end",
            "params": {"id": ONE, "file": "output", "lines": 3, "state": "in_progress"},
        },
    ]


async def test_the_errors_are_a_file_of_their_own(talk: Talk, batches: FakeBatches) -> None:
    batches.write(ONE, records(2))
    batches.write(ONE, record(7), "errors")
    await begin(talk, file="errors")
    [line, end] = await told(talk)
    assert (line["params"]["record"]["line"], end["params"]["lines"]) == (7, 1)


@pytest.mark.parametrize("first", [1, 2, 4999, 5000, 5001, 9000])
async def test_it_begins_at_any_line(
    talk: Talk, batches: FakeBatches, first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_lines, "SKIP", 10_000)
    monkeypatch.setattr(batch_lines, "WHOLE", 3000)
    batches.write(ONE, records(5000, 20))
    await begin(talk, from_line=first)
    found = await told(talk)
    assert numbers(found) == list(range(first, 5001))
    assert all(one["params"]["record"]["line"] == one["params"]["n"] for one in found[:-1])
    assert found[-1]["params"]["lines"] == 5000


async def test_an_empty_file_has_an_end_only(talk: Talk, batches: FakeBatches) -> None:
    await begin(talk, from_line=3)
    [end] = await told(talk)
    assert end["params"] == {"id": ONE, "file": "output", "lines": 0, "state": "in_progress"}


async def test_it_follows_until_the_batch_is_final(talk: Talk, batches: FakeBatches) -> None:
    batches.write(ONE, records(2))
    await begin(talk, follow=True, from_line=2)
    assert (await talk.receive())["params"]["n"] == 2
    batches.write(ONE, record(3) + record(4))
    assert numbers([await talk.receive(), await talk.receive()]) == [3, 4]
    batches.write(ONE, record(5))
    batches.end(ONE, BatchState.FAILED)
    found = await told(talk)
    assert numbers(found) == [5]
    assert found[-1]["params"] == {"id": ONE, "file": "output", "lines": 5, "state": "failed"}


async def test_without_following_it_ends_where_the_file_did(
    talk: Talk, batches: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_lines, "PAGE", 100)
    batches.write(ONE, records(1000, 500))
    await begin(talk)
    first = await talk.receive()
    batches.write(ONE, record(1001))
    assert numbers([first, *await told(talk)]) == list(range(1, 1001))


async def test_other_requests_are_answered_meanwhile(talk: Talk, batches: FakeBatches) -> None:
    await begin(talk, follow=True)
    await begin(talk, follow=True, file="errors")
    assert (await talk.ask("batch_get", id=ONE))["state"] == "in_progress"
    batches.write(ONE, record(1), "errors")
    assert (await talk.receive())["params"]["file"] == "errors"
    batches.end(ONE)
    assert {(await talk.receive())["params"]["file"] for _ in range(2)} == {"output", "errors"}


@pytest.mark.parametrize("size", [10, 63, 64, 65, 100, 189, 190, 191, 192, 193, 500, 1000])
async def test_a_record_of_any_size_arrives_whole_in_lines_of_a_bounded_one(
    talk: Talk, batches: FakeBatches, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in (("PAGE", 64), ("WHOLE", 128), ("PART", 96)):
        monkeypatch.setattr(batch_lines, name, limit)
    batches.write(ONE, record(1) + record(2, size) + record(3))
    await begin(talk)
    found = await told(talk)
    assert max(len(json.dumps(one)) for one in found) < 128 * 3
    whole = {one["params"]["n"]: one["params"]["record"] for one in found if one["method"] == "batch_line"}
    parts = [one["params"] for one in found if one["method"] == "batch_part"]
    if parts:
        assert [part["more"] for part in parts] == [True] * (len(parts) - 1) + [False]
        assert {part["n"] for part in parts} == {2}
        text = "".join(part["base64"] for part in parts)  # no padding in between
        whole[2] = json.loads(base64.b64decode(text, validate=True))
    assert bool(parts) == (len(record(2, size)) > 128)
    assert [whole[n]["line"] for n in (1, 2, 3)] == [1, 2, 3]
    assert len(whole[2]["result"]) == size
    assert found[-1]["params"]["lines"] == 3


async def test_a_reader_who_takes_nothing_costs_a_page_and_no_descriptor(
    house: House, batches: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[int] = []
    real = Records.read

    def read(self: Records, end: int) -> bytes:
        page = real(self, end)
        reads.append(len(page))
        return page

    monkeypatch.setattr(Records, "read", read)
    batches.write(ONE, records(20_000, 300))
    talk = await house.connect()
    await begin(talk)
    await _settled(lambda: 0 if _open(ONE) else sum(reads))
    assert sum(reads) < 2 * 1024 * 1024
    assert len(numbers(await told(talk))) == 20_000


def _open(batch: str) -> list[str]:
    """Files of the batch that are open."""
    found: list[str] = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # it is closed meanwhile
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return [path for path in found if batch in path]


async def _settled(figure: Callable[[], int]) -> None:
    """Until it is something, and stays so while the loop has nothing to do."""
    with trio.fail_after(20):
        last = -1
        while (now := figure()) != last or not now:
            last = now
            await trio.testing.wait_all_tasks_blocked(0.05)


async def test_who_hangs_up_is_read_for_no_more(house: House, batches: FakeBatches, service: FakeService) -> None:
    talk = await house.connect()
    await begin(talk, follow=True)
    talk.close()
    with trio.fail_after(20):
        while service.connections:  # noqa: ASYNC110  # nobody tells
            await trio.sleep(0.001)


async def test_a_batch_that_is_deleted_under_a_reader_is_said_to_be_gone(
    talk: Talk, batches: FakeBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches.write(ONE, records(20_000, 300))
    batches.end(ONE)
    await begin(talk)
    await talk.receive()
    batches.remove(ONE)
    last = (await told(talk))[-1]
    assert last["method"] == "batch_failed"
    message = f'there is no batch "{ONE}": it was deleted, or never was'
    assert last["params"] == {"id": ONE, "file": "output", "code": "not_found", "message": message}
    assert await talk.ask("ping")


async def test_a_file_that_cannot_be_read_is_said_to_be(talk: Talk, batches: FakeBatches) -> None:
    file = batches.folder(ONE) / "output.jsonl"
    file.unlink()
    file.mkdir()
    await begin(talk)
    [last] = await told(talk)
    assert (last["method"], last["params"]["code"]) == ("batch_failed", "store_unavailable")
    assert "Is a directory" in last["params"]["message"]


async def test_a_file_that_has_lost_its_end_does_not_keep_the_daemon_reading(tmp_path: Path) -> None:
    (tmp_path / "output.jsonl").write_bytes(record(1))
    reading = Records(tmp_path / "output.jsonl", ONE, "output", 1)
    assert reading.read(1000)
    with pytest.raises(OSError, match="shorter than it was"):
        reading.read(1000)


@pytest.mark.parametrize(
    ("params", "word", "message"),
    [
        ({"id": ONE, "file": "outputs"}, "invalid", 'file: there is none called "outputs"; did you mean "output"?'),
        ({"id": ONE, "file": "../status.json"}, "invalid", "file: there is none called"),
        ({"id": ONE, "from_line": 0}, "invalid", "from_line: lines are numbered from 1"),
        ({"id": batch_id(2)}, "not_found", "there is no batch"),
        ({"id": "../../etc"}, "not_found", "there is no batch"),
    ],
)
async def test_what_makes_no_sense_is_refused(
    talk: Talk, batches: FakeBatches, params: dict[str, Any], word: str, message: str
) -> None:
    refusal = await talk.refusal("batch_output", **params)
    assert (refusal.word, message in refusal.message) == (word, True)
