"""What a wrong call is told."""

import msgspec
import pytest

from protocol.control import INVALID_PARAMS, PARSE_ERROR
from supervisor.control.complaints import hint
from supervisor.control.methods import METHODS
from supervisor.control.rpc import BadCall


def complaint(method: str, params: bytes) -> BadCall:
    with pytest.raises(BadCall) as caught:
        METHODS[method].decode(msgspec.Raw(params))
    return caught.value


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("submit", b'{"queue":1,"payload":1}', "queue: expected a string, got an integer"),
        ("submit", b'{"payload":1}', "queue: required, but missing"),
        ("submit", b'{"queue":"q"}', "payload: required, but missing"),
        ("submit", b'{"queue":"q","payload":1,"priority":"high"}', "priority: expected an integer, got a string"),
        (
            "submit",
            b'{"queue":"q","payload":1,"priority":1.5}',
            "priority: expected an integer, got a number with a fraction or exponent",
        ),
        (
            "submit",
            b'{"queue":"q","payload":1,"delay_secs":"1"}',
            "delay_secs: expected a number or null, got a string",
        ),
        ("submit", b'{"queue":"q","payload":1,"delay_secs":1e999}', "delay_secs: Number out of range"),
        ("submit", b'{"queue":"q","payload":1,"tags":"a"}', "tags: expected a list, got a string"),
        ("submit", b'{"queue":"q","payload":1,"tags":["a",1]}', "tags[1]: expected a string, got an integer"),
        (
            "submit",
            b'{"qeue":"q","payload":1}',
            'qeue: not a parameter; did you mean "queue"? known: backoff, ',
        ),
        (
            "submit",
            b'{"queue":"q","payload":1,"zzzzz":1}',
            "zzzzz: not a parameter; known: backoff, client, ",
        ),
        (
            "submit",
            b'{"queue":"q","payload":1,"backoff":{"cap_sec":1}}',
            'backoff.cap_sec: not a parameter; did you mean "cap_secs"? known: base_secs, ',
        ),
        ("submit", b'{"queue":"q","payload":1,"backoff":["1s"]}', "backoff[0]: expected a number, got a string"),
        ("submit_many", b'{"jobs":{}}', "jobs: expected a list, got an object"),
        ("submit_many", b'{"jobs":[{"queue":"q","payload":1},[]]}', "jobs[1]: expected an object, got a list"),
        ("submit_many", b'{"jobs":[{"queue":"q"}]}', "jobs[0].payload: required, but missing"),
        (
            "submit_many",
            b'{"jobs":[{"queue":"q","payload":1,"tag":"x"}]}',
            'jobs[0].tag: not a parameter; did you mean "tags"? known: ',
        ),
        ("submit_many", b'{"job":[]}', 'job: not a parameter; did you mean "jobs"? known: jobs'),
        ("list", b'{"state":3}', "state: expected a string or a list or null, got an integer"),
        ("list", b'{"full":1}', "full: expected true or false, got an integer"),
        ("list", b'{"limit":true}', "limit: expected an integer, got a boolean"),
        ("ping", b'{"a":1}', "a: not a parameter; there are none"),
        ("get", b'"x"', "params: expected an object, got a string"),
        ("get", b"[1]", "params: expected an object, got a list; there are no positional parameters"),
        ("get", b"[]", "params: expected an object, got a list; there are no positional parameters"),
    ],
)
def test_wrong_params_are_told_where_and_what_was_expected(method: str, params: bytes, message: str) -> None:
    bad = complaint(method, params)
    assert bad.code == INVALID_PARAMS
    assert bad.message.startswith(message)


def test_a_long_wrong_name_is_cut() -> None:
    assert len(complaint("get", b'{"%b":1}' % (b"x" * 100_000)).message) < 200


def test_null_params_are_no_params() -> None:
    assert METHODS["ping"].decode(msgspec.Raw(b"null")) is not None
    assert complaint("submit", b"null").message == "queue: required, but missing"


def test_a_payload_nested_too_deep_is_a_parse_error() -> None:
    bad = complaint("submit", b'{"queue":"q","payload":%b}' % (b"[" * 100_000 + b"]" * 100_000))
    assert (bad.code, bad.message) == (PARSE_ERROR, "params: nested too deep")


def test_hints_name_the_nearest_and_all_known() -> None:
    assert hint("sumbit", ["submit", "get"]) == '; did you mean "submit"? known: get, submit'
    assert hint("zzz", ["submit", "get"]) == "; known: get, submit"
    assert hint("zzz", []) == "; there are none"
