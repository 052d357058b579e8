"""The envelope."""

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.control import INVALID_REQUEST, PARSE_ERROR
from supervisor.control.rpc import MAX_ID, BadRequest, encode_answer, encode_error, parse


def bad(line: bytes) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        parse(line)
    return caught.value


def test_a_request_keeps_its_id_and_params_as_they_were_written() -> None:
    request = parse(b'{"jsonrpc":"2.0","id":1.50,"method":"get","params":{"id" : "x"}}')
    assert request is not None
    assert (request.id, request.method, bytes(request.params)) == (b"1.50", "get", b'{"id" : "x"}')


@pytest.mark.parametrize("id", [b"1", b"-7", b"0", b'"a b"', b'"\\u00e9"', '"é"'.encode(), b"null", b"1e3"])
def test_an_id_is_a_string_a_number_or_null(id: bytes) -> None:
    request = parse(b'{"jsonrpc":"2.0","method":"ping","id":%b}' % id)
    assert request is not None
    assert request.id == id


@pytest.mark.parametrize("id", [b"true", b"false", b"[1]", b"{}", b'"' + b"x" * MAX_ID + b'"'])
def test_any_other_id_is_refused(id: bytes) -> None:
    refused = bad(b'{"jsonrpc":"2.0","method":"ping","id":%b}' % id)
    assert (refused.code, refused.id) == (INVALID_REQUEST, b"null")
    assert refused.message.startswith("id: expected a string, a number or null")


def test_a_request_without_an_id_is_a_notification() -> None:
    request = parse(b'{"jsonrpc":"2.0","method":"ping"}')
    assert request is not None
    assert request.id is None


@pytest.mark.parametrize("line", [b"", b" ", b"\r", b"\t "])
def test_a_blank_line_is_nothing(line: bytes) -> None:
    assert parse(line) is None


def test_unknown_members_are_ignored() -> None:
    assert parse(b'{"jsonrpc":"2.0","method":"ping","id":1,"trace":[1,2]}') is not None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"hello", "invalid character"),
        (b'{"jsonrpc":"2.0"', "truncated"),
        (b'{"jsonrpc":"2.0","method":"ping"} x', "trailing"),
        (b'{"method":7,', "malformed|truncated"),
        (b'{"jsonrpc":"2.0","method":"p\xff"}', "not UTF-8"),
        (b'{"jsonrpc":"2.0","method":"ping","params":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deep"),
    ],
)
def test_what_is_not_json_is_a_parse_error_without_an_id(line: bytes, why: str) -> None:
    refused = bad(line)
    assert refused.id == b"null"
    assert len(refused.message) < 300
    assert re.search(why, refused.message)


@pytest.mark.parametrize(
    ("line", "id", "message"),
    [
        (b"[]", b"null", "JSON-RPC batches are not supported: send one request a line, and many of them"),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', b"null", "JSON-RPC batches are not supported"),
        (b"[" * 100_000, b"null", "JSON-RPC batches are not supported"),
        (b'"ping"', b"null", "a request is an object with jsonrpc, id, method and params"),
        (b"17", b"null", "a request is an object"),
        (b"null", b"null", "a request is an object"),
        (b'{"id":5,"method":"ping"}', b"5", 'jsonrpc: expected "2.0", got nothing'),
        (b'{"jsonrpc":2.0,"id":5,"method":"ping"}', b"5", 'jsonrpc: expected "2.0", got 2.0'),
        (b'{"jsonrpc":"1.0","id":"x","method":"ping"}', b'"x"', 'jsonrpc: expected "2.0", got "1.0"'),
        (b'{"jsonrpc":"2.0","id":5}', b"5", "method: required, but missing"),
        (b'{"jsonrpc":"2.0","id":5,"method":17}', b"5", "method: expected a string, got 17"),
        (b'{"jsonrpc":"2.0","method":17,"id":{}}', b"null", "id: expected"),
    ],
)
def test_json_that_is_no_request_is_refused_with_what_is_wrong(line: bytes, id: bytes, message: str) -> None:
    refused = bad(line)
    assert (refused.code, refused.id) == (INVALID_REQUEST, id)
    assert refused.message.startswith(message)


def test_a_parse_error_has_its_own_code() -> None:
    assert bad(b"{").code == PARSE_ERROR


def test_answers_are_one_line_with_the_id_as_it_came() -> None:
    assert encode_answer(b"1.50", {"a": msgspec.Raw(b"[1]")}) == b'{"jsonrpc":"2.0","id":1.50,"result":{"a":[1]}}\n'
    assert json.loads(encode_error(b'"x"', -32000, "no\nway", {"code": "gone"})) == {
        "jsonrpc": "2.0",
        "id": "x",
        "error": {"code": -32000, "message": "no\nway", "data": {"code": "gone"}},
    }


@given(st.binary() | st.binary().map(b'{"jsonrpc":"2.0","method":"ping","id":%b}'.__mod__))
def test_any_bytes_are_a_request_or_a_reason(line: bytes) -> None:
    try:
        request = parse(line)
    except BadRequest as refused:
        answer = encode_error(refused.id, refused.code, refused.message, {})
    else:
        answer = encode_answer(request.id or b"null" if request else b"null", None)
    assert set(json.loads(answer)) > {"jsonrpc", "id"}
