import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.job import Cause, JobError
from supervisor.lines.records import error_record, number_of, refusal_record, result_record
from tests.fuzz.strategies import values

NUMBERS = st.integers(1, 10**9)
CUSTOM_IDS = st.none() | st.text(max_size=20) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)


def as_json(custom_id: object) -> bytes | None:
    return None if custom_id is None else json.dumps(custom_id).encode()


def test_records_say_what_became_of_a_line() -> None:
    assert result_record(17, b'"a"', b"[1]") == b'{"line":17,"custom_id":"a","result":[1]}\n'
    assert result_record(17, None, b"null") == b'{"line":17,"result":null}\n'
    assert refusal_record(3, None, "not_json", "no") == b'{"line":3,"error":{"cause":"not_json","message":"no"}}\n'


def test_an_error_record_has_what_is_set_of_the_jobs_error() -> None:
    error = JobError(
        cause=Cause.EXITED, message="gone", signal="SIGKILL", stderr="x\n", details=msgspec.Raw(b'{"a":1}')
    )
    assert json.loads(error_record(2, b"5", error)) == {
        "line": 2,
        "custom_id": 5,
        "error": {"cause": "exited", "message": "gone", "signal": "SIGKILL", "stderr": "x\n", "details": {"a": 1}},
    }
    plain = json.loads(error_record(2, None, JobError(cause=Cause.ERROR, message="no", exit_code=0)))
    assert plain == {"line": 2, "error": {"cause": "error", "message": "no", "exit_code": 0}}


@given(NUMBERS, CUSTOM_IDS, values)
def test_a_record_is_one_line_and_names_its_own(number: int, custom_id: object, value: object) -> None:
    records = [
        result_record(number, as_json(custom_id), json.dumps(value).encode()),
        refusal_record(number, as_json(custom_id), "cancelled", repr(value)),
        error_record(number, as_json(custom_id), JobError(cause=Cause.ERROR, message=repr(value))),
    ]
    for record in records:
        assert record.count(b"\n") == 1
        assert record.endswith(b"\n")
        assert number_of(record) == number_of(record[:-1]) == number
        assert json.loads(record).get("custom_id") == custom_id


@given(st.data(), NUMBERS, CUSTOM_IDS, values)
def test_a_part_of_a_record_is_no_record(data: st.DataObject, number: int, custom_id: object, value: object) -> None:
    record = result_record(number, as_json(custom_id), json.dumps(value).encode())
    cut = data.draw(st.integers(0, len(record) - 2))
    assert number_of(record[:cut]) is None
    start = data.draw(st.integers(0, len(record) - 2))
    hole = record[:start] + bytes(len(record) - 1 - start) + b"\n"
    assert number_of(hole) is None


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\n",
        b"17\n",
        b"{}\n",
        b'{"line":0,"result":1}\n',
        b'{"line":-1,"result":1}\n',
        b'{"line":true,"result":1}\n',
        b'{"line":"1","result":1}\n',
        b'{"line":1}\n',
        b'{"line":1,"result":1,"error":{}}\n',
        b'{"result":1}\n',
        b'{"line":1,"result":"\xff"}\n',
        b'{"line":1,"result":' + b"[" * 100_000,
    ],
)
def test_what_is_not_a_record_has_no_number(record: bytes) -> None:
    assert number_of(record) is None
