"""Whatever is in the files of a batch, it is a line, a record or a status, or it is refused as what it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.text import compact
from supervisor.batch import status_file
from supervisor.batch.words import BatchState, Checkpoint, Counts, Status
from supervisor.errors import Unsound
from supervisor.lines.appending import AppendFile
from supervisor.lines.line import Line, parse
from supervisor.lines.records import cause_of, number_of, refusal_record, result_record
from tests.fuzz.strategies import damaged, dumped, objects, text, values

ROOMY = 1 << 20
LINES = (objects([("custom_id", text | st.integers()), ("input", values), ("", values)]) | values).map(dumped)
STATUS = Status(
    id="0199f3c2-7d1e-7abc-8def-0123456789ab",
    queue="q",
    state=BatchState.IN_PROGRESS,
    counts=Counts(total=9, completed=3),
    created_at=1,
    updated_at=2,
    checkpoint=Checkpoint(answered=[(1, 2), (5, 6)], number=2, offset=10, output=30),
)


def record(line: Line) -> bytes:
    if line.payload is None:
        return refusal_record(line.number, line.custom_id, line.cause, line.complaint)
    return result_record(line.number, line.custom_id, line.payload)


def python_takes(line: bytes) -> bool:
    """Python does, and it holds nothing that only Python takes: constants, and halves of surrogate pairs."""
    try:
        value = json.loads(line.decode(), parse_constant=_refuse, object_pairs_hook=list)
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(name)


@given(damaged(LINES).filter(lambda line: b"\n" not in line), st.integers(1, 1 << 70))
def test_any_line_is_a_payload_or_says_what_it_is(line: bytes, number: int) -> None:
    parsed = parse(number, line, max_payload=ROOMY)
    assert (parsed.payload is not None) == python_takes(line)
    if parsed.payload is None:
        assert parsed.cause == "not_json"
        assert parsed.complaint.isprintable()
    else:
        value = json.loads(line)
        assert json.loads(parsed.payload) == value
        assert compact(parsed.payload) == parsed.payload
        own = value.get("custom_id") if isinstance(value, dict) else None
        assert (None if parsed.custom_id is None else json.loads(parsed.custom_id)) == _told(own)


def _told(own: Any) -> Any:
    return own if isinstance(own, str | int | float) and not isinstance(own, bool) else None


@given(st.binary(max_size=60).filter(lambda line: b"\n" not in line) | text.map(str.encode))
def test_any_raw_line_is_a_string_or_no_utf8(line: bytes) -> None:
    parsed = parse(1, line, max_payload=ROOMY, raw=True)
    try:
        said = line.decode()
    except UnicodeDecodeError:
        assert (parsed.payload, parsed.cause) == (None, "not_json")
    else:
        assert parsed.payload is not None
        assert json.loads(parsed.payload) == said.removesuffix("\r")


@given(damaged(LINES), st.integers(1, 1 << 40))
def test_the_record_of_any_line_is_one_line_of_json_with_its_number(line: bytes, number: int) -> None:
    parsed = parse(number, line.replace(b"\n", b""), max_payload=ROOMY)
    made = record(parsed)
    assert made.count(b"\n") == 1
    assert json.loads(made)["line"] == number_of(made) == number
    assert cause_of(made) == parsed.cause


@given(st.lists(damaged(LINES.map(lambda line: record(parse(7, line, max_payload=ROOMY)))), max_size=4).map(b"".join))
def test_whatever_a_crash_left_what_is_adopted_are_records_and_stays(
    tmp_path_factory: pytest.TempPathFactory, tail: bytes
) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "output.jsonl"
    path.write_bytes(b"kept\n" + tail)
    for _ in range(2):
        file, adopted = AppendFile.open(path, 5, lambda line: number_of(line) is not None)
        file.close()
        assert path.read_bytes() == b"kept\n" + b"".join(adopted)
        assert all(json.loads(line)["line"] > 0 for line in adopted)


@given(damaged(st.just(status_file.encode(STATUS))))
def test_any_status_file_is_a_status_or_unsound(text: bytes) -> None:
    try:
        status = status_file.decode(text)
    except Unsound:
        return
    assert status_file.decode(status_file.encode(status)) == status
