"""stoker wait on a terminal: how far the job is, in a line that changes and is gone at the end."""

import json
import os
import pty
from typing import Any

import pytest

from supervisor.cli import endings, live
from tests.cli.conftest import Run, Start
from tests.cli.samples import ID, job
from tests.cli.scripted import Params, Refuse, Say, ScriptedDaemon, Silence

OTHER = ID[:-1] + "9"
PAGE_4 = {"progress": 0.4, "done": 4, "total": 10, "message": "page 4"}


def waits_while(daemon: ScriptedDaemon, *jobs: dict[str, Any] | Refuse) -> None:
    """`get` answers with these, one after the other, and with the last one the waits end."""
    left = iter(jobs[:-1])

    def wait(params: Params) -> None:
        raise Silence

    def get(params: Params) -> dict[str, Any]:
        found = next(left, None)
        if isinstance(found, Refuse):
            raise found
        if found is not None:
            return found
        asked = [json.loads(line) for line in daemon.lines]
        waits = [(one["id"], job(id=one["params"]["id"])) for one in asked if one["method"] == "wait"]
        answers = [(asked[-1]["id"], jobs[-1]), *waits]
        texts = [json.dumps({"jsonrpc": "2.0", "id": number, "result": result}) for number, result in answers]
        raise Say("".join(f"{text}\n" for text in texts).encode())

    daemon.on("wait", wait)
    daemon.on("get", get)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the line showed, "" where it was cleared."""
    texts: list[str] = []

    class Line(live.LiveLine):
        def __init__(self) -> None:
            super().__init__()
            self.shown = True

        def _write(self, text: str) -> None:
            texts.append(text)

    monkeypatch.setattr(endings, "LiveLine", Line)
    monkeypatch.setattr(endings, "PROGRESS_SECS", 0.001)
    monkeypatch.setattr(endings, "FIRST_LOOK", 600.0)  # the other question, which asks `get` too
    return texts


def test_the_line_says_what_the_worker_said_last_and_goes_away(
    daemon: ScriptedDaemon, stoker: Run, shown: list[str]
) -> None:
    pending, begun = job("pending", progress=None), job("running", progress=None)
    waits_while(daemon, pending, begun, job("running", progress=PAGE_4), job("running", progress=PAGE_4), begun)
    result = stoker("wait", ID)
    assert shown == [f"job {ID}: pending", f"job {ID}: running", f"job {ID}: running, 4 of 10: page 4", shown[1], ""]
    assert (result.exit_code, result.stderr) == (0, "")


def test_of_several_jobs_it_says_how_many_have_ended(daemon: ScriptedDaemon, stoker: Run, shown: list[str]) -> None:
    waits_while(daemon, job("running", progress={"progress": 0.4}), job("running", progress=None))
    assert stoker("wait", ID, OTHER, "--json").exit_code == 0
    assert shown == [f"0 of 2 have ended; job {ID}: running, 0.4", f"0 of 2 have ended; job {ID}: running", ""]


def test_a_daemon_that_does_not_tell_how_far_it_is_is_waited_for_all_the_same(
    daemon: ScriptedDaemon, stoker: Run, shown: list[str]
) -> None:
    waits_while(daemon, Refuse("store_unavailable", "the disk is full"), job("running", progress=PAGE_4))
    assert stoker("wait", ID).exit_code == 0
    assert shown == [f"job {ID}: running, 4 of 10: page 4", ""]


def test_what_a_worker_says_cannot_steer_the_terminal_nor_break_the_line(
    daemon: ScriptedDaemon, stoker: Run, shown: list[str]
) -> None:
    waits_while(daemon, job("running", progress={"progress": None, "message": "a\nb\x1b[2J" + "c" * 200}))
    assert stoker("wait", ID).exit_code == 0
    assert shown[0].startswith(f"job {ID}: running, a b\\x1b[2Jccc")
    assert len(shown[0]) <= 80


def test_where_stderr_is_no_terminal_nothing_is_asked(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "PROGRESS_SECS", 0)
    daemon.on("wait", job())
    assert stoker("wait", ID).stderr == ""
    assert daemon.params("get") == []


def test_a_real_terminal_shows_it_and_stdout_has_the_result_alone(
    daemon: ScriptedDaemon, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    waits_while(daemon, job("running", progress=PAGE_4))
    ours, theirs = pty.openpty()
    process = start("wait", ID, stderr=theirs)
    out, _ = process.communicate(timeout=60)
    os.close(theirs)
    assert os.read(ours, 65536).decode() == f"\rjob {ID}: running, 4 of 10: page 4\x1b[K\r\x1b[K"
    os.close(ours)
    assert json.loads(out) == job()["result"]
