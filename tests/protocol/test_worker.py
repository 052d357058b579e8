import json

import pytest
from msgspec import Raw

from protocol.worker import (
    DEFAULT_MESSAGE,
    DEFAULT_RETRY_AFTER,
    MAX_RETRY_AFTER,
    Garbage,
    decode_reply,
    encode_progress,
    encode_request,
)

ID = "0199f3c2-7b1a-7c3e-9d40-5a1b2c3d4e5f"


def test_a_request_is_one_line_in_the_promised_order() -> None:
    line = encode_request(ID, b'{"path":"a.png"}', "thumbs", 1, 60.0)
    assert line == (
        f'{{"id":"{ID}","payload":{{"path":"a.png"}},"queue":"thumbs","attempt":1,"timeout_secs":60}}\n'.encode()
    )


def test_a_payload_may_be_raw_and_is_not_touched() -> None:
    payload = rb'{"n":1.50,"big":123456789012345678901234567890,"s":"\u00fc"}'
    assert payload in encode_request(ID, Raw(payload), "thumbs", 1, 60.0)


@pytest.mark.parametrize(("seconds", "written"), [(60.0, b"60"), (0.5, b"0.5"), (31536000.0, b"31536000"), (1.0, b"1")])
def test_whole_seconds_are_written_as_integers(seconds: float, written: bytes) -> None:
    assert encode_request(ID, b"null", "q", 1, seconds).endswith(b',"timeout_secs":' + written + b"}\n")


@pytest.mark.parametrize("queue", ['say "hi"', "back\\slash", "ümläut", "tab\there", "100%b %d"])
def test_a_queue_name_is_escaped(queue: str) -> None:
    line = encode_request(ID, b"null", queue, 12, 60.0)
    assert line.count(b"\n") == 1
    assert json.loads(line) == {"id": ID, "payload": None, "queue": queue, "attempt": 12, "timeout_secs": 60}


def test_only_the_status_is_needed() -> None:
    reply = decode_reply(b'{"status":"ok"}')
    assert (reply.status, reply.id, bytes(reply.result), reply.recycle) == ("ok", None, b"null", False)


def test_a_result_is_kept_as_it_was_written() -> None:
    reply = decode_reply(f'{{"id":"{ID}","status":"ok","result":{{"a": 1.50, "ü":[]}}}}'.encode())
    assert reply.id == ID
    assert bytes(reply.result) == '{"a": 1.50, "ü":[]}'.encode()


def test_an_error_has_defaults() -> None:
    reply = decode_reply(b'{"status":"error"}')
    assert (reply.message, reply.retry, bytes(reply.details)) == (DEFAULT_MESSAGE, True, b"null")
    assert decode_reply(b'{"status":"error","message":""}').message == DEFAULT_MESSAGE


def test_an_error_says_what_it_says() -> None:
    reply = decode_reply(b'{"status":"error","message":"no such file","retry":false,"details":{"errno":2}}')
    assert (reply.message, reply.retry) == ("no such file", False)
    assert bytes(reply.details) == b'{"errno":2}'


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(b"30", 30.0), (b"0.25", 0.25), (b"0", 0.0), (b"-5", 0.0), (b"1e300", MAX_RETRY_AFTER), (b"null", 60.0)],
)
def test_a_throttled_reply_waits_within_reason(written: bytes, seconds: float) -> None:
    reply = decode_reply(b'{"status":"throttled","retry_after_secs":' + written + b"}")
    assert reply.retry_after_secs == seconds


def test_a_throttled_reply_has_a_default() -> None:
    assert decode_reply(b'{"status":"throttled"}').retry_after_secs == DEFAULT_RETRY_AFTER


def test_progress_is_shown_with_what_the_worker_sent() -> None:
    line = b'{"id":"x","status":"progress","progress":0.4,"message":"page 4","done":4,"total":10,"data":{"a": 1}}'
    reply = decode_reply(line)
    assert bytes(reply.data) == b'{"a": 1}'
    shown = encode_progress(reply)
    assert shown == b'{"progress":0.4,"message":"page 4","done":4,"total":10,"data":{"a": 1}}'


def test_progress_may_say_nothing() -> None:
    assert encode_progress(decode_reply(b'{"status":"progress"}')) == b'{"progress":null}'


@pytest.mark.parametrize("status", [b"ok", b"error", b"throttled", b"progress"])
def test_any_reply_may_ask_for_retirement(status: bytes) -> None:
    assert decode_reply(b'{"status":"' + status + b'","recycle":true}').recycle


@pytest.mark.parametrize(
    "line",
    [
        b'{"status":"ok","id":null,"recycle":null,"message":null,"retry":null,"result":null}',
        b'{"status":"ok","message":null,"extra":[null,{"a":1}]}',
    ],
)
def test_a_member_that_is_null_counts_as_missing(line: bytes) -> None:
    assert decode_reply(line) == decode_reply(b'{"status":"ok"}')


def test_unknown_members_are_ignored() -> None:
    assert decode_reply(b'{"status":"ok","result":1,"took_ms":12,"host":{"name":"a"}}') == decode_reply(
        b'{"status":"ok","result":1}'
    )


def test_white_space_around_a_reply_is_no_matter() -> None:
    assert decode_reply(b' { "status" : "ok" } \r').status == "ok"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "it is empty"),
        (b" \r", "it is empty"),
        (b"Loading model...", "malformed"),
        (b'"ok"', "Expected `object`"),
        (b'[{"status":"ok"}]', "Expected `object`"),
        (b"{}", "missing required field `status`"),
        (b'{"status":null}', "status"),
        (b'{"status":"done"}', "Invalid enum value 'done'"),
        (b'{"status":"Ready"}', "Invalid enum value 'Ready'"),
        (b'{"status":"OK"}', "Invalid enum value 'OK'"),
        (b'{"status":"ok"', "truncated"),
        (b'{"status":"ok"} {"status":"ok"}', "trailing"),
        (b'{"status":"ok","result":NaN}', "malformed"),
        (b'{"status":"ok","result":[Infinity]}', "malformed"),
        (b'{"status":"ok","id":7}', "id"),
        (b'{"status":"error","retry":"no"}', "retry"),
        (b'{"status":"error","message":{"a":1}}', "message"),
        (b'{"status":"throttled","retry_after_secs":"30"}', "retry_after_secs"),
        (b'{"status":"throttled","retry_after_secs":1e999}', "retry_after_secs"),
        (b'{"status":"progress","done":99999999999999999999}', "done"),
        (b'{"status":"ok","result":"\xff"}', "not UTF-8"),
        (b'{"status":"ok","unknown":"\xff"}', "not UTF-8"),
        (b'{"status":"ok","\xff":1}', "not UTF-8"),
        (rb'{"status":"ok","result":"\ud800"}', "'"),
        (rb'{"status":"error","message":"caf\udce9"}', "surrogate"),
        (b'{"status":"ok","result":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
        (b'{"status":1,"result":' + b"[" * 100_000, "status"),
        (b"\xef\xbb\xbf" + b'{"status":"ok"}', "malformed"),
    ],
)
def test_whatever_else_is_garbage_and_says_why(line: bytes, why: str) -> None:
    with pytest.raises(Garbage, match="not a reply") as caught:
        decode_reply(line)
    assert why in str(caught.value)


def test_garbage_is_quoted_and_cut() -> None:
    with pytest.raises(Garbage) as caught:
        decode_reply(b"Epoch 1/10 " + b"=" * 1_000_000)
    text = str(caught.value)
    assert "'Epoch 1/10 ===" in text
    assert len(text) < 500
    assert "\n" not in text
