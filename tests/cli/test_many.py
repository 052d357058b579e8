"""stoker submit --many: a payload a line."""

from typing import Any

import pytest

from supervisor.cli import many
from tests.cli.conftest import Run, lines_of_json
from tests.cli.samples import error, job
from tests.cli.scripted import HangUp, Refuse, ScriptedDaemon


def accept(params: dict[str, Any]) -> dict[str, Any]:
    """The id of a job says what its payload was."""
    return {"jobs": [{"id": f"id-{one['payload']}", "created": True, "state": "pending"} for one in params["jobs"]]}


def numbers(count: int) -> str:
    return "".join(f"{number}\n" for number in range(count))


def test_lines_are_submitted_in_batches_and_their_ids_printed_in_order(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit_many", accept)
    result = stoker("submit", "thumbs", "--many", input=numbers(1200))
    assert result.exit_code == 0
    assert result.stdout.split() == [f"id-{number}" for number in range(1200)]
    assert [len(params["jobs"]) for params in daemon.params("submit_many")] == [500, 500, 200]


def test_options_are_given_to_each_job(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit_many", accept)
    stoker("submit", "thumbs", "-", "--many", "--priority", "2", "--tag", "x", input="1\n")
    assert daemon.params("submit_many") == [{"jobs": [{"queue": "thumbs", "payload": 1, "priority": 2, "tags": ["x"]}]}]


def test_large_payloads_make_smaller_batches(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "BATCH_BYTES", 10)
    daemon.on("submit_many", accept)
    stoker("submit", "thumbs", "--many", input="1111\n2222\n3333\n")
    assert [len(params["jobs"]) for params in daemon.params("submit_many")] == [2, 1]


def test_blank_lines_and_a_missing_last_newline_are_no_jobs(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit_many", accept)
    assert stoker("submit", "thumbs", "--many", input="1\n\n  \n2").stdout == "id-1\nid-2\n"


def test_an_empty_stdin_is_no_error(daemon: ScriptedDaemon, stoker: Run) -> None:
    result = stoker("submit", "thumbs", "--many", input="")
    assert (result.exit_code, result.stdout, daemon.calls) == (0, "", [])


def test_a_line_that_is_no_json_ends_it_after_exactly_the_lines_before(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit_many", accept)
    result = stoker("submit", "thumbs", "--many", input="1\n2\nthree\n4\n")
    assert (result.exit_code, result.stdout) == (2, "id-1\nid-2\n")
    assert result.stderr.startswith("stoker: line 3 of stdin is not JSON: ")
    assert result.stderr.endswith("; the lines before it are submitted, the rest is not\n")


def test_a_first_line_that_is_no_json_submits_nothing(daemon: ScriptedDaemon, stoker: Run) -> None:
    result = stoker("submit", "thumbs", "--many", input="one\n2\n")
    assert (result.exit_code, daemon.calls) == (2, [])
    assert result.stderr.endswith("; nothing is submitted\n")


def test_a_refused_batch_says_its_lines_and_what_is_submitted(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_second(params: dict[str, Any]) -> dict[str, Any]:
        if len(daemon.params("submit_many")) == 2:
            raise Refuse("queue_full", "queue thumbs is full")
        return accept(params)

    monkeypatch.setattr(many, "BATCH", 2)
    daemon.on("submit_many", refuse_second)
    result = stoker("submit", "thumbs", "--many", input=numbers(6))
    assert (result.exit_code, result.stdout) == (1, "id-0\nid-1\n")
    assert result.stderr == (
        "stoker: lines 3 to 4 of stdin were refused: queue thumbs is full; the 2 jobs before them are submitted\n"
    )


def test_a_daemon_that_leaves_is_exit_3_with_the_lines_it_did_not_answer_for(
    daemon: ScriptedDaemon, stoker: Run
) -> None:
    def leave(_: object) -> None:
        raise HangUp

    daemon.on("submit_many", leave)
    result = stoker("submit", "thumbs", "--many", input="1\n2\n")
    assert result.exit_code == 3
    assert result.stderr == "stoker: the daemon went away before it answered for lines 1 to 2 of stdin\n"


def test_wait_prints_a_line_for_each_line_and_null_where_there_is_no_result(
    daemon: ScriptedDaemon, stoker: Run
) -> None:
    def end(params: dict[str, Any]) -> dict[str, Any]:
        if params["id"] == "id-1":
            return job("failed", id="id-1", error=error())
        return job(id=params["id"], result=params["id"])

    daemon.on("submit_many", accept)
    daemon.on("wait", end)
    result = stoker("submit", "thumbs", "--many", "--wait", input=numbers(3))
    assert (result.exit_code, lines_of_json(result.stdout)) == (1, ["id-0", None, "id-2"])
    assert result.stderr.startswith("stoker: job id-1 failed")


def test_more_jobs_than_may_be_waited_for_at_once_are_waited_for_in_turn(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit_many", accept)
    daemon.on("wait", lambda params: job(id=params["id"], result=params["id"]))
    result = stoker("submit", "thumbs", "--many", "--wait", input=numbers(350))
    assert result.exit_code == 0
    assert lines_of_json(result.stdout) == [f"id-{number}" for number in range(350)]


def test_json_prints_an_answer_a_line(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit_many", accept)
    result = stoker("submit", "thumbs", "--many", "--json", input="1\n2\n")
    assert lines_of_json(result.stdout) == accept({"jobs": [{"payload": 1}, {"payload": 2}]})["jobs"]


def test_the_text_of_each_line_reaches_the_daemon_unchanged(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit_many", accept)
    stoker("submit", "thumbs", "--many", input="1e400\n[0.10,  -0]\n")
    (line,) = daemon.lines
    assert line.endswith(
        b'"params":{"jobs":[{"queue":"thumbs","payload":1e400},{"queue":"thumbs","payload":[0.10,  -0]}]}}\n'
    )
