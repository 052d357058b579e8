"""Numbers that Python cannot hold, or would write in another way, are printed as the job has them."""

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Run
from tests.cli.samples import ID, OTHER_ID, job, queue
from tests.cli.scripted import Params, Say, ScriptedDaemon

NUMBERS = f"[1e400,0.1000000000000000055,1.50,-0,1E5,{'9' * 5000}]"
STAND_IN = "the numbers"


def with_numbers(request: int = 1) -> Callable[[Params], None]:
    """A job with NUMBERS in payload, result and progress, as the answer to the request of this number."""

    def answer(_: Params) -> None:
        one = job(payload={"a": STAND_IN}, result=STAND_IN, progress={"done": STAND_IN}, timeout_secs=90.0)
        text = json.dumps({"jsonrpc": "2.0", "id": request, "result": one})
        raise Say(text.replace(json.dumps(STAND_IN), NUMBERS).encode() + b"\n")

    return answer


def test_get_shows_them_as_they_are(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("get", with_numbers())
    result = stoker("get", ID)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    for fact in (f'payload    {{"a":{NUMBERS}}}', f"result     {NUMBERS}", f'progress   {{"done":{NUMBERS}}}'):
        assert fact in lines
    assert "timeout    1m30s" in lines


def test_get_with_json_has_them_as_they_are(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("get", with_numbers())
    result = stoker("get", ID, "--json")
    assert result.exit_code == 0
    for member in (f'"payload":{{"a":{NUMBERS}}}', f'"result":{NUMBERS}', f'"progress":{{"done":{NUMBERS}}}'):
        assert member in result.stdout


@pytest.mark.usefixtures("terminal")
def test_indented_for_a_terminal_they_are_the_same(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("get", with_numbers())
    shown = stoker("get", ID, "--json").stdout
    assert '\n  "result": [\n    1e400,\n    0.1000000000000000055,\n    1.50,\n    -0,\n    1E5,\n    999' in shown


def test_a_result_that_was_waited_for_is_printed_as_it_is(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("submit", {"id": ID, "created": True, "state": "pending"})
    daemon.on("wait", with_numbers(2))
    result = stoker("submit", "thumbs", "--wait")
    assert (result.exit_code, result.stdout, result.stderr) == (0, NUMBERS + "\n", "")


def test_a_table_of_results_has_them_as_they_are(daemon: ScriptedDaemon, stoker: Run) -> None:
    requests = iter((1, 2))
    daemon.on("wait", lambda params: with_numbers(next(requests))(params))
    result = stoker("wait", ID, OTHER_ID)
    assert result.exit_code == 0
    assert [line.split()[-1] for line in result.stdout.splitlines()] == ["RESULT", NUMBERS, NUMBERS]


def test_rates_and_durations_are_still_numbers_to_reckon_with(daemon: ScriptedDaemon, stoker: Run) -> None:
    view = queue(submit_rate=3.3e-05, finish_rate=1e16, oldest_pending_secs=3.25)
    daemon.on("queues", {"queues": [view]})
    assert stoker("queues").stdout.splitlines()[1].split()[5:8] == ["3.2s", "0.0", "10000000000000000"]


def test_an_answer_with_what_is_no_json_is_exit_3(daemon: ScriptedDaemon, stoker: Run) -> None:
    def answer(_: Params) -> None:
        raise Say(b'{"jsonrpc":"2.0","id":1,"result":NaN}\n')

    daemon.on("get", answer)
    result = stoker("get", ID)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "NaN is not a JSON number" in result.stderr
