"""Whatever lines go in and however they are cut, they arrive as they are; and records are told as they are."""

import base64
import json
import tempfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.client import Client, _pieces
from supervisor.control import batch_lines
from supervisor.control.batch_lines import Records
from tests.fuzz.strategies import chunks

PATIENCE = 20.0  # seconds
inputs = st.lists(
    st.sampled_from([b"", b"\n", b"\r\n", b" \t\n", b"1\n", b'{"custom_id":"a"}\n', b"\xff\n", b'"\xc3\xa4"', b"{"])
    | st.binary(max_size=20),
    max_size=30,
).map(b"".join)


@pytest.fixture(scope="module")
def client(daemon_socket: str) -> Iterator[Client]:
    with Client(daemon_socket, timeout=PATIENCE) as client:
        yield client


@settings(max_examples=min(settings().max_examples, 60))
@given(data=st.data(), lines=inputs)
def test_lines_that_are_cut_anywhere_arrive_as_they_are(data: st.DataObject, lines: bytes, client: Client) -> None:
    batch = client.call("batch_submit", {"queue": "mail", "lines": "", "more": True})
    for part in data.draw(chunks(lines)):
        said = {"base64": base64.b64encode(part).decode()}
        if part.isascii() and data.draw(st.booleans()):
            said = {"lines": part.decode()}
        client.call("batch_submit", {"batch": batch["id"], "more": True, **said})
    batch = client.call("batch_submit", {"batch": batch["id"], "lines": ""})
    assert Path(batch["folder"], "input.jsonl").read_bytes() == lines
    ended = client.batch_cancel(batch["id"])
    counts = ended["counts"]
    assert counts["total"] == sum(bool(line.strip()) for line in lines.split(b"\n"))
    assert counts["total"] == counts["failed"] + counts["cancelled"]
    errors = list(client.batch_output(batch["id"], "errors"))
    assert sorted(record["line"] for _, record in errors) == [
        n for n, line in enumerate(lines.split(b"\n"), 1) if line.strip()
    ]
    assert client.batch_delete(batch["id"]) == {"deleted": True}


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(1, 40))
def test_pieces_of_any_size_are_sent_as_they_are(pieces: list[bytes], size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("protocol.client._CHUNK", size)
        sent = [base64.b64decode(text) for text in _pieces(iter(pieces))]
    assert b"".join(sent) == b"".join(pieces)
    assert [len(part) for part in sent[:-1]] == [size] * (len(sent) - 1)
    assert all(0 < len(part) <= size for part in sent)


@given(
    sizes=st.lists(st.integers(0, 300), min_size=1, max_size=12),
    first=st.integers(1, 14),
    cuts=st.sets(st.integers(0, 12)),
    page=st.integers(1, 100),
    whole=st.integers(1, 200),
    part=st.integers(1, 40).map(lambda n: 3 * n),
    skip=st.integers(1, 400),
)
def test_records_of_any_size_are_told_as_they_are_while_the_file_grows(
    sizes: list[int], first: int, cuts: set[int], page: int, whole: int, part: int, skip: int
) -> None:
    records = [json.dumps({"line": n, "result": "x" * size}).encode() + b"\n" for n, size in enumerate(sizes, 1)]
    ends = list(accumulate(map(len, records)))
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        for name, limit in (("PAGE", page), ("WHOLE", max(page, whole)), ("PART", part), ("SKIP", skip)):
            patch.setattr(batch_lines, name, limit)
        path = Path(folder, "output.jsonl")
        path.write_bytes(b"".join(records))
        reading = Records(path, "b", "output", first)
        told: list[Any] = []
        for end in [end for n, end in enumerate(ends) if n in cuts] + [ends[-1]]:
            while reading.place < end:
                told += map(json.loads, reading.read(end).splitlines())
            assert reading.place == end
        last = json.loads(reading.end("completed"))
    assert last["params"]["lines"] == len(records)
    assert list(_whole(told)) == [(n, json.loads(one)) for n, one in enumerate(records, 1) if n >= first]


def _whole(told: list[Any]) -> Iterator[tuple[int, Any]]:
    parts = ""
    for one in told:
        params = one["params"]
        if one["method"] == "batch_line":
            assert not parts, "a record that began was not ended"
            yield params["n"], params["record"]
            continue
        parts += params["base64"]
        if not params["more"]:
            yield params["n"], json.loads(base64.b64decode(parts, validate=True))
            parts = ""
