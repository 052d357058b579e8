"""stoker batch output: the records of a batch as they are in its files."""

import base64
import json
import os
from typing import Any

import pytest

from supervisor.cli import batch_output
from tests.cli.conftest import Run, Start
from tests.cli.samples import ID, batch
from tests.cli.scripted import HangUp, LastWords, Params, Refuse, Say, ScriptedDaemon

# As a worker wrote them: numbers that Python would round, characters that a terminal would obey.
RECORDS = [
    '{"line":1,"result":{"n":1.10,"big":123456789012345678901234567890}}',
    '{"line":3,"custom_id":"a","result":"é \u202e \x7f"}',
    '{"line":2,"result":null}',
]


def note(method: str, params: str) -> str:
    return f'{{"jsonrpc":"2.0","method":"{method}","params":{params}}}\n'


def line(number: int, record: str, file: str = "output") -> str:
    return note("batch_line", f'{{"id":"{ID}","file":"{file}","n":{number},"record":{record}}}')


def end(lines: int, state: str = "completed", file: str = "output") -> str:
    return note("batch_end", json.dumps({"id": ID, "file": file, "lines": lines, "state": state}))


def told(*notes: str) -> bytes:
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"id": ID, "file": "output"}})
    return "".join((answer, "\n", *notes)).encode()


def says(daemon: ScriptedDaemon, *lives: Exception) -> None:
    left = iter(lives)

    def answer(_: Params) -> Any:
        life = next(left)
        if isinstance(life, Say | LastWords):  # numbers of requests rise from one connection to the next
            number = json.loads(daemon.lines[-1])["id"]
            raise type(life)(life.args[0].replace(b'"id": 1', b'"id": %d' % number))
        raise life

    daemon.on("batch_output", answer)


def whole(state: str = "completed") -> Say:
    return Say(told(*(line(number, record) for number, record in enumerate(RECORDS, 1)), end(3, state)))


def test_the_records_are_printed_as_they_were_written(daemon: ScriptedDaemon, start: Start) -> None:
    says(daemon, whole())
    out, err = start("batch", "output", ID, encoding="utf-8").communicate(timeout=20)
    assert (out.split("\n"), err) == ([*RECORDS, ""], "")
    assert daemon.params("batch_output") == [{"id": ID, "file": "output", "from_line": 1, "follow": False}]


def test_a_terminal_is_not_steered(daemon: ScriptedDaemon, stoker: Run, terminal: None) -> None:
    says(daemon, whole())
    assert stoker("batch", "output", ID).stdout.splitlines()[1] == (
        '{"line":3,"custom_id":"a","result":"é \\u202e \\u007f"}'
    )


def test_errors_a_place_to_begin_and_following_reach_the_daemon(daemon: ScriptedDaemon, stoker: Run) -> None:
    says(daemon, Say(told(line(7, "{}", "errors"), end(7, "failed", "errors"))))
    result = stoker("batch", "output", ID, "--errors", "--from", "7", "--follow")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "{}\n", "")
    assert daemon.params("batch_output") == [{"id": ID, "file": "errors", "from_line": 7, "follow": True}]
    assert stoker("batch", "output", ID, "--from", "0").exit_code == 2


def test_what_a_batch_has_by_now_is_told_to_be_no_more_than_that(daemon: ScriptedDaemon, stoker: Run) -> None:
    says(daemon, whole("in_progress"))
    result = stoker("batch", "output", ID)
    assert (result.exit_code, result.stdout.count("\n")) == (0, 3)
    assert result.stderr == (
        f"stoker: batch {ID} is in_progress, and this is what it has by now; --follow waits for the rest\n"
    )


def test_why_there_is_nothing_is_told(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("batch_get", batch("failed", failed=1000))
    says(daemon, Say(told(end(0, "failed"))), Say(told(end(3))), Say(told(end(1))), Say(told(end(0, file="errors"))))
    assert stoker("batch", "output", ID).stderr == (
        f"stoker: no line of batch {ID} passed; 1,000 lines failed: --errors\n"
    )
    assert stoker("batch", "output", ID, "--from", "9").stderr == "stoker: there are 3 lines, and none from 9 on\n"
    assert stoker("batch", "output", ID, "--from", "2").stderr == "stoker: there is 1 line, and none from 2 on\n"
    result = stoker("batch", "output", ID, "--errors")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")


def test_it_goes_on_behind_the_last_whole_record_when_the_daemon_is_back(daemon: ScriptedDaemon, stoker: Run) -> None:
    first = told(line(1, RECORDS[0]), line(2, RECORDS[2]), line(3, RECORDS[2])[:-20])
    says(daemon, LastWords(first), HangUp(), Say(told(line(3, "3"), end(3))))
    result = stoker("batch", "output", ID, "--follow")
    assert (result.stdout.splitlines(), result.stderr) == ([RECORDS[0], RECORDS[2], "3"], "")
    assert [params["from_line"] for params in daemon.params("batch_output")] == [1, 3, 3]


def test_a_daemon_that_stays_away_is_3_and_says_how_to_go_on(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_output, "BACK_SECS", 0.0)
    says(daemon, LastWords(told(line(1, RECORDS[0]))))
    result = stoker("batch", "output", ID)
    assert (result.exit_code, result.stdout) == (3, f"{RECORDS[0]}\n")
    assert result.stderr == (
        "stoker: the daemon went away, and is not back; what is missing here is printed with --from 2\n"
    )


def test_a_record_that_comes_in_parts_is_one_line(daemon: ScriptedDaemon, stoker: Run) -> None:
    record = '{"line":1,"result":"' + "x" * 1000 + '"}'
    halves = [(record[:500], "true"), (record[500:], "false")]
    parts = [
        f'{{"id":"{ID}","file":"output","n":1,"base64":"{base64.b64encode(half.encode()).decode()}","more":{more}}}'
        for half, more in halves
    ]
    says(daemon, Say(told(*(note("batch_part", part) for part in parts), end(1))))
    assert stoker("batch", "output", ID).stdout == record + "\n"


def test_a_refusal_is_a_sentence_and_1(daemon: ScriptedDaemon, stoker: Run) -> None:
    says(daemon, Refuse("not_found", "there is no batch ../x"))
    result = stoker("batch", "output", "../x")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "stoker: there is no batch ../x\n")


def test_a_batch_that_is_deleted_meanwhile_is_a_sentence_and_1(daemon: ScriptedDaemon, stoker: Run) -> None:
    gone = {"id": ID, "file": "output", "code": "not_found", "message": f"batch {ID} was deleted"}
    says(daemon, Say(told(line(1, "1"), note("batch_failed", json.dumps(gone)))))
    result = stoker("batch", "output", ID, "--follow")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "1\n", f"stoker: batch {ID} was deleted\n")


def test_a_reader_that_has_left_is_no_reason_for_words(daemon: ScriptedDaemon, start: Start) -> None:
    says(daemon, Say(told(*(line(number, RECORDS[0]) for number in range(1, 5000)), end(4999))))
    reader, writer = os.pipe()
    process = start("batch", "output", ID, stdout=writer)
    os.close(reader)
    os.close(writer)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (141, "")
