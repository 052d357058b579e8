"""stoker batch: its group, and the commands that ask and are answered at once."""

import json
import subprocess
import sys

import pytest

from supervisor.cli.batch import COMMANDS
from supervisor.cli.batch_page import FINAL, STATES, USUAL_PRIORITY
from tests.cli.conftest import Run, Start
from tests.cli.samples import ID, OTHER_ID, batch, queue
from tests.cli.scripted import Params, Refuse, ScriptedDaemon, Silence

ARGUMENTS = {
    "list": (),
    "get": (ID,),
    "watch": (ID,),
    "output": (ID,),
    "cancel": (ID,),
    "delete": (ID,),
    "gc": ("--older-than", "1d"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_at_most_80_columns_and_a_short_one_that_is_not_cut(stoker: Run, name: str) -> None:
    result = stoker("batch", name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: stoker batch {name} ")
    assert max(map(len, result.stdout.splitlines())) <= 80
    line = next(line for line in stoker("batch", "--help").stdout.splitlines() if line.startswith(f"  {name} "))
    assert line.endswith(".")
    assert not line.endswith("...")


def test_a_command_that_does_not_exist_is_exit_2_and_the_nearest_is_named(stoker: Run) -> None:
    result = stoker("batch", "sumbit", "in.jsonl")
    assert result.exit_code == 2
    assert result.stderr == (
        "stoker: there is no command 'batch sumbit'; did you mean 'batch submit'?\nstoker: try 'stoker batch --help'\n"
    )


@pytest.mark.parametrize("module", sorted({module for module, _ in COMMANDS.values()}))
def test_no_command_imports_anything_heavy_before_it_runs(module: str) -> None:
    heavy = ("trio", "apsw", "structlog", "msgspec", "rich", "uuid_utils", "supervisor.batch", "supervisor.lines")
    code = f"import sys, supervisor.cli.{module}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", ARGUMENTS)
def test_without_a_daemon_it_is_exit_3(stoker: Run, name: str) -> None:
    result = stoker("batch", name, *ARGUMENTS[name], "--socket", "none")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("stoker: no daemon answers at none")


@pytest.mark.parametrize("name", ["get", "watch", "output", "cancel", "delete"])
def test_an_empty_id_is_a_wrong_command_line(daemon: ScriptedDaemon, stoker: Run, name: str) -> None:
    result = stoker("batch", name, "")
    assert (result.exit_code, daemon.calls) == (2, [])
    assert "it is empty; is a variable of the shell not set?" in result.stderr


# -- list ---------------------------------------------------------------------------------------------------------


def test_a_list_shows_how_far_each_is_and_what_keeps_it(daemon: ScriptedDaemon, stoker: Run) -> None:
    first = batch("in_progress", completed=900, failed=45, waiting="queue thumbs is paused", name="monday")
    second = batch("cancelled", id=OTHER_ID, completed=1, cancelled=999)
    daemon.on("batch_list", {"batches": [first, second], "total": 2, "next": None})
    result = stoker("batch", "list")
    assert (result.exit_code, result.stderr) == (0, "")
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["ID", "QUEUE", "STATE", "LINES", "PASSED", "FAILED", "AGE", "NOTE"]
    assert rows[0].startswith(f"{ID}  thumbs  in_progress  1,000     900      45 ")
    assert rows[0].endswith("monday: 94%, waits: queue thumbs is paused")
    assert rows[1].endswith("999 cancelled")


def test_the_next_page_and_an_empty_one_are_told_on_stderr(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("batch_list", {"batches": [batch()], "total": 7, "next": "c1"})
    assert stoker("batch", "list", "--limit", "1").stderr == "1 of 7; the next page: --cursor c1\n"
    daemon.on("batch_list", {"batches": [], "total": 0, "next": None})
    assert stoker("batch", "list", "--cursor", "c1", "--state", "failed", "--state", "pending").stderr == "no batches\n"
    assert daemon.params("batch_list") == [
        {"limit": 1},
        {"limit": 50, "cursor": "c1", "state": ["failed", "pending"]},
    ]


def test_a_misspelled_queue_is_refused_and_not_merely_empty(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("batch_list", {"batches": [], "total": 0, "next": None})

    def queues(params: Params) -> object:
        if params["queue"] == "tumbs":
            raise Refuse("unknown_queue", 'there is no queue "tumbs": the configuration has thumbs')
        return {"queues": [queue()]}

    daemon.on("queues", queues)
    result = stoker("batch", "list", "--queue", "tumbs")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'stoker: there is no queue "tumbs": the configuration has thumbs\n'
    assert stoker("batch", "list", "--queue", "thumbs").stderr == "no batches\n"


def test_with_json_the_list_is_as_the_daemon_gave_it(daemon: ScriptedDaemon, stoker: Run) -> None:
    page = {"batches": [batch()], "total": 7, "next": "c1"}
    daemon.on("batch_list", page)
    result = stoker("batch", "list", "--json")
    assert (json.loads(result.stdout), result.stderr) == (page, "")


# -- get ----------------------------------------------------------------------------------------------------------


def test_a_batch_is_shown_with_what_there_is_to_say(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on(
        "batch_get",
        batch("in_progress", completed=900, failed=45, tags=["a", "b"], priority=3, timeout_secs=90.0, max_attempts=2),
    )
    shown = dict(line.split("  ", 1) for line in stoker("batch", "get", ID).stdout.splitlines())
    told = {name: value.strip() for name, value in shown.items()}
    submitted = told.pop("submitted")
    assert submitted.startswith("2030-01-31T08:00:00.000000Z (")
    assert told == {
        "id": ID,
        "queue": "thumbs",
        "state": "in_progress",
        "lines": "1,000: 900 passed, 45 failed, 55 to go",
        "tags": "a b",
        "priority": "3",
        "max attempts": "2",
        "timeout": "1m30s",
        "input": "20KiB",
        "folder": f"/var/lib/stoker/batches/{ID}",
    }


def test_what_keeps_a_batch_is_shown_and_how_long_one_took(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("batch_get", batch("pending", waiting="the disk is almost full"))
    assert "\nnow        waits: the disk is almost full\n" in stoker("batch", "get", ID).stdout
    daemon.on("batch_get", batch("in_progress", cancel_requested=True))
    assert "\nnow        is being cancelled\n" in stoker("batch", "get", ID).stdout
    daemon.on("batch_get", batch())
    assert "\ntook       20s\n" in stoker("batch", "get", ID).stdout


def test_a_name_cannot_steer_the_terminal(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("batch_get", batch(name="a\x1b[2Jb\nstate  failed"))
    assert "name       a\\x1b[2Jb state failed\n" in stoker("batch", "get", ID).stdout


def test_a_batch_that_is_not_there_is_a_sentence_and_1(daemon: ScriptedDaemon, stoker: Run) -> None:
    def refuse(params: Params) -> None:
        raise Refuse("not_found", f"there is no batch {params['id']}")

    daemon.on("batch_get", refuse)
    result = stoker("batch", "get", "../../etc")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "stoker: there is no batch ../../etc\n"


# -- cancel, delete, gc -------------------------------------------------------------------------------------------


def test_a_cancelled_batch_is_told_with_what_became_of_its_lines(daemon: ScriptedDaemon, stoker: Run) -> None:
    ended = {ID: batch("cancelled", completed=1, failed=2, cancelled=997), OTHER_ID: batch(id=OTHER_ID)}
    daemon.on("batch_cancel", lambda params: ended[params["id"]])
    result = stoker("batch", "cancel", ID, OTHER_ID)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{ID}  cancelled  1 passed, 2 failed, 997 cancelled",
        f"{OTHER_ID}  completed  it had ended before",
    ]


def test_a_refused_delete_does_not_keep_the_others_from_their_turn(daemon: ScriptedDaemon, stoker: Run) -> None:
    def delete(params: Params) -> object:
        if params["id"] == ID:
            raise Refuse("conflict", f"batch {ID} has not ended: cancel it first")
        return {"deleted": True}

    daemon.on("batch_delete", delete)
    result = stoker("batch", "delete", ID, OTHER_ID)
    assert (result.exit_code, result.stdout) == (1, f"{OTHER_ID}  deleted\n")
    assert result.stderr == f"stoker: batch {ID} has not ended: cancel it first\n"
    assert json.loads(stoker("batch", "delete", OTHER_ID, "--json").stdout) == {"id": OTHER_ID, "deleted": True}


def test_gc_says_how_many_and_a_dry_run_that_nothing_is_changed(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("batch_gc", {"ids": [ID], "count": 1, "dry_run": False})
    assert stoker("batch", "gc", "--older-than", "7d").stdout == "1 batch deleted\n"
    daemon.on("batch_gc", {"ids": [ID, OTHER_ID], "count": 2, "dry_run": True})
    result = stoker("batch", "gc", "--older-than", "1h", "--state", "failed", "--queue", "thumbs", "--dry-run")
    assert result.stdout == "2 batches would be deleted; nothing is changed\n"
    assert daemon.params("batch_gc") == [
        {"older_than_secs": 7 * 86400.0},
        {"older_than_secs": 3600.0, "state": ["failed"], "queue": "thumbs", "dry_run": True},
    ]


def test_gc_wants_to_know_how_old_and_takes_no_state_that_is_not_final(daemon: ScriptedDaemon, stoker: Run) -> None:
    assert "--older-than" in stoker("batch", "gc").stderr
    assert stoker("batch", "gc", "--older-than", "1d", "--state", "in_progress").exit_code == 2
    assert daemon.calls == []


def test_who_interrupts_gc_learns_that_a_part_may_be_done(daemon: ScriptedDaemon, start: Start) -> None:
    import signal

    def silent(_: object) -> None:
        raise Silence

    daemon.on("batch_gc", silent)
    process = start("batch", "gc", "--older-than", "1d")
    daemon.await_call("batch_gc")
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr == "stoker: interrupted; some of the batches may be deleted by now, the others stay as they are\n"


def test_the_command_line_knows_every_state_and_the_usual_priority() -> None:
    from supervisor.batch.words import BatchState, NewBatch

    assert set(STATES) == set(BatchState)
    assert set(FINAL) == {state for state in BatchState if state.final}
    assert NewBatch(queue="q").priority == USUAL_PRIORITY
