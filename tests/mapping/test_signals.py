"""Ctrl-C, SIGTERM, a reader that leaves, a kill: what is written then, what is said, and that nobody is left."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from supervisor.mapping.run import run
from supervisor.mapping.settings import Settings
from supervisor.mapping.work import Work
from supervisor.pool import procfs
from tests.mapping.mapped import PATIENCE, Command, records_of
from tests.workers import Gate, command

# Says that it has a line, and then listens to nothing but SIGKILL.
DEAF = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stdin.readline()
with open(sys.argv[1], "w") as begun:
    begun.write(str(os.getpid()))
while True:
    signal.pause()
"""


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def lives(pid: int) -> bool:
    found = procfs.stat(pid)
    return found is not None and found.state not in "ZX"


def lines_of(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def side_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What marker.py writes into."""
    monkeypatch.setenv("STOKER_TEST_FILE", str(tmp_path / "marks"))
    return tmp_path / "marks"


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 143, "ended by SIGTERM"),
        (signal.SIGHUP, 129, "ended by SIGHUP"),
    ],
)
def test_a_signal_ends_what_runs_and_keeps_what_is_answered(
    tmp_path: Path, side_file: Path, number: signal.Signals, code: int, words: str
) -> None:
    with Gate(tmp_path) as gate, Command("-w", "2", "-o", "out", "--", *command("marker"), cwd=tmp_path) as run:
        run.say({}, {})
        until(lambda: sum(mark[0] == "end" for mark in lines_of(side_file)) == 2)
        run.say({"gate": gate.path}, {"gate": gate.path})
        until(lambda: sum(mark[0] == "begin" for mark in lines_of(side_file)) == 4)
        run.signal(number)
        found, said = run.exits()
    assert found == code
    assert f"stoker: {words}" in said
    assert "2 lines answered; the same command with --resume goes on from there" in said
    assert len((tmp_path / "out").read_text().splitlines()) == 2
    assert not any(lives(int(mark[3])) for mark in lines_of(side_file))


def test_what_was_cut_short_runs_again_when_the_run_goes_on(tmp_path: Path, side_file: Path) -> None:
    (tmp_path / "in").write_text('{}\n{"sleep":30}\n{}\n')
    arguments = ("-w", "1", "--records", "-i", "in", "-o", "out", "--", *command("marker"))
    with Command(*arguments, cwd=tmp_path) as run:
        until(lambda: sum(mark[0] == "begin" for mark in lines_of(side_file)) == 2)
        run.signal(signal.SIGINT)
        assert run.exits()[0] == 130
    first = [mark[1] for mark in lines_of(side_file) if mark[0] == "begin"]
    again = ("-w", "1", "--records", "-i", "in", "-o", "out", "--resume", "--", *command("marker"))
    with Command(*again, cwd=tmp_path) as run:
        until(lambda: sum(mark[0] == "begin" for mark in lines_of(side_file)) == 3)
        run.signal(signal.SIGINT)
        assert run.exits()[0] == 130
    begun = [mark[1] for mark in lines_of(side_file) if mark[0] == "begin"]
    assert begun[2] == first[1]  # with the id that it had
    assert list(records_of(tmp_path / "out")) == [1]


def test_what_a_worker_has_answered_counts_when_a_signal_comes_at_once(
    tmp_path: Path, side_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there was a moment to see to its answer."""
    meanwhile = Work.meanwhile
    monkeypatch.setattr(Work, "meanwhile", lambda work: None if work._passed else meanwhile(work))
    (tmp_path / "in").write_text('{}\n{"sleep":30}\n')
    out = tmp_path / "out"
    settings = Settings(
        command=tuple(command("marker")), cwd=tmp_path, input=tmp_path / "in", output=out, records=True, kill_grace=0.1
    )

    def interrupt() -> None:
        until(lambda: sum(mark[0] == "begin" for mark in lines_of(side_file)) == 2)
        os.kill(os.getpid(), signal.SIGINT)

    other = Thread(target=interrupt)
    other.start()
    try:
        ending = run(settings)
    finally:
        other.join()
    assert (ending.code, ending.answered, list(records_of(out))) == (130, 1, [1])


def test_a_second_signal_does_not_wait_for_who_will_not_go(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    argv = [sys.executable, "-S", "-E", "-c", DEAF, str(begun)]
    with Command("-w", "1", "--kill-grace", "10m", "--", *argv, cwd=tmp_path) as run:
        run.say({})
        until(lambda: begun.exists() and begun.read_text())
        run.signal(signal.SIGINT)
        assert run.process.stderr is not None
        assert b"Ctrl-C again" in run.process.stderr.readline()
        run.signal(signal.SIGINT)
        assert run.exits()[0] == 130
        assert not lives(int(begun.read_text()))


def child_of(parent: int) -> int:
    """The one worker of a run: it leads a session, as nothing else does that a run may have started."""
    found: list[int] = []

    def look() -> bool:
        leaders = [one.pid for one in procfs.all_processes() if one.session == one.pid]
        found[:] = [pid for pid in leaders if _parent(pid) == parent]
        return len(found) == 1

    until(look)
    return found[0]


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return None


def test_what_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """As nohup has it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = Command("-w", "1", "--", *command("echo"), cwd=tmp_path)
    finally:
        signal.signal(signal.SIGHUP, before)
    with run:
        run.say(1)
        assert run.hear() == 1
        run.signal(signal.SIGHUP)
        run.say(2)
        assert run.hear() == 2
        assert run.end() == (0, b"", "")


def test_a_reader_that_leaves_ends_an_endless_run(tmp_path: Path) -> None:
    read, write = os.pipe()
    with Command("-w", "2", "--", *command("echo"), cwd=tmp_path, stdout=write) as run:
        os.close(write)
        run.say(1)
        assert os.read(read, 100) == b"1\n"
        os.close(read)
        run.say(2)
        assert run.exits() == (141, "")


def test_a_run_that_is_killed_leaves_no_worker(tmp_path: Path, side_file: Path) -> None:
    with Command("-w", "3", "--", *command("marker"), cwd=tmp_path) as run:
        run.say({"sleep": 600}, {"sleep": 600}, {"sleep": 600})
        until(lambda: sum(mark[0] == "begin" for mark in lines_of(side_file)) == 3)
        run.signal(signal.SIGKILL)
        run.process.wait(PATIENCE)
        until(lambda: not any(lives(int(mark[3])) for mark in lines_of(side_file)))


def test_lines_are_read_as_workers_finish_and_not_before(tmp_path: Path) -> None:
    """An input without end, a worker that answers nothing: what is read ahead is bounded."""
    with Command("-w", "1", "--", *command("never_answers"), cwd=tmp_path) as run:
        assert run.process.stdin is not None
        os.set_blocking(run.process.stdin.fileno(), False)
        child_of(run.process.pid)  # it has begun
        line, sent = b'"' + b"x" * 1000 + b'"\n', 0
        still = time.monotonic() + 1.0
        while time.monotonic() < still:
            try:
                sent += os.write(run.process.stdin.fileno(), line)
                still = time.monotonic() + 1.0
            except BlockingIOError:
                time.sleep(0.01)
            assert sent < 8 * 1024 * 1024
        run.signal(signal.SIGTERM)
        assert run.exits()[0] == 143


def test_a_reader_that_reads_no_more_does_not_keep_a_finished_run(tmp_path: Path) -> None:
    """All is answered, and waits for room in the pipe of its output."""
    (tmp_path / "in").write_text(f'"{"x" * 500_000}"\n')
    with Command("-i", "in", "-w", "1", "--", *command("echo"), cwd=tmp_path) as run:
        pid = child_of(run.process.pid)
        until(lambda: not lives(pid))
        run.signal(signal.SIGINT)
        assert run.exits() == (130, "stoker: interrupted\nstoker: 0 lines answered\n")


def test_workers_that_will_not_go_when_all_is_done_can_be_hurried(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("null\n")
    arguments = ("-i", "in", "-o", "out", "-w", "1", "--kill-grace", "10m", "--", *command("ignores_term"))
    with Command(*arguments, cwd=tmp_path) as run:
        until(lambda: (tmp_path / "out").exists() and (tmp_path / "out").read_bytes() == b"null\n")
        run.signal(signal.SIGINT)
        code, _ = run.exits()
    assert code == 0
