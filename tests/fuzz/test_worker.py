import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocol.framing import Lines, ProtocolError
from protocol.text import compact
from protocol.worker import MAX_RETRY_AFTER, Reply, decode_reply, encode_progress, encode_request
from tests.fuzz.strategies import chunks, damaged, dumped, numbers, objects, text, values

ID = "0199f3c2-7b1a-7c3e-9d40-5a1b2c3d4e5f"
STATUSES = ("ok", "error", "throttled", "progress")
SMALL = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "id": st.just(ID) | text,
    "recycle": st.booleans(),
    "result": values,
    "message": text,
    "retry": st.booleans(),
    "details": values,
    "retry_after_secs": st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9),
    "progress": SMALL,
    "done": SMALL,
    "total": SMALL,
    "data": values,
}

right = st.fixed_dictionaries({"status": st.sampled_from(STATUSES)}, optional=MEMBERS)
nearly_right = objects([("status", st.sampled_from((*STATUSES, "ready", "OK"))), *MEMBERS.items()])
LINES = damaged(right.map(dumped) | nearly_right.map(dumped)) | st.binary(max_size=60) | values.map(dumped)


def _decode(line: bytes) -> Reply | None:
    try:
        return decode_reply(line)
    except ProtocolError as error:
        why = str(error)
    assert why.isprintable()
    assert len(why) < 3000
    return None


@given(LINES)
def test_any_line_is_a_sound_reply_or_a_protocol_error(line: bytes) -> None:
    reply = _decode(line)
    if reply is None:
        return
    assert reply.status in STATUSES
    assert 0 <= reply.retry_after_secs <= MAX_RETRY_AFTER or reply.status != "throttled"
    assert reply.message or reply.status != "error"
    for raw in (reply.result, reply.details, reply.data, encode_progress(reply)):
        compact(bytes(raw))  # JSON in UTF-8: it will be spliced into files and answers
    seen = json.loads(line, parse_int=str, parse_float=str)
    assert seen["status"] == reply.status


@given(right)
def test_every_right_reply_is_understood(message: dict[str, Any]) -> None:
    reply = decode_reply(dumped(message))
    for name in ("status", "id", "recycle", "retry", "progress", "done", "total"):
        if name in message:
            assert getattr(reply, name) == message[name]
    for name in ("result", "details", "data"):
        assert json.loads(bytes(getattr(reply, name))) == message.get(name)
    if message.get("message"):
        assert reply.message == message["message"]
    if "retry_after_secs" in message and message["status"] == "throttled":
        assert math.isclose(reply.retry_after_secs, min(max(0, message["retry_after_secs"]), MAX_RETRY_AFTER))


@given(st.data(), st.lists(LINES.filter(lambda line: b"\n" not in line), max_size=5))
def test_a_conversation_does_not_depend_on_how_it_is_cut(data: st.DataObject, said: list[bytes]) -> None:
    stream = b"".join(line + b"\n" for line in said)
    lines = Lines(1 << 20)
    heard = [line for chunk in data.draw(chunks(stream)) for line in lines.feed(chunk)]
    assert heard == said
    assert list(map(_decode, heard)) == list(map(_decode, said))


@given(values, text, st.integers(1, 10**9), st.floats(0.001, 1e9))
def test_every_request_is_one_compact_line(payload: Any, queue: str, attempt: int, timeout: float) -> None:
    line = encode_request(ID, compact(dumped(payload)), queue, attempt, timeout)
    assert line.endswith(b"\n")
    assert compact(line[:-1]) == line[:-1]
    assert list(json.loads(line).items()) == [
        ("id", ID),
        ("payload", payload),
        ("queue", queue),
        ("attempt", attempt),
        ("timeout_secs", timeout),
    ]


@given(numbers)
def test_whole_timeouts_are_written_without_a_fraction(seconds: float) -> None:
    written = json.loads(encode_request(ID, b"null", "q", 1, seconds))["timeout_secs"]
    assert written == seconds
    assert isinstance(written, int) == (seconds % 1 == 0)
