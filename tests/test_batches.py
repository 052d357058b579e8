"""What batches are judged by is right itself: a file small enough to be read with the eyes, and folders that lie."""

import json
import random
from pathlib import Path

import pytest

from tests.batches import check_final, compose, counts, expected, read_folder

TEXT = b"""{"n":3,"custom_id":"a"}

nonsense
{"fails":"no such row","custom_id":7}\r
 \t\r
{"custom_id":null,"exits":3}
[1]"""
RECORDS = [
    {"line": 1, "custom_id": "a", "result": {"n": 3, "square": 9}},
    {"line": 3, "error": {"cause": "not_json"}},
    {"line": 4, "custom_id": 7, "error": {"cause": "error", "message": "no such row"}},
    {"line": 6, "error": {"cause": "poison"}},
    {"line": 7, "result": {"said": [1]}},
]


def write(folder: Path, records: list[object], tail: str = "") -> None:
    rows = {"output": "", "errors": ""}
    for record in records:
        rows["errors" if "error" in record else "output"] += json.dumps(record) + "\n"  # type: ignore[operator]
    counted = {"total": 5, "completed": 2, "failed": 3, "cancelled": 0}
    status = {"state": "failed", "counts": counted, "cancel_requested": False, "created_at": "1", "finished_at": "2"}
    (folder / "input.jsonl").write_bytes(TEXT)
    (folder / "status.json").write_text(json.dumps(status))
    (folder / "output.jsonl").write_text(rows["output"] + tail)
    (folder / "errors.jsonl").write_text(rows["errors"])


def test_the_model_says_what_comes_of_each_line() -> None:
    assert list(expected(TEXT).values()) == RECORDS
    assert counts(expected(TEXT)) == {"total": 5, "completed": 2, "failed": 3, "cancelled": 0}


def test_a_composed_file_has_some_of_everything() -> None:
    records = expected(compose(random.Random(1), 2000)).values()
    causes = {record["error"]["cause"] for record in records if "error" in record}
    assert causes == {"not_json", "too_large", "error", "poison"}
    assert {type(record.get("custom_id")) for record in records} == {str, int, float, type(None)}


def test_a_folder_as_it_should_be_passes(tmp_path: Path) -> None:
    write(tmp_path, RECORDS)
    check_final(read_folder(tmp_path), TEXT)


@pytest.mark.parametrize(
    ("records", "tail"),
    [
        (RECORDS[:-1], ""),
        ([*RECORDS, RECORDS[0]], ""),
        ([*RECORDS, {"line": 2, "result": None}], ""),
        ([*RECORDS[:-1], {"line": 7, "result": {"said": [2]}}], ""),
        ([{"line": 1, "result": {"n": 3, "square": 9}}, *RECORDS[1:]], ""),
        ([*RECORDS[:3], {"line": 6, "error": {"cause": "cancelled"}}, RECORDS[4]], ""),
        (RECORDS, '{"line":7'),
    ],
    ids=["missing", "double", "of a blank line", "wrong result", "no custom_id", "not cancelled", "torn"],
)
def test_a_folder_that_is_not_does_not(records: list[object], tail: str, tmp_path: Path) -> None:
    write(tmp_path, records, tail)
    with pytest.raises(AssertionError):
        check_final(read_folder(tmp_path), TEXT)
