"""The programs themselves: whoever tests a supervisor with them relies on what they do."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from protocol.worker import Garbage, decode_reply
from tests.examples.conversation import Conversation, result
from tests.workers import HERE, Gate, command, marks, wrapped
from tests.workers._asking import JOB, answers, says_ready, spoken_to

NEVER_ANSWER = {"never_reads", "never_ready", "boots_badly"}
READY_BY_THEMSELVES = {"ready_twice"}
WITHOUT_FD = {"echo", "answers_once_and_exits"}  # the fast ones: they share nothing
PROGRAMS = sorted(path.name for path in HERE.glob("*.*") if not path.name.startswith(("_", "test_")))


ANSWERING = [name for name in PROGRAMS if Path(name).stem not in NEVER_ANSWER]


@pytest.mark.parametrize("name", ANSWERING)
def test_a_null_payload_is_answered(name: str, tmp_path: Path) -> None:
    with spoken_to(name, tmp_path) as worker:
        if Path(name).stem in READY_BY_THEMSELVES:
            assert says_ready(worker)
            assert says_ready(worker)
        assert answers(worker)


@pytest.mark.parametrize("name", [name for name in ANSWERING if Path(name).stem not in WITHOUT_FD])
def test_each_speaks_on_descriptors_3_and_4_and_says_ready_when_it_is_told_to(name: str, tmp_path: Path) -> None:
    with spoken_to(name, tmp_path, "--fd", "--ready") as worker:
        for _ in range(1 + 2 * (Path(name).stem in READY_BY_THEMSELVES)):
            assert says_ready(worker)
        assert answers(worker)


@pytest.mark.parametrize("payload", [None, 7, "é\u2028🔥", [1, {"a": None}], {"x": 1.5}])
def test_echo_answers_with_its_payload(payload: object) -> None:
    with Conversation(command("echo")) as worker:
        assert result(worker.ask(JOB, payload)) == payload
        assert worker.finish() == 0


def test_a_closed_gate_holds_workers_back_and_an_open_one_lets_all_of_them_pass(tmp_path: Path) -> None:
    side_file = tmp_path / "marks"
    env = {"STOKER_TEST_FILE": str(side_file)}
    with (
        Gate(tmp_path) as gate,
        Conversation(command("marker"), env=env) as first,
        Conversation(wrapped("marker"), env=env) as second,
    ):
        for worker in (first, second):
            assert worker.ask(JOB, None).status == "ok"
            worker.send(JOB, {"gate": gate.path}, attempt=2)
        assert not [mark for mark in marks(side_file) if mark.event == "end" and mark.attempt == 2]
        gate.open()
        pids = {result(worker.receive())["pid"] for worker in (first, second)}
        assert first.finish() == second.finish() == 0
    for pid in pids:
        mine = [mark for mark in marks(side_file) if mark.pid == pid]
        assert [(mark.event, mark.id, mark.attempt) for mark in mine] == [
            ("begin", JOB, 1),
            ("end", JOB, 1),
            ("begin", JOB, 2),
            ("end", JOB, 2),
        ]
        assert mine == sorted(mine, key=lambda mark: mark.at)


def test_marker_shows_that_it_lives_while_it_sleeps(tmp_path: Path) -> None:
    side_file = tmp_path / "marks"
    with Conversation(command("marker"), env={"STOKER_TEST_FILE": str(side_file)}) as worker:
        worker.ask(JOB, {"sleep": 0.03, "beat": 0.005})
    events = [mark.event for mark in marks(side_file)]
    assert events[0] == "begin"
    assert events[-1] == "end"
    assert set(events[1:-1]) == {"alive"}


def test_oversize_answers_with_a_line_of_exactly_that_length() -> None:
    with Conversation(command("oversize")) as worker:
        worker.send(JOB, {"bytes": 70_000})
        line = worker.line()
        assert len(line) == 70_000
        assert decode_reply(line).status == "ok"


@pytest.mark.parametrize(
    ("payload", "reply_id"),
    [({"as": None}, None), ({"as": "another"}, "another")],
)
def test_desync_answers_as_it_is_told(payload: object, reply_id: str | None) -> None:
    with Conversation(command("desync")) as worker:
        worker.send(JOB, payload)
        assert worker.receive().id == reply_id


@pytest.mark.parametrize("payload", [{"line": "Loading model…"}, {"hex": "ff00"}, {"line": '{"status":"perhaps"}'}])
def test_garbage_is_garbage(payload: object) -> None:
    with Conversation(command("garbage")) as worker:
        worker.send(JOB, payload)
        with pytest.raises(Garbage):
            worker.receive()
        assert worker.receive().status == "ok"


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL", "SIGTERM"])
def test_crashes_dies_of_the_signal_until_told_to_live(name: str) -> None:
    with Conversation(command("crashes")) as worker:
        assert worker.ask(JOB, {"signal": name, "attempts": 1}, attempt=2).status == "ok"
        worker.send(JOB, {"signal": name, "attempts": 1}, attempt=1)
        assert worker.exit_code() == -signal.Signals[name]


@pytest.mark.parametrize("session", [True, False])
def test_the_grandchild_runs_on_when_the_worker_has_left(session: bool, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with Conversation(command("forks_grandchild")) as worker:
        worker.send(JOB, {"pid_file": str(pid_file), "session": session, "deaf": True, "then": "answer_and_exit"})
        assert worker.receive().status == "ok"
        assert worker.exit_code() == 0
        grandchild = int(pid_file.read_text())
        assert (os.getsid(grandchild) == grandchild) is session
        os.kill(grandchild, signal.SIGTERM)
        os.kill(grandchild, 0)
        os.kill(grandchild, signal.SIGKILL)


def test_boots_badly_until_its_file_exists(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cure = tmp_path / "cure"
    with Conversation(command("boots_badly", str(cure))) as worker:
        assert worker.exit_code() == 1
    assert "No module named 'nosuch'" in capfd.readouterr().err
    cure.touch()
    with Conversation(command("boots_badly", str(cure))) as worker:
        assert worker.ask(JOB, None).status == "ok"


@pytest.mark.parametrize("program", ["never_reads", "never_ready"])
def test_what_never_speaks_says_nothing_and_lives(program: str) -> None:
    with Conversation(command(program)) as worker:
        worker.send(JOB, None)
        with pytest.raises(subprocess.TimeoutExpired):
            worker._process.wait(0.3)


def test_a_stray_print_goes_to_stdout_and_with_fd_not_where_replies_go(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with spoken_to("stray_print.py", tmp_path) as worker:
        worker.send(JOB, {"print": "Loading model…"})
        assert worker.line().decode() == "Loading model…"
        assert worker.receive().status == "ok"
    with spoken_to("stray_print.py", tmp_path, "--fd", "--at-boot") as worker:
        assert worker.ask(JOB, {"print": "x" * 99, "bytes": 1_000_000}).status == "ok"
    printed = capfd.readouterr().err.splitlines()
    assert printed[0] == "loading the model"
    assert printed[1:] == ["x" * 99] * 10_000


def test_by_file_boots_as_its_file_says(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    release = tmp_path / "release"
    argv = command("by_file", str(release))
    with Conversation(argv) as worker:
        assert result(worker.ask(JOB, None))["name"] is None
    release.write_text('{"exit": 3, "stderr": "no database"}')
    with Conversation(argv) as worker:
        assert worker.exit_code() == 3
    assert capfd.readouterr().err == "no database"
    release.write_text('{"ready": true, "name": "two"}')
    with Conversation(argv, env={"STOKER_SLOT": "5"}) as worker:
        assert says_ready(worker)
        release.write_text('{"exit": 3}')
        worker.ask(JOB, None)
        found = result(worker.ask(JOB, None))
    assert (found["name"], found["slot"], found["jobs"]) == ("two", "5", 2)


def test_floods_of_replies_are_progress_and_end_in_the_reply() -> None:
    with Conversation(command("flood_stdout")) as worker:
        assert worker.ask(JOB, {"bytes": 1_000_000}).status == "ok"
        worker.send(JOB, {"bytes": 1_000, "line": "{}"})
        with pytest.raises(Garbage):
            worker.receive()


def test_binary_on_stderr_is_what_was_asked_for(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with Conversation(command("binary_stderr")) as worker:
        worker.ask(JOB, {"hex": "00ff0d0a1b5b316d"})
        assert capfdbinary.readouterr().err == bytes.fromhex("00ff0d0a1b5b316d")
        worker.ask(JOB, {})
        assert set(capfdbinary.readouterr().err) == set(range(256))
