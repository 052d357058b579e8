"""stoker cancel, retry and delete by a filter, and purge."""

import json

import pytest

from supervisor.cli.options import CAUSES, STATES
from supervisor.core.job import Cause, State
from tests.cli.conftest import Run, Start
from tests.cli.samples import ID
from tests.cli.scripted import Refuse, ScriptedDaemon, Silence


def answer(matched: int, changed: int, skipped: int = 0, *, dry_run: bool = False) -> dict[str, object]:
    return {"matched": matched, "changed": changed, "skipped": skipped, "dry_run": dry_run}


@pytest.mark.parametrize("command", ["cancel", "retry", "delete"])
def test_a_filter_is_sent_as_the_protocol_names_it(daemon: ScriptedDaemon, stoker: Run, command: str) -> None:
    daemon.on(f"{command}_many", answer(0, 0))
    times = ("--created-after", "2030-01-31T08:00:00Z", "--created-before", "2030-01-31T08:00:00+01:00")
    stoker(
        *(command, "--queue", "thumbs", "--state", "failed", "--state", "expired", "--cause", "timeout", "--tag", "x"),
        *("--client", "shop", "--name", "cover", *times, "--dry-run"),
    )
    stoker(command, "--finished-after", "2030-01-31T08:00:00Z", "--finished-before", "2031-01-31T08:00:00Z")
    stoker(command, "--all")
    assert daemon.params(f"{command}_many") == [
        {
            "queue": "thumbs",
            "state": ["failed", "expired"],
            "cause": "timeout",
            "tag": "x",
            "client": "shop",
            "name": "cover",
            "created_after": "2030-01-31T08:00:00Z",
            "created_before": "2030-01-31T07:00:00Z",
            "dry_run": True,
        },
        {"finished_after": "2030-01-31T08:00:00Z", "finished_before": "2031-01-31T08:00:00Z"},
        {"all": True},
    ]


@pytest.mark.parametrize("command", ["cancel", "retry", "delete"])
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "say which jobs: their IDs, a filter such as --queue, or --all"),
        (("--dry-run",), "say which jobs"),
        ((ID, "--queue", "q"), "give either IDs, or a filter"),
        ((ID, "--all"), "give either IDs, or a filter"),
        ((ID, "--dry-run"), "--dry-run is for a filter"),
        (("--all", "--queue", "q"), "give either --all or a filter"),
        (("--cause", "bad luck"), "'bad luck' is not one of"),
    ],
)
def test_jobs_are_named_in_one_way(
    daemon: ScriptedDaemon, stoker: Run, command: str, arguments: tuple[str, ...], complaint: str
) -> None:
    result = stoker(command, *arguments)
    assert (result.exit_code, daemon.calls) == (2, [])
    assert complaint in result.stderr


def test_the_counts_are_said(daemon: ScriptedDaemon, stoker: Run) -> None:
    said = {
        ("retry", 1, 1, 0): "1 job retried",
        ("retry", 5, 3, 2): "3 jobs retried; 2 skipped, because another job holds their unique value",
        ("cancel", 4, 3, 0): "3 jobs cancelled; 1 had ended before",
        ("delete", 0, 0, 0): "0 jobs deleted",
    }
    for (command, *counts), words in said.items():
        daemon.on(f"{command}_many", answer(*counts))
        result = stoker(command, "--queue", "q")
        assert (result.exit_code, result.stdout) == (0, f"{words}\n")


def test_a_dry_run_says_that_nothing_is_changed(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("delete_many", answer(12, 0, dry_run=True))
    assert stoker("delete", "--tag", "x", "--dry-run").stdout == "12 jobs would be deleted; nothing is changed\n"


def test_with_json_the_answer_is_as_the_daemon_gave_it(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("retry_many", answer(5, 3, 2))
    daemon.on("purge", answer(7, 7))
    assert json.loads(stoker("retry", "--queue", "q", "--json").stdout) == answer(5, 3, 2)
    assert json.loads(stoker("purge", "q", "--json").stdout) == answer(7, 7)


def test_purge_names_a_queue_and_other_states_if_they_are_said(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("purge", answer(2, 2))
    assert stoker("purge", "thumbs").stdout == "2 jobs deleted\n"
    stoker("purge", "thumbs", "--state", "pending", "--state", "failed", "--dry-run")
    assert daemon.params("purge") == [
        {"queue": "thumbs"},
        {"queue": "thumbs", "state": ["pending", "failed"], "dry_run": True},
    ]
    assert stoker("purge", "thumbs", "--state", "running").exit_code == 2


def test_a_refusal_is_a_sentence_and_1(daemon: ScriptedDaemon, stoker: Run) -> None:
    def refuse(_: object) -> None:
        raise Refuse("unknown_queue", 'there is no queue "tumbs": the configuration has thumbs')

    daemon.on("purge", refuse)
    result = stoker("purge", "tumbs")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'stoker: there is no queue "tumbs": the configuration has thumbs\n'


def test_who_interrupts_it_learns_that_a_part_may_be_done(daemon: ScriptedDaemon, start: Start) -> None:
    import signal

    def silent(_: object) -> None:
        raise Silence

    daemon.on("purge", silent)
    process = start("purge", "thumbs")
    daemon.await_call("purge")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr == "stoker: interrupted; some of the jobs may be deleted by now, the others stay as they are\n"


def test_the_command_line_knows_every_state_and_cause() -> None:
    assert set(STATES) == set(State)
    assert set(CAUSES) == set(Cause)
