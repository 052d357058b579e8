"""stoker wait."""

import json
from typing import Any

import pytest

from supervisor.cli import comeback, endings
from tests.cli.conftest import Run, lines_of_json
from tests.cli.samples import ID, OTHER_ID, error, job, pool, queue, status
from tests.cli.scripted import HangUp, Refuse, Say, ScriptedDaemon, Silence


def test_the_result_of_one_job_is_printed_alone(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("wait", job(result=[1, 2]))
    result = stoker("wait", ID)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "[1,2]\n", "")


def test_several_make_a_table_and_any_that_is_not_done_makes_it_exit_1(daemon: ScriptedDaemon, stoker: Run) -> None:
    ended = {ID: job(), OTHER_ID: job("failed", id=OTHER_ID, error=error(message="no such\nfile"))}
    daemon.on("wait", lambda params: ended[params["id"]])
    result = stoker("wait", ID, OTHER_ID)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{'ID':36}  STATE   RESULT",
        f'{ID}  done    {{"width":40}}',
        f"{OTHER_ID}  failed  exited: no such file (exit code 3)",
    ]


def test_json_is_a_job_a_line_in_the_order_asked_for_however_they_end(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("wait", lambda params: job(id=params["id"]))
    result = stoker("wait", OTHER_ID, ID, "--json")
    assert [one["id"] for one in lines_of_json(result.stdout)] == [OTHER_ID, ID]


def test_one_that_is_not_there_does_not_keep_the_others_from_being_told(daemon: ScriptedDaemon, stoker: Run) -> None:
    def answer(params: dict[str, Any]) -> dict[str, Any]:
        if params["id"] == "nosuch":
            raise Refuse("not_found", "there is no job nosuch")
        return job()

    daemon.on("wait", answer)
    result = stoker("wait", "nosuch", ID)
    assert result.exit_code == 1
    assert result.stderr == "stoker: there is no job nosuch\n"
    assert f"{ID}  done" in result.stdout


def test_the_timeout_is_for_all_of_them_together(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("wait", lambda params: job(id=params["id"]))
    stoker("wait", ID, OTHER_ID, "--timeout", "1m")
    first, second = (params["timeout_secs"] for params in daemon.params("wait"))
    assert 59 < second <= first <= 60


def test_without_an_id_it_is_a_wrong_command_line(daemon: ScriptedDaemon, stoker: Run) -> None:
    assert stoker("wait").exit_code == 2


def waits_until_asked(daemon: ScriptedDaemon, method: str, answer: dict[str, Any], **changes: Any) -> None:
    """The job ends as soon as `method` was answered, which is `answer`."""

    def never(_: object) -> None:
        raise Silence

    def both(_: object) -> None:
        asked = {request["method"]: request["id"] for request in map(json.loads, daemon.lines)}
        answers = [(asked[method], answer), (asked["wait"], job())]
        texts = [json.dumps({"jsonrpc": "2.0", "id": number, "result": result}) for number, result in answers]
        raise Say("".join(f"{text}\n" for text in texts).encode())

    daemon.on("wait", never)
    daemon.on("get", job("pending", **changes))
    daemon.on(method, both)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "FIRST_LOOK", 0.01)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pools": [pool(state="degraded", busy=0)]}, "pool thumbs is degraded (`stoker pools thumbs` says why)"),
        ({"pools": [pool(max=0)]}, "pool thumbs has 0 workers (`stoker resize thumbs 1` gives it one)"),
        ({"queues": [queue(paused=True)]}, "queue thumbs is paused (`stoker resume thumbs` ends that)"),
        (
            {"queues": [queue(pools=[])]},
            "no pool serves queue thumbs (a pool in the configuration must have it in its queues)",
        ),
        ({"state": "draining"}, "the daemon is drained (its next start takes up the queue)"),
    ],
)
def test_a_job_that_cannot_start_is_told_with_the_cause_once_and_on_stderr_alone(
    daemon: ScriptedDaemon, stoker: Run, changes: dict[str, Any], said: str
) -> None:
    waits_until_asked(daemon, "status", status(**changes))
    result = stoker("wait", ID, "--json")
    assert result.stderr == f"stoker: it waits: {said}\n"
    assert [one["state"] for one in lines_of_json(result.stdout)] == ["done"]
    assert len(daemon.params("status")) == 1


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "pools", [[pool()], [pool(state="degraded", busy=1)], [pool(), pool("other", state="degraded", busy=0)]]
)
def test_nothing_is_said_of_a_job_that_waits_its_turn(
    daemon: ScriptedDaemon, stoker: Run, pools: list[dict[str, Any]]
) -> None:
    served = queue(pools=[one["pool"] for one in pools])
    waits_until_asked(daemon, "status", status(pools=pools, queues=[served]))
    result = stoker("wait", ID)
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.usefixtures("soon")
def test_nothing_is_said_of_a_job_that_is_not_due(daemon: ScriptedDaemon, stoker: Run) -> None:
    waits_until_asked(daemon, "get", job("pending", run_at="2999-01-01T00:00:00Z"))
    result = stoker("wait", ID)
    assert (result.exit_code, result.stderr, daemon.params("status")) == (0, "", [])


@pytest.mark.usefixtures("soon")
def test_a_daemon_that_does_not_tell_why_is_waited_for_all_the_same(daemon: ScriptedDaemon, stoker: Run) -> None:
    def refuse(_: object) -> None:
        raise Refuse("internal", "no")

    waits_until_asked(daemon, "status", status())
    turns = iter([refuse, daemon.answers["status"]])
    daemon.on("status", lambda params: next(turns)(params))
    assert stoker("wait", ID).stderr == ""
    assert len(daemon.params("status")) == 2


def test_a_wait_goes_on_with_the_daemon_that_comes_back(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comeback, "AGAIN_SECS", 0)
    leaves = iter([True, False, True, True])

    def answer(params: dict[str, Any]) -> dict[str, Any]:
        if next(leaves, False):
            raise HangUp
        return job(id=params["id"])

    daemon.on("wait", answer)
    result = stoker("wait", ID, OTHER_ID, "--json", "--timeout", "1m")
    assert [one["id"] for one in lines_of_json(result.stdout)] == [ID, OTHER_ID]
    assert result.exit_code == 0
    said = "stoker: the daemon went away; the wait goes on when it is back\n"
    assert result.stderr.replace(said, "") == ""
    assert result.stderr.count(said) in (1, 2)  # an answer was read in between, or not any more


def test_a_daemon_that_comes_back_only_to_leave_is_given_up(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(_: object) -> None:
        raise HangUp

    monkeypatch.setattr(comeback, "AGAIN_SECS", 0)
    monkeypatch.setattr(endings, "BACK_SECS", 0.05)
    daemon.on("wait", leave)
    result = stoker("wait", ID)
    assert result.exit_code == 3
    first, last = result.stderr.splitlines()
    assert first == "stoker: the daemon went away; the wait goes on when it is back"
    assert last.endswith(f"job {ID} stays in the queue; when it is back: `stoker wait {ID}`")
    assert len(daemon.params("wait")) > 1
