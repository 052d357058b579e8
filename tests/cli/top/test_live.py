"""stoker top as a process of its own, on a real terminal."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run, Start
from tests.cli.samples import queue, status
from tests.cli.scripted import Params, Refuse, ScriptedDaemon
from tests.cli.top.emulator import Emulator
from tests.cli.top.scenes import busy, idle, job_id
from tests.cli.top.scenes import running as a_job

WITHIN = 20.0  # seconds
SHELL = {"7", "25"}  # it wraps lines and shows the cursor
TAKEN = {"1049"}
CTRL_C, CTRL_Z, CTRL_L = "\x03", "\x1a", "\x0c"


def house(daemon: ScriptedDaemon, workers: int = 4, **changes: Any) -> None:
    """Half of the workers have jobs."""
    daemon.on("status", status(**changes))
    daemon.on("workers", {"workers": [busy(n) if n < workers // 2 else idle(n) for n in range(workers)]})
    jobs = [a_job(n, name=f"job {n}", started_at=f"2030-01-31T07:{n:02}:00Z") for n in range(workers // 2)]
    daemon.on("running", {"jobs": jobs, "total": len(jobs)})


class Session:
    """The command on a terminal, with somebody who looks and types."""

    def __init__(
        self, *arguments: str, size: tuple[int, int] = (80, 24), ignoring: str | None = None, **environment: str
    ) -> None:
        self._ours, self._theirs = pty.openpty()
        self.screen = Emulator(*size)
        self.raw = b""
        self._open = True
        self._set_size(size)
        self._usual = termios.tcgetattr(self._theirs)
        # A terminal sends its signals to those whose controlling terminal it is.
        signals = ["--default-signal", *([f"--ignore-signal={ignoring}"] if ignoring else [])]
        argv = ["setsid", "--ctty", "env", *signals, sys.executable, "-m", "supervisor", "top", *arguments]
        self.process = subprocess.Popen(
            argv,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[3]), **environment},
        )

    def _set_size(self, size: tuple[int, int]) -> None:
        width, height = size
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width: int, height: int) -> None:
        self.screen.resize(width, height)
        self._set_size((width, height))

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def until(self, true: Callable[[], object]) -> None:
        """Reads what comes until that is so."""
        deadline = time.monotonic() + WITHIN
        while not true():
            assert time.monotonic() < deadline, f"waited in vain; the screen shows:\n{self.screen.text}"
            self._read(0.05)

    def _read(self, within: float) -> bool:
        if not select.select([self._ours], [], [], within)[0]:
            return False
        data = os.read(self._ours, 65536)
        self.raw += data
        self.screen.feed(data)
        return True

    def sees(self, text: str) -> None:
        self.until(lambda: text in self.screen.text)

    def ends(self) -> int:
        """The exit code; whatever was still under way has been read."""
        self.until(lambda: self.process.poll() is not None)
        while self._read(0):
            pass
        return self.process.returncode

    @property
    def given_back(self) -> bool:
        return self.screen.modes == SHELL and termios.tcgetattr(self._theirs) == self._usual

    def hang_up(self) -> None:
        """The window is closed, the connection lost."""
        os.close(self._theirs)
        os.close(self._ours)
        self._open = False

    def close(self) -> None:
        with self.process:
            self.process.kill()
        if self._open:
            self.hang_up()


Begin = Callable[..., Session]


@pytest.fixture
def begin(daemon: ScriptedDaemon) -> Iterator[Begin]:
    """Start it at the scripted daemon."""
    begun: list[Session] = []

    def start(*arguments: str, **options: Any) -> Session:
        begun.append(Session(*arguments, **options))
        return begun[-1]

    yield start
    for session in begun:
        session.close()


def test_it_shows_the_house_and_gives_the_terminal_back_at_q(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin()
    session.sees("q quit")
    assert session.screen.modes == TAKEN
    assert not session.given_back
    for text in ("stoker running up 3h20m", "QUEUE", "POOL", "WORKER", "job 1"):
        assert text in session.screen.text
    session.press("q")
    assert session.ends() == 0
    assert session.given_back
    assert "Traceback" not in session.raw.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_and_the_terminal_is_given_back(daemon: ScriptedDaemon, begin: Begin, number: int) -> None:
    house(daemon)
    session = begin()
    session.sees("q quit")
    session.process.send_signal(number)
    assert session.ends() == 128 + number
    assert session.given_back


def test_ctrl_c_ends_it(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin()
    session.sees("q quit")
    session.press(CTRL_C)
    assert session.ends() == 130
    assert session.given_back
    assert "Traceback" not in session.raw.decode()


def test_a_bug_gives_the_terminal_back_before_it_is_told(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "100ms")
    session.sees("q quit")
    daemon.on("status", {"not": "what was expected"})
    assert session.ends() == 1
    assert session.given_back
    assert "KeyError" in session.raw.rpartition(b"1049l")[2].decode()


def test_a_bug_in_the_watching_thread_is_not_kept_secret(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "100ms")
    session.sees("q quit")
    daemon.on("workers", {"not": "what was expected"})
    assert session.ends() == 1
    assert session.given_back
    assert "KeyError" in session.raw.rpartition(b"1049l")[2].decode()


def test_what_changes_is_shown_at_the_next_look(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "100ms")
    session.sees("job 1")
    house(daemon, workers=8, queues=[queue("mail", paused=True)])
    session.sees("job 3")
    session.sees("paused")


def test_many_looks_at_what_stays_the_same_write_little(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "100ms")
    session.sees("q quit")
    looks, written = len(daemon.params("status")), session.screen.written
    session.until(lambda: len(daemon.params("status")) >= looks + 10)
    assert session.screen.written - written < 10 * 150  # the time of day, and how long the jobs run


def test_a_new_size_is_filled_at_once(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon, workers=40)
    session = begin("--interval", "1h")
    session.sees("q quit")
    for width, height in ((120, 40), (40, 10), (20, 5), (80, 24)):
        session.resize(width, height)
        session.until(lambda height=height: session.screen.lines[height - 1].startswith("q quit"))
        session.until(lambda: "?" not in session.screen.text)
    assert len(daemon.params("status")) == 1


def test_ctrl_l_repairs_what_somebody_else_has_written_there(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "1h")
    session.sees("q quit")
    before = session.screen.lines
    session.screen.feed(b"\x1b[3Hkernel: something happened\x1b[10Hand more")
    session.press(CTRL_L)
    session.until(lambda: session.screen.lines == before)


def test_keys_scroll_the_workers(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon, workers=60)
    session = begin("--interval", "1h")
    session.sees("WORKER 1-")
    for keys, header in (
        ("j", "WORKER 2-"),
        ("\x1b[B\x1bOB", "WORKER 4-"),
        ("k\x1b[A", "WORKER 2-"),
        ("\x1b[", "WORKER 2-"),
        ("B", "WORKER 3-"),
        ("G", "-60/60"),
        ("\x1b[H", "WORKER 1-"),
        ("\x1b[F", "-60/60"),
        ("g", "WORKER 1-"),
        ("kkkk", "WORKER 1-"),
        ("jé\x1bj", "WORKER 3-"),
    ):
        session.press(keys)
        session.sees(header)
    first = next(line for line in session.screen.lines if line.startswith("WORKER"))
    session.press("\x1b[6~")
    session.until(lambda: first not in session.screen.text)
    session.press("\x1b[5~")
    session.sees(first)


def test_p_freezes_what_is_shown_and_asks_nothing_more(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "100ms")
    session.sees("job 1")
    session.press("p")
    session.sees("frozen")
    house(daemon, workers=8)
    session.press("j")
    session.resize(100, 30)
    session.until(lambda: session.screen.lines[29].startswith("q quit"))
    assert "job 3" not in session.screen.text
    session.press(" ")
    session.sees("job 3")
    assert "frozen" not in session.screen.text


def test_a_daemon_that_goes_away_is_told_of_and_taken_up_again(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "100ms")
    session.sees("job 1")
    daemon.close()
    daemon.path.unlink()
    session.sees("nothing new for")
    session.sees("no daemon answers at")
    assert "job 1" in session.screen.text  # what was known last is still there
    again = ScriptedDaemon(daemon.path)
    house(again, workers=8)
    try:
        session.sees("job 3")
        session.until(lambda: "nothing new for" not in session.screen.text)
        session.press("q")
        assert session.ends() == 0
    finally:
        again.close()


def test_a_refusal_of_the_daemon_is_shown_and_passes(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "100ms")
    session.sees("job 1")

    def refuse(_: Params) -> None:
        raise Refuse("store_unavailable", "the disk takes nothing: \x1b[2Jmake room")

    daemon.on("running", refuse)
    session.sees("the disk takes nothing: \\x1b[2Jmake room")
    house(daemon)
    session.until(lambda: "nothing new for" not in session.screen.text)


def test_a_daemon_that_does_not_answer_keeps_nobody_from_leaving(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "100ms")
    session.sees("job 1")
    stuck = threading.Event()
    daemon.on("status", lambda _: stuck.wait(WITHIN) and {})
    asked = len(daemon.params("status"))
    session.until(lambda: len(daemon.params("status")) > asked)
    session.press("q")
    assert session.ends() == 0
    stuck.set()


def test_a_terminal_that_takes_nothing_more_keeps_nobody_from_leaving(daemon: ScriptedDaemon, begin: Begin) -> None:
    numbers = iter(range(10**6))

    def ever_new(_: Params) -> dict[str, Any]:
        return status(queues=[queue(f"{next(numbers)}" * 9, paused=True) for _ in range(60)])

    house(daemon)
    daemon.on("status", ever_new)
    session = begin("--interval", "100ms", size=(200, 90))
    # Nobody reads what it writes, some 7 KB each time, until that is more than any terminal keeps.
    daemon.await_call("status", times=20)
    session.process.send_signal(signal.SIGTERM)
    assert session.process.wait(WITHIN) == 143


def test_it_does_not_outlive_its_terminal(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "1h")
    session.sees("q quit")
    session.hang_up()
    assert session.process.wait(WITHIN) == 129


def test_a_terminal_that_goes_without_a_signal_is_noticed(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "1h", ignoring="HUP")
    session.sees("q quit")
    session.hang_up()
    assert session.process.wait(WITHIN) == 129


def test_ctrl_z_gives_the_terminal_back_until_it_is_continued(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    session = begin("--interval", "100ms")
    session.sees("q quit")
    session.press(CTRL_Z)
    stopped = os.WSTOPPED | os.WNOWAIT | os.WNOHANG
    session.until(lambda: os.waitid(os.P_PID, session.process.pid, stopped) is not None)
    session.until(lambda: session.given_back)
    house(daemon, workers=8)
    session.process.send_signal(signal.SIGCONT)
    session.sees("job 3")
    assert session.screen.modes == TAKEN
    session.press("q")
    assert session.ends() == 0
    assert session.given_back


def test_without_a_keyboard_it_says_how_to_end_it(
    daemon: ScriptedDaemon, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    house(daemon)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    process = start("top", stdout=theirs)
    screen = Emulator(80, 24)
    while "Ctrl-C ends it" not in screen.text:
        screen.feed(os.read(ours, 65536))
    process.send_signal(signal.SIGINT)
    assert process.wait(WITHIN) == 130
    os.close(theirs)
    os.close(ours)


def test_colours_are_left_out_where_nobody_wants_them(daemon: ScriptedDaemon, begin: Begin) -> None:
    house(daemon)
    colourful, plain = begin(), begin(NO_COLOR="1")
    for session in (colourful, plain):
        session.sees("q quit")
    assert "36" in colourful.screen.codes
    assert plain.screen.codes <= {"", "0", "1", "2", "7"}


@pytest.mark.parametrize(("arguments", "environment"), [(["--once"], {}), ([], {"TERM": "dumb"}), ([], {"TERM": ""})])
def test_once_or_on_a_dumb_terminal_it_shows_one_frame_and_ends(
    daemon: ScriptedDaemon, begin: Begin, arguments: list[str], environment: dict[str, str]
) -> None:
    house(daemon, workers=60)
    session = begin(*arguments, **environment)
    assert session.ends() == 0
    assert session.given_back
    text = session.raw.decode()
    assert "\x1b[?" not in text
    assert ("\x1b" in text) == (arguments == ["--once"])
    assert "thumbs/59" in text
    assert "q quit" not in text
    assert len(daemon.params("status")) == 1


def test_where_stdout_is_no_terminal_it_shows_one_frame(daemon: ScriptedDaemon, stoker: Run) -> None:
    house(daemon, workers=60)
    result = stoker("top")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert sum(line.startswith("thumbs/") for line in lines) == 60
    assert "\x1b" not in result.stdout
    assert all(len(line) <= 80 for line in lines)


def test_json_is_what_the_daemon_gave(daemon: ScriptedDaemon, stoker: Run) -> None:
    house(daemon)
    shown = json.loads(stoker("top", "--json").stdout)
    assert shown == {
        "status": daemon.answers["status"],
        "workers": daemon.answers["workers"]["workers"],
        "running": daemon.answers["running"],
    }
    assert daemon.params("running") == [{"limit": 200}]


def test_without_a_daemon_it_exits_3_at_once(stoker: Run) -> None:
    result = stoker("top", "--socket", "nowhere")
    assert result.exit_code == 3
    assert "no daemon answers at nowhere" in result.stderr


@pytest.mark.parametrize("given", ["0", "50ms", "soon", "-1s"])
def test_an_interval_must_be_one(daemon: ScriptedDaemon, stoker: Run, given: str) -> None:
    result = stoker("top", f"--interval={given}")
    assert result.exit_code == 2
    assert "--interval" in result.stderr


def test_a_job_shows_its_id_where_it_has_no_name(daemon: ScriptedDaemon, stoker: Run) -> None:
    house(daemon)
    daemon.on("running", {"jobs": [a_job(0)], "total": 1})
    assert job_id(0) in stoker("top").stdout
