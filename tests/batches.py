"""Input files of batches, what must come of each line by a plain function, and what a batch's folder holds of it.

`expected` shares no code with what it judges. The worker is tests/workers/lines.py.
"""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from tests.workers import command

WORKER = command("lines")
MAX_PAYLOAD = 4096  # of the queues that these files are for
FILES = ("output.jsonl", "errors.jsonl")
FINAL = ("completed", "failed", "cancelled")

Record = dict[str, Any]


# -- what goes in --------------------------------------------------------------------------------------------------


def compose(chance: random.Random, lines: int, *, secs: float = 0.002, crashes: bool = True) -> bytes:
    """An input with some of everything. `secs`: how long a job takes at most, roughly."""
    rows = [_row(chance, number, secs, crashes=crashes) for number in range(lines)]
    ends = [chance.choice([b"\n", b"\n", b"\n", b"\r\n"]) for _ in rows]
    text = b"".join(row + end for row, end in zip(rows, ends, strict=True))
    return text.rstrip(b"\r\n") if chance.random() < 0.5 else text


def _row(chance: random.Random, number: int, secs: float, *, crashes: bool) -> bytes:
    draw = chance.random()
    if draw < 0.06:
        return chance.choice([b"", b"   ", b"\t", b" \t "])
    if draw < 0.12:
        return chance.choice(NOT_JSON)
    if draw < 0.13:
        return json.dumps("x" * (MAX_PAYLOAD + 1)).encode()
    if draw < 0.22:
        return chance.choice([b"null", b"7", b'"text"', b"[1, 2, {}]", b"{}", '{"é": "\u2028"}'.encode(), b" true"])
    wanted = _wanted(chance, number, crashes=crashes)
    if chance.random() < 0.5:
        wanted["secs"] = round(chance.uniform(0, secs), 4)
    if chance.random() < 0.7:
        wanted["custom_id"] = chance.choice([f"row-{number}", "twice", number, 1.5, 'é\n"', None, ["no", "id"]])
    return json.dumps(wanted, ensure_ascii=chance.random() < 0.5).encode()


def _wanted(chance: random.Random, number: int, *, crashes: bool) -> Record:
    draw = chance.random()
    if draw < 0.08:
        return {"fails": f"line of {number}"}
    if draw < 0.11:
        return {"flaky": 1}
    if draw < 0.115 and crashes:
        return {"exits": 3}
    return {"n": number}


NOT_JSON = [
    b"{",
    b"nonsense",
    b'{"n": 1} {"n": 2}',
    b"\xff\xfe",
    b'"\xed\xa0\x80"',
    b"[" * 3000,
    b"NaN",
    b"'n'",
    b"{,}",
]


# -- what must come out --------------------------------------------------------------------------------------------


def expected(text: bytes, max_payload: int = MAX_PAYLOAD) -> dict[int, Record]:
    """The record of each line that is not blank, by its number. An error has its cause, and its message where that is
    the worker's own."""
    rows = text.split(b"\n")
    return {number: _record(number, row, max_payload) for number, row in enumerate(rows, 1) if row.strip(b" \t\r")}


def _record(number: int, row: bytes, max_payload: int) -> Record:
    if row in NOT_JSON or row.strip() in NOT_JSON:
        return {"line": number, "error": {"cause": "not_json"}}
    if len(row.strip()) > max_payload:
        return {"line": number, "error": {"cause": "too_large"}}
    payload = json.loads(row)
    wanted = payload if isinstance(payload, dict) else {}
    head: Record = {"line": number}
    named = wanted.get("custom_id")
    if isinstance(named, (str, int, float)) and not isinstance(named, bool):
        head["custom_id"] = named
    return head | _outcome(payload, wanted)


def _outcome(payload: Any, wanted: Record) -> Record:
    if "exits" in wanted:
        return {"error": {"cause": "poison"}}
    if "fails" in wanted:
        return {"error": {"cause": "error", "message": wanted["fails"]}}
    if "flaky" in wanted:
        return {"result": {"flaky": wanted["flaky"]}}
    if "n" in wanted:
        return {"result": {"n": wanted["n"], "square": wanted["n"] ** 2}}
    return {"result": {"said": payload}}


def counts(records: dict[int, Record]) -> dict[str, int]:
    """What a batch with these records has counted once it is final."""
    kinds = Counter(_kind(record) for record in records.values())
    return {"total": len(records), **{name: kinds[name] for name in ("completed", "failed", "cancelled")}}


def _kind(record: Record) -> str:
    if "error" not in record:
        return "completed"
    return "cancelled" if record["error"]["cause"] == "cancelled" else "failed"


# -- what is there -------------------------------------------------------------------------------------------------


class Folder(NamedTuple):
    """What a batch's folder held at some moment. A last line without its end is left out of `output` and `errors`."""

    status: Record
    input: bytes
    output: list[bytes]
    errors: list[bytes]
    torn: bool  # whether there was such a line

    @property
    def final(self) -> bool:
        return self.status["state"] in FINAL

    def results(self) -> list[Record]:
        return [json.loads(row) for row in self.output]


def read_folder(path: Path) -> Folder:
    """Raises where it is no whole batch: ValueError for a status that is cut short, FileNotFoundError."""
    status = json.loads((path / "status.json").read_bytes())
    output, errors = ((path / name).read_bytes() if (path / name).exists() else b"" for name in FILES)
    torn = any(data and not data.endswith(b"\n") for data in (output, errors))
    return Folder(status, (path / "input.jsonl").read_bytes(), _whole(output), _whole(errors), torn)


def _whole(data: bytes) -> list[bytes]:
    return data.split(b"\n")[:-1]


def answered(folder: Folder) -> dict[int, Record]:
    """Its records by line. AssertionError where a line has two, one is in the wrong file, or is no record."""
    found: dict[int, Record] = {}
    for member, rows in (("result", folder.output), ("error", folder.errors)):
        for row in rows:
            record = json.loads(row)
            assert member in record, f"in the wrong file: {row!r}"
            assert record["line"] not in found, f"line {record['line']} is answered twice: {row!r}"
            found[record["line"]] = record
    return found


def check_so_far(folder: Folder, text: bytes, *, cancelled: bool = False, meddled: bool = False) -> dict[int, Record]:
    """What is answered is answered rightly. `cancelled`: lines may be, since somebody has asked for it; `meddled`: and
    their jobs may have been deleted by somebody."""
    assert folder.input == text, "the input is not what was sent"
    right = expected(text)
    found = answered(folder)
    for number, record in found.items():
        if (cancelled or meddled) and _kind(record) == "cancelled":
            continue
        if meddled and record.get("error", {}).get("cause") == "deleted":
            continue
        assert _comparable(record, right.get(number)) == right.get(number), f"line {number}: {record}"
    return found


def check_final(folder: Folder, text: bytes, **may_be: bool) -> None:
    """Exactly one record for each line, and a status that says so."""
    found = check_so_far(folder, text, **may_be)
    assert found.keys() == expected(text).keys(), sorted(found.keys() ^ expected(text).keys())
    assert folder.status["counts"] == counts(found)
    assert folder.status["state"] == final_state(folder.status, counts(found))
    assert not folder.torn
    assert folder.status["finished_at"] >= folder.status["created_at"]


def final_state(status: Record, counted: dict[str, int]) -> str:
    if status["cancel_requested"]:
        return "cancelled"
    return "failed" if counted["failed"] or counted["cancelled"] else "completed"


def _comparable(record: Record, like: Record | None) -> Record:
    """As little of the error as `like` says of it."""
    if "error" not in record or like is None or "error" not in like:
        return record
    return record | {"error": {name: record["error"].get(name) for name in like["error"]}}
