"""stoker batch submit: a file on its way to the daemon."""

import base64
import gzip
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli import batch_submit
from tests.cli.conftest import Run, Start
from tests.cli.samples import ID, batch
from tests.cli.scripted import HangUp, Params, Refuse, ScriptedDaemon, Silence

LINES = b'{"n":1}\n{"n":2}\n'


class Intake:
    """Takes batches as the daemon does; `trouble` comes before the answer to the part of that number, from 1."""

    def __init__(self, daemon: ScriptedDaemon) -> None:
        self.daemon = daemon
        self.trouble: Iterator[tuple[int, Exception]] = iter(())
        self.received = b""
        self._next = next(self.trouble, None)
        daemon.on("batch_submit", self._take)
        daemon.on("batch_delete", {"deleted": True})

    def fail(self, *trouble: tuple[int, Exception]) -> None:
        self.trouble = iter(trouble)
        self._next = next(self.trouble, None)

    @property
    def first(self) -> Params:
        """Without what says that others follow."""
        return {name: value for name, value in self.parts[0].items() if name not in ("lines", "base64", "more")}

    @property
    def parts(self) -> list[Params]:
        return self.daemon.params("batch_submit")

    def _take(self, params: Params) -> dict[str, Any]:
        if "queue" in params:
            self.received, self.number = b"", 0
        self.number += 1
        if self._next is not None and self._next[0] == self.number:
            trouble, self._next = self._next[1], next(self.trouble, None)
            raise trouble
        self.received += params.get("lines", "").encode() + base64.b64decode(params.get("base64", ""))
        if params.get("more"):
            return {"id": ID, "state": "receiving", "bytes": len(self.received)}
        return batch("pending", created=True)


@pytest.fixture
def intake(daemon: ScriptedDaemon) -> Intake:
    return Intake(daemon)


@pytest.fixture
def file(folder: Path) -> str:
    (folder / "in.jsonl").write_bytes(LINES)
    return "in.jsonl"


def test_a_file_comes_as_it_is_and_the_id_alone_is_printed(intake: Intake, stoker: Run, folder: Path) -> None:
    lines = b"".join(b'{"n":%d,"text":"\xc3\xa9"}\n\n' % number for number in range(50_000)) + b"not JSON, not ended"
    (folder / "in.jsonl").write_bytes(lines)
    result = stoker("batch", "submit", "in.jsonl", "--queue", "thumbs")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{ID}\n", "")
    assert intake.received == lines
    assert len(intake.parts) > 3
    assert intake.first == {"queue": "thumbs"}


def test_stdin_is_a_file_too(intake: Intake, stoker: Run) -> None:
    result = stoker("batch", "submit", "-", "--queue", "thumbs", "--json", input=LINES)
    assert json.loads(result.stdout) == batch("pending", created=True)
    assert intake.received == LINES


def test_who_types_the_lines_is_told_how_to_end(intake: Intake, start: Start) -> None:
    ours, theirs = pty.openpty()
    process = start("batch", "submit", "-", "--queue", "thumbs", stdin=theirs)
    os.close(theirs)
    assert process.stderr is not None
    told = process.stderr.readline()
    assert told == "stoker: reading jobs from the terminal, one JSON value a line; Ctrl-D ends them\n"
    os.write(ours, b'{"n":1}\n\x04')
    assert process.communicate(timeout=20) == (f"{ID}\n", "")
    os.close(ours)
    assert intake.received == b'{"n":1}\n'


def test_a_pipe_by_name_is_a_file_too(intake: Intake, start: Start, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    process = start("batch", "submit", "pipe", "--queue", "thumbs")
    (folder / "pipe").write_bytes(LINES)
    assert process.communicate(timeout=20) == (f"{ID}\n", "")
    assert intake.received == LINES


def test_what_is_said_of_it_reaches_the_daemon_in_the_protocols_names(intake: Intake, stoker: Run, file: str) -> None:
    stoker(
        *("batch", "submit", file, "--queue", "thumbs", "--name", "monday", "--priority", "-3", "--timeout", "1m30s"),
        *("--max-attempts", "2", "--tag", "a", "--tag", "b", "--client", "c", "--key", "k"),
    )
    assert intake.first == {
        "queue": "thumbs",
        "name": "monday",
        "priority": -3,
        "timeout_secs": 90.0,
        "max_attempts": 2,
        "tags": ["a", "b"],
        "client": "c",
        "key": "k",
    }


def test_a_key_that_was_used_answers_with_the_batch_that_was_there(
    daemon: ScriptedDaemon, stoker: Run, file: str
) -> None:
    daemon.on("batch_submit", batch(created=False))
    result = stoker("batch", "submit", file, "--queue", "thumbs", "--client", "c", "--key", "k")
    assert (result.exit_code, result.stdout) == (0, f"{ID}\n")
    assert result.stderr == f"stoker: batch {ID} was there before, with this key\n"
    assert len(daemon.calls) == 1


# -- files that are none ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nosuch.jsonl", "cannot read nosuch.jsonl: No such file or directory"),
        ("empty", "empty is empty: a batch is a file of JSON values, one a line"),
        ("folder", "folder is a folder: a batch is one file of JSON values, one a line"),
        ("zip.gz", "zip.gz is compressed: send what is in it, as in `zcat zip.gz | stoker batch submit - …`"),
        ("a\0b", "cannot read a\\x00b: embedded null byte"),
    ],
)
def test_a_file_that_cannot_be_a_batch_is_exit_2_and_nothing_is_submitted(
    intake: Intake, stoker: Run, folder: Path, name: str, said: str
) -> None:
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    (folder / "zip.gz").write_bytes(gzip.compress(LINES))
    result = stoker("batch", "submit", name, "--queue", "thumbs")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"stoker: {said}\n")
    assert intake.received == b""


def test_a_file_that_is_missing_is_told_without_a_daemon(stoker: Run) -> None:
    assert stoker("batch", "submit", "nosuch", "--queue", "q", "--socket", "none").exit_code == 2
    assert stoker("batch", "submit", "/dev/null", "--queue", "q", "--socket", "none").exit_code == 3


def test_a_file_that_breaks_while_it_is_read_leaves_no_batch(intake: Intake, start: Start, folder: Path) -> None:
    process = start("batch", "submit", "/proc/self/mem", "--queue", "thumbs")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert err == "stoker: cannot read /proc/self/mem: Input/output error; nothing was submitted\n"
    assert intake.daemon.params("batch_delete") == [{"id": ID}]


def test_stdin_that_says_nothing_is_no_batch(intake: Intake, stoker: Run) -> None:
    result = stoker("batch", "submit", "-", "--queue", "thumbs", input=b"")
    assert result.exit_code == 2
    assert result.stderr == "stoker: stdin is empty: a batch is a file of JSON values, one a line\n"


@pytest.mark.parametrize("document", [b"[\n  1,\n  2\n]\n", b'\n{\n  "a": 1\n}\n', b'[{\n"a": 1}]\n'])
def test_who_sends_one_document_over_many_lines_is_told_what_becomes_of_it(
    intake: Intake, stoker: Run, document: bytes
) -> None:
    result = stoker("batch", "submit", "-", "--queue", "thumbs", input=document)
    assert (result.exit_code, result.stdout) == (0, f"{ID}\n")
    assert "stdin looks like one JSON document over many lines" in result.stderr


# -- refused, lost, interrupted -----------------------------------------------------------------------------------


def test_a_refusal_is_a_sentence_and_1_and_nothing_was_read(intake: Intake, stoker: Run, file: str) -> None:
    intake.fail((1, Refuse("unknown_queue", 'there is no queue "tumbs": the configuration has thumbs')))
    result = stoker("batch", "submit", file, "--queue", "tumbs")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == 'stoker: there is no queue "tumbs": the configuration has thumbs\n'
    assert len(intake.parts) == 1


def test_a_limit_that_is_met_on_the_way_is_a_sentence_and_1(intake: Intake, stoker: Run, file: str) -> None:
    intake.fail((2, Refuse("too_large", "a batch may have 1 line ([batches] max_lines)")))
    result = stoker("batch", "submit", file, "--queue", "thumbs")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "stoker: a batch may have 1 line ([batches] max_lines)\n"


def test_a_file_is_sent_again_when_the_daemon_is_back(intake: Intake, stoker: Run, file: str) -> None:
    intake.fail((2, HangUp()), (1, HangUp()))
    result = stoker("batch", "submit", file, "--queue", "thumbs")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{ID}\n", "")
    assert intake.received == LINES


def test_an_answer_that_is_lost_is_asked_for_again_only_with_a_key(intake: Intake, stoker: Run, file: str) -> None:
    intake.fail((3, HangUp()))
    result = stoker("batch", "submit", file, "--queue", "thumbs")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "stoker: the daemon went away before it answered; whether the batch was taken is open: `stoker batch list` "
        "tells when it is back; with --client and --key a submit can be repeated\n"
    )
    intake.fail((3, HangUp()))
    assert stoker("batch", "submit", file, "--queue", "q", "--client", "c", "--key", "k").stdout == f"{ID}\n"


def test_a_daemon_that_stays_away_is_told(
    intake: Intake, stoker: Run, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_submit, "BACK_SECS", 0.0)
    intake.fail((2, HangUp()))
    result = stoker("batch", "submit", file, "--queue", "thumbs")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "stoker: the daemon went away before it had all of in.jsonl; nothing was submitted: "
        "repeat the command when `stoker status` says that it is back\n"
    )


def never(_: object) -> None:
    raise Silence


@pytest.mark.parametrize(
    ("options", "look"),
    [
        ((), "look with `stoker batch list --queue thumbs`"),
        (("--client", "c", "--key", "k"), "the same command again, with the same --key, makes no second one"),
    ],
)
def test_ctrl_c_before_the_last_answer_says_that_it_may_be_submitted(
    intake: Intake, start: Start, file: str, options: tuple[str, ...], look: str
) -> None:
    intake.fail((3, Silence()))
    process = start("batch", "submit", file, "--queue", "thumbs", *options)
    intake.daemon.await_call("batch_submit", 3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    said = f"interrupted before the daemon answered: the batch may have been submitted; {look}"
    assert (process.returncode, err) == (130, f"stoker: {said}\n")


def test_ctrl_c_while_lines_still_come_leaves_nothing(intake: Intake, start: Start) -> None:
    process = start("batch", "submit", "-", "--queue", "thumbs", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write("1\n")
    process.stdin.flush()
    intake.daemon.await_call("batch_submit")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, "stoker: interrupted; nothing was submitted\n")


def test_a_key_needs_the_client_whose_it_is(daemon: ScriptedDaemon, stoker: Run, file: str) -> None:
    result = stoker("batch", "submit", file, "--queue", "thumbs", "--key", "k")
    assert (result.exit_code, daemon.calls) == (2, [])
    assert "--key needs --client, whose key it is" in result.stderr


# -- --watch ------------------------------------------------------------------------------------------------------


def test_a_watched_submit_prints_the_id_and_tells_the_end_on_stderr(intake: Intake, stoker: Run, file: str) -> None:
    intake.daemon.on("batch_get", batch())
    result = stoker("batch", "submit", file, "--queue", "thumbs", "--watch")
    assert (result.exit_code, result.stdout) == (0, f"{ID}\n")
    assert result.stderr == f"stoker: batch {ID} completed: 1,000 lines passed, in 20s, 50/s\n"


def test_a_watched_submit_exits_1_when_a_line_failed_and_json_is_the_batch_at_its_end(
    intake: Intake, stoker: Run, file: str
) -> None:
    ended = batch("failed", completed=998, failed=2)
    intake.daemon.on("batch_get", ended)
    result = stoker("batch", "submit", file, "--queue", "thumbs", "--watch", "--json")
    assert (result.exit_code, json.loads(result.stdout), result.stderr) == (1, ended, "")


def test_ctrl_c_while_watching_leaves_the_batch(intake: Intake, start: Start, file: str) -> None:
    intake.daemon.on("batch_get", never)
    process = start("batch", "submit", file, "--queue", "thumbs", "--watch")
    intake.daemon.await_call("batch_get")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (130, f"{ID}\n")
    assert err == (
        f"stoker: no longer watching; the batch goes on: `stoker batch watch {ID}` watches again, "
        f"`stoker batch cancel {ID}` ends it\n"
    )
