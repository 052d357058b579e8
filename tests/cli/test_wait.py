"""stoker wait."""

from typing import Any

from tests.cli.conftest import Run, lines_of_json
from tests.cli.samples import ID, OTHER_ID, error, job
from tests.cli.scripted import Refuse, ScriptedDaemon


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
