"""stoker get, position, cancel, retry and delete."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Run, lines_of_json
from tests.cli.samples import ID, OTHER_ID, attempt, error, job
from tests.cli.scripted import Refuse, ScriptedDaemon


def lines(text: str) -> dict[str, str]:
    """The facts of a job's page."""
    return {line.split()[0]: line.split(maxsplit=1)[-1] for line in text.splitlines() if line and line[0] != " "}


def test_get_shows_what_is_there_and_leaves_out_what_is_not(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("get", job(name="a picture", tags=["x", "y"]))
    result = stoker("get", ID)
    assert result.exit_code == 0
    facts = lines(result.stdout)
    assert (facts["id"], facts["state"], facts["name"], facts["tags"]) == (ID, "done", "a picture", "x y")
    assert (facts["payload"], facts["result"], facts["took"]) == ('{"path":"a.png"}', '{"width":40}', "10s")
    assert facts["submitted"].endswith("Z (1m40s ago)")
    assert facts.keys().isdisjoint({"client", "key", "unique", "expires", "error", "stderr", "timeout", "priority"})


def test_get_shows_the_error_its_stderr_and_the_failed_attempts(daemon: ScriptedDaemon, stoker: Run) -> None:
    failure = error(stderr="line one\nline two\n")
    daemon.on("get", job("failed", error=failure, attempt=2, charged=2, crashes=1, attempts=[attempt(1), attempt(2)]))
    shown = stoker("get", ID).stdout
    assert "error      exited: the worker exited while it had the job (exit code 3)\n" in shown
    assert "stderr     line one\n           line two\n" in shown
    assert "attempts   2 (2 of 5 failures, 1 crash)\n" in shown
    assert shown.count("  2.0s  4711  exited: the worker exited") == 2


def test_get_shows_every_failed_attempt_and_each_stderr_once(daemon: ScriptedDaemon, stoker: Run) -> None:
    first = error(cause="exited", message="the worker was killed by SIGSEGV", exit_code=None, signal="SIGSEGV")
    last = error(cause="error", message="no such file", exit_code=None, stderr="the last words\n")
    attempts = [attempt(1, error={**first, "stderr": "one\ntwo\n"}), attempt(2), attempt(3, error=last)]
    daemon.on("get", job("failed", attempt=3, charged=3, error=last, attempts=attempts))
    page = stoker("get", ID).stdout.splitlines()
    table = page.index("failed attempts")
    assert page[table + 1].split() == ["ATTEMPT", "WHEN", "TOOK", "PID", "ERROR"]
    assert "exited: the worker was killed by SIGSEGV" in page[table + 2]
    assert "(exit code 3)" in " ".join(page[table + 3 :])
    assert page[-4:] == ["", "stderr of attempt 1", "  one", "  two"]
    assert page.count("stderr     the last words") == 1


def test_get_shows_the_failed_attempts_of_a_job_that_went_well_in_the_end(daemon: ScriptedDaemon, stoker: Run) -> None:
    failed = error(cause="timeout", message="no reply within 1s", exit_code=None, stderr="loading\x1b[2J…\n")
    daemon.on("get", job("done", attempt=2, charged=1, attempts=[attempt(1, error=failed)]))
    page = stoker("get", ID).stdout.splitlines()
    assert page[-2] == "stderr of attempt 1"
    assert "\x1b" not in page[-1]


@pytest.mark.parametrize(
    ("own", "shown"),
    [
        ({"delays_secs": [1, 90, 0.25], "jitter": 0.2}, "1s, 1m30s, 250ms (give or take 20%)"),
        (
            {"base_secs": 2, "factor": 1.5, "cap_secs": 600, "jitter": 0},
            "2s, each time 1.5 times as long, at most 10m",
        ),
    ],
)
def test_get_shows_a_jobs_own_backoff(daemon: ScriptedDaemon, stoker: Run, own: dict[str, object], shown: str) -> None:
    daemon.on("get", job("pending", backoff=own))
    assert f"backoff    {shown}" in stoker("get", ID).stdout.splitlines()


def test_get_shows_when_a_job_to_come_will_run(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("get", job("pending", run_at="2999-01-01T00:00:00Z"))
    assert "runs       2999-01-01T00:00:00Z (in " in stoker("get", ID).stdout


def test_get_finds_a_job_by_client_and_key(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("get", job())
    stoker("get", "--client", "shop", "--key", "order-1")
    assert daemon.params("get") == [{"client": "shop", "key": "order-1"}]


@pytest.mark.parametrize("arguments", [(), (ID, "--key", "k"), ("--key", "k"), ("--client", "c")])
def test_get_wants_to_know_which_job(daemon: ScriptedDaemon, stoker: Run, arguments: tuple[str, ...]) -> None:
    result = stoker("get", *arguments)
    assert (result.exit_code, daemon.calls) == (2, [])


def test_get_with_json_is_the_job(daemon: ScriptedDaemon, stoker: Run) -> None:
    one = job()
    daemon.on("get", one)
    assert json.loads(stoker("get", ID, "--json").stdout) == one


def test_what_a_worker_wrote_cannot_steer_the_terminal(daemon: ScriptedDaemon, stoker: Run) -> None:
    hostile = "\x1b]0;gotcha\x07\x9b31m\u202e"
    daemon.on("get", job("failed", name=hostile, result=hostile, error=error(message=hostile, stderr=hostile)))
    shown = stoker("get", ID).stdout
    assert not set(hostile) & set("\x1b\x07\x9b\u202e") & set(shown)
    assert r"\x1b]0;gotcha\x07\x9b31m\u202e" in shown


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_the_error_of_an_attempt_is_wrapped_not_cut(daemon: ScriptedDaemon, stoker: Run) -> None:
    message = " ".join(f"word{number}" for number in range(30))
    daemon.on("get", job(attempts=[attempt(error=error(message=message))]))
    shown = stoker("get", ID).stdout
    assert all(f"word{number}" in shown for number in range(30))
    assert max(map(len, shown.partition("failed attempts")[2].splitlines()[2:])) <= 80


def test_position_is_a_sentence_or_json(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("position", {"ahead": 3, "active": 10})
    assert stoker("position", ID).stdout == "3 ahead, 10 running or pending in its queue\n"
    assert json.loads(stoker("position", ID, "--json").stdout) == {"ahead": 3, "active": 10}


def test_cancel_tells_what_it_ended_from_what_had_ended_before(daemon: ScriptedDaemon, stoker: Run) -> None:
    states = {ID: "cancelled", OTHER_ID: "done"}
    daemon.on("cancel", lambda params: job(states[params["id"]], id=params["id"]))
    result = stoker("cancel", ID, OTHER_ID)
    assert result.exit_code == 0
    assert result.stdout == f"{ID}  cancelled\n{OTHER_ID}  done  it had ended before\n"


def test_retry_and_delete_say_what_came_of_it(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("retry", job("pending"))
    daemon.on("delete", {"deleted": True})
    assert stoker("retry", ID).stdout == f"{ID}  pending  queue thumbs\n"
    assert stoker("delete", ID).stdout == f"{ID}  deleted\n"
    assert json.loads(stoker("delete", ID, "--json").stdout) == {"id": ID, "deleted": True}


def test_one_refusal_does_not_keep_the_others_from_their_turn(daemon: ScriptedDaemon, stoker: Run) -> None:
    def answer(params: dict[str, Any]) -> dict[str, Any]:
        if params["id"] == ID:
            raise Refuse("conflict", f"job {ID} is running: cancel it first")
        return {"deleted": True}

    daemon.on("delete", answer)
    result = stoker("delete", ID, OTHER_ID)
    assert result.exit_code == 1
    assert result.stderr == f"stoker: job {ID} is running: cancel it first\n"
    assert result.stdout == f"{OTHER_ID}  deleted\n"


def test_json_of_several_is_a_line_each(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("cancel", lambda params: job("cancelled", id=params["id"]))
    result = stoker("cancel", ID, OTHER_ID, "--json")
    assert [one["id"] for one in lines_of_json(result.stdout)] == [ID, OTHER_ID]


@pytest.mark.parametrize("command", ["get", "position", "cancel", "retry", "delete", "wait"])
def test_an_empty_id_is_a_wrong_command_line(daemon: ScriptedDaemon, stoker: Run, command: str) -> None:
    result = stoker(command, "")
    assert (result.exit_code, daemon.calls) == (2, [])
    assert "it is empty; is a variable of the shell not set?" in result.stderr
