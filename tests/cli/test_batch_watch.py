"""stoker batch watch: to the end, through restarts, with a bar or with a line now and then."""

import json
import os
import pty
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from supervisor.cli import batch_watching, comeback
from supervisor.cli.batch_page import how_far
from supervisor.cli.batch_progress import Lines
from supervisor.core.pace import Pace
from tests.cli.conftest import Run, Start
from tests.cli.samples import ID, batch
from tests.cli.scripted import HangUp, Params, Refuse, ScriptedDaemon, Silence


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comeback, "AGAIN_SECS", 0)


def tells(daemon: ScriptedDaemon, *looks: dict[str, Any] | Exception) -> None:
    """One after the other, and the last one for ever."""
    left: Iterator[dict[str, Any] | Exception] = iter(looks)

    def look(_: Params) -> dict[str, Any]:
        found = next(left, looks[-1])
        if isinstance(found, Exception):
            raise found
        return found

    daemon.on("batch_get", look)


def test_a_completed_batch_is_a_sentence_and_0(daemon: ScriptedDaemon, stoker: Run) -> None:
    tells(daemon, batch("pending"), batch("in_progress", completed=10), batch())
    result = stoker("batch", "watch", ID)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"batch {ID} completed: 1,000 lines passed, in 20s, 50/s\n"
    assert daemon.params("batch_get") == [{"id": ID}] * 3


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        (
            batch("failed", completed=997, failed=3),
            f"failed: 997 of 1,000 lines passed, 3 failed, in 20s, 50/s; `stoker batch output {ID} --errors` says why",
        ),
        (
            batch("cancelled", completed=1, cancelled=999),
            "was cancelled: 1 of 1,000 lines passed, 999 cancelled, in 20s, 0.1/s",
        ),
    ],
)
def test_one_that_is_not_completed_is_a_sentence_and_1(
    daemon: ScriptedDaemon, stoker: Run, ended: dict[str, Any], said: str
) -> None:
    tells(daemon, ended)
    result = stoker("batch", "watch", ID)
    assert (result.exit_code, result.stdout, result.stderr) == (1, f"batch {ID} {said}\n", "")


def test_one_line_is_one_line_and_an_empty_batch_has_no_rate(daemon: ScriptedDaemon, stoker: Run) -> None:
    tells(daemon, batch(total=1, completed=1))
    assert ": 1 line passed, in 20s, 0.1/s\n" in stoker("batch", "watch", ID).stdout
    tells(daemon, batch(total=0, completed=0))
    assert ": 0 lines passed, in 20s\n" in stoker("batch", "watch", ID).stdout


def test_with_json_the_batch_at_its_end_is_as_the_daemon_gave_it(daemon: ScriptedDaemon, stoker: Run) -> None:
    tells(daemon, batch("pending"), batch("failed"))
    result = stoker("batch", "watch", ID, "--json")
    assert (result.exit_code, json.loads(result.stdout), result.stderr) == (1, batch("failed"), "")


def test_a_batch_that_is_not_there_is_a_sentence_and_1(daemon: ScriptedDaemon, stoker: Run) -> None:
    tells(daemon, Refuse("not_found", f"there is no batch {ID}"))
    result = stoker("batch", "watch", ID)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"stoker: there is no batch {ID}\n")


def test_one_that_is_deleted_meanwhile_is_told(daemon: ScriptedDaemon, stoker: Run) -> None:
    tells(daemon, batch("pending"), Refuse("not_found", f"there is no batch {ID}"))
    result = stoker("batch", "watch", ID)
    assert result.exit_code == 1
    assert result.stderr == f"stoker: batch {ID} is no longer there: somebody has deleted it\n"


# -- restarts, interrupts -----------------------------------------------------------------------------------------


def test_the_watch_goes_on_when_the_daemon_is_back(daemon: ScriptedDaemon, stoker: Run) -> None:
    tells(daemon, batch("pending"), HangUp(), HangUp(), batch("pending"), HangUp(), batch())
    result = stoker("batch", "watch", ID)
    assert result.exit_code == 0
    assert result.stderr == "stoker: the daemon went away; the watch goes on when it is back\n" * 2


def test_a_daemon_that_stays_away_is_3_with_the_command_that_goes_on(
    daemon: ScriptedDaemon, stoker: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_watching, "BACK_SECS", 0.0)
    tells(daemon, batch("pending"), HangUp())
    result = stoker("batch", "watch", ID)
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.endswith(
        f"stoker: the daemon went away while we watched; batch {ID} goes on when it is back: "
        f"then `stoker batch watch {ID}`\n"
    )


def test_ctrl_c_is_130_and_says_that_the_batch_goes_on(daemon: ScriptedDaemon, start: Start) -> None:
    tells(daemon, batch("in_progress"), Silence())
    process = start("batch", "watch", ID)
    daemon.await_call("batch_get", 2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, "")
    assert err == (
        f"stoker: no longer watching; the batch goes on: `stoker batch watch {ID}` watches again, "
        f"`stoker batch cancel {ID}` ends it\n"
    )


# -- how far it is ------------------------------------------------------------------------------------------------


def test_it_is_told_with_rate_and_eta_once_they_are_known() -> None:
    pace = Pace()
    begun = batch("in_progress", total=1_000_000)
    assert how_far(begun, pace) == "  0%  0 passed of 1,000,000"
    pace.note(0.0, 0)
    pace.note(10.0, 450_123)
    half = batch("in_progress", total=1_000_000, completed=450_111, failed=12)
    assert how_far(half, pace) == " 45%  450,111 passed, 12 failed of 1,000,000  45,012/s  ETA 12s"


def test_what_keeps_it_takes_the_place_of_the_eta() -> None:
    pace = Pace()
    pace.note(0.0, 0)
    pace.note(2.0, 5)
    kept = batch("in_progress", completed=5, waiting="queue thumbs is paused")
    assert how_far(kept, pace) == "  0%  5 passed of 1,000  2.5/s  waits: queue thumbs is paused"
    ending = batch("in_progress", completed=5, cancel_requested=True)
    assert how_far(ending, pace).endswith("2.5/s  is being cancelled")


def test_100_percent_is_only_said_when_nothing_is_left() -> None:
    assert how_far(batch("in_progress", completed=999), Pace()).startswith(" 99%")


def test_a_log_gets_rarer_lines_the_longer_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    at = []
    for second in range(1000):
        lines.show(batch("in_progress", completed=second), float(second))
        if capsys.readouterr().err:
            at.append(second)
    assert at == [10, 30, 70, 150, 310, 630, 950]


def test_what_keeps_a_batch_is_told_to_a_log_soon_and_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for second in range(8):
        lines.show(batch("pending", waiting="queue thumbs is paused" if second > 1 else None), float(second))
    told = capsys.readouterr().err.splitlines()
    assert told == [f"stoker: batch {ID}: 0%  0 passed of 1,000  0/s  waits: queue thumbs is paused"]


def test_what_keeps_it_for_a_moment_only_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    for tenth in range(90):
        lines.show(batch("pending", waiting="the queue is full" if tenth % 10 < 5 else None), tenth / 10)
    assert capsys.readouterr().err == ""


def test_on_a_terminal_there_is_a_bar_that_is_gone_at_the_end(
    daemon: ScriptedDaemon, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    tells(daemon, batch("in_progress", completed=450, failed=12), batch("failed", completed=988, failed=12))
    ours, theirs = pty.openpty()
    process = start("batch", "watch", ID, stderr=theirs)
    out, _ = process.communicate(timeout=20)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert (process.returncode, out.count("\n")) == (1, 1)
    assert "46%  450 passed, 12 failed of 1,000" in plain(shown)
    assert "━" in shown
    rows = [row for row in re.split(r"[\r\n]", plain(shown)) if row.strip()]
    assert max(map(len, rows)) <= 80
    assert shown.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))


def test_a_terminal_that_cannot_go_back_gets_no_bar(
    daemon: ScriptedDaemon, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    tells(daemon, batch("in_progress"), batch())
    ours, theirs = pty.openpty()
    process = start("batch", "watch", ID, stderr=theirs, stdout=theirs)
    process.wait(20)
    os.close(theirs)
    assert os.read(ours, 65536).decode() == f"batch {ID} completed: 1,000 lines passed, in 20s, 50/s\r\n"
    os.close(ours)


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
