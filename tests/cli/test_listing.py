"""stoker list."""

import json

import pytest

from tests.cli.conftest import Run
from tests.cli.samples import ID, OTHER_ID, ago, error, job, listed, queue
from tests.cli.scripted import Refuse, ScriptedDaemon


def test_filters_are_sent_as_the_protocol_names_them(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("list", {"jobs": [], "total": 0, "next": None})
    daemon.on("queues", {"queues": [queue()]})
    stoker("list")
    stoker(
        *("list", "--queue", "thumbs", "--state", "failed", "--state", "expired", "--tag", "x"),
        *("--client", "shop", "--limit", "7", "--cursor", "c1", "--full", "--cause", "oom", "--name", "n"),
        *("--finished-before", "2030-01-31T08:00:00Z"),
    )
    assert daemon.params("list") == [
        {"limit": 50},
        {
            "queue": "thumbs",
            "state": ["failed", "expired"],
            "tag": "x",
            "client": "shop",
            "cause": "oom",
            "name": "n",
            "finished_before": "2030-01-31T08:00:00Z",
            "limit": 7,
            "cursor": "c1",
            "full": True,
        },
    ]


def test_jobs_are_aligned_text_with_whole_ids_and_what_matters_in_their_state(
    daemon: ScriptedDaemon, stoker: Run
) -> None:
    jobs = [
        listed("pending", run_at="2999-01-01T00:00:00Z", name="later"),
        listed("running", attempt=8, charged=1, id=OTHER_ID, started_at=ago(75), name=None),
        listed(
            "failed", attempt=6, charged=5, error=error(cause="timeout", message="no reply within 60s", exit_code=None)
        ),
    ]
    daemon.on("list", {"jobs": jobs, "total": 3, "next": None})
    header, *rows = stoker("list").stdout.splitlines()
    assert header.split() == ["ID", "QUEUE", "STATE", "FAILED", "AGE", "NOTE"]
    assert rows[0].startswith(f"{ID}  thumbs  pending     0/5  1m40s  later: runs in ")
    assert rows[1] == f"{OTHER_ID}  thumbs  running     1/5  1m40s  for 1m15s"
    assert rows[2] == f"{ID}  thumbs  failed      5/5  1m40s  timeout: no reply within 60s"


def test_the_next_page_is_announced_beside_the_table_not_in_it(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("list", {"jobs": [listed()], "total": 120, "next": "page-2"})
    result = stoker("list", "--limit", "1")
    assert result.stderr == "1 of 120; the next page: --cursor page-2\n"
    assert "page-2" not in result.stdout


def test_nothing_to_show_is_said_on_stderr(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("list", {"jobs": [], "total": 0, "next": None})
    result = stoker("list")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no jobs\n")


def test_an_empty_list_of_a_queue_that_exists_is_no_error(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("list", {"jobs": [], "total": 0, "next": None})
    daemon.on("queues", {"queues": [queue()]})
    result = stoker("list", "--queue", "thumbs")
    assert (result.exit_code, result.stderr) == (0, "no jobs\n")
    assert daemon.params("queues") == [{"queue": "thumbs"}]


def test_an_empty_list_of_a_queue_that_does_not_exist_is_exit_1(daemon: ScriptedDaemon, stoker: Run) -> None:
    def refuse(_: object) -> None:
        raise Refuse("unknown_queue", "no queue thumbz; known queues: thumbs")

    empty = {"jobs": [], "total": 0, "next": None}
    daemon.on("list", empty)
    daemon.on("queues", refuse)
    result = stoker("list", "--queue", "thumbz")
    assert (result.exit_code, result.stderr) == (1, "stoker: no queue thumbz; known queues: thumbs\n")
    as_json = stoker("list", "--queue", "thumbz", "--json")
    assert (as_json.exit_code, json.loads(as_json.stdout)) == (0, empty)


def test_json_is_the_page_as_the_daemon_gave_it(daemon: ScriptedDaemon, stoker: Run) -> None:
    page = {"jobs": [listed()], "total": 120, "next": "page-2"}
    daemon.on("list", page)
    result = stoker("list", "--json")
    assert (json.loads(result.stdout), result.stderr) == (page, "")


def test_full_shows_payload_and_result(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("list", {"jobs": [job(), job(id=OTHER_ID)], "total": 2, "next": None})
    shown = stoker("list", "--full").stdout
    assert shown.count('payload    {"path":"a.png"}') == 2
    assert f"\n\nid         {OTHER_ID}\n" in shown


def test_a_state_that_is_none_is_refused_with_the_known_ones(daemon: ScriptedDaemon, stoker: Run) -> None:
    result = stoker("list", "--state", "dead")
    assert result.exit_code == 2
    assert "'cancelled'" in result.stderr


@pytest.mark.usefixtures("terminal")
def test_on_a_terminal_of_80_columns_the_note_is_cut_and_the_id_is_not(daemon: ScriptedDaemon, stoker: Run) -> None:
    note = "a long message that cannot fit beside the rest"
    daemon.on("list", {"jobs": [listed("failed", error=error(message=note))], "total": 1, "next": None})
    shown = stoker("list").stdout
    plain = shown.replace("\x1b[0m", "").replace("\x1b[31m", "").replace("\x1b[1m", "")
    assert shown != plain  # there are colours
    assert "\x1b" not in plain  # and no others
    assert ID in plain
    assert note not in plain
    assert all(len(line) <= 80 for line in plain.splitlines())


@pytest.mark.usefixtures("terminal")
def test_a_terminal_too_narrow_for_the_table_still_gets_whole_ids(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    daemon.on("list", {"jobs": [listed()], "total": 1, "next": None})
    assert ID in stoker("list").stdout


@pytest.mark.usefixtures("terminal")
def test_no_color_is_honoured(daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    daemon.on("list", {"jobs": [listed()], "total": 1, "next": None})
    assert "\x1b" not in stoker("list").stdout
