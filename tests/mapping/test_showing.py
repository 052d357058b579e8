"""What a person sees of a run: a bar on a terminal, lines elsewhere, and nothing that tears either."""

import os
import pty
import re
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any
from unittest.mock import patch

import pytest
import trio

from supervisor.mapping import showing
from supervisor.mapping.showing import Showing
from supervisor.mapping.tally import Progress
from tests.mapping.mapped import Command
from tests.workers import command

HALF = Progress(passed=40, failed=10, known=100, whole=True)
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


def heard(fd: int) -> str:
    """All that is there, without what moves the cursor."""
    data = b""
    os.set_blocking(fd, False)
    while True:
        try:
            more = os.read(fd, 65536)
        except OSError:
            break
        data += more
        if not more:
            break
    return ESCAPES.sub(b"", data).decode()


@pytest.fixture(autouse=True)
def _terminal_of_this_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")


@contextmanager
def terminal() -> Iterator[int]:
    """It is stderr meanwhile; what is given is the other side of it."""
    here, there = pty.openpty()
    kept = os.dup(2)
    os.dup2(there, 2)
    try:
        yield here
    finally:
        os.dup2(kept, 2)
        for fd in (here, there, kept):
            os.close(fd)


async def run(screen: Showing) -> None:
    """Until it was shown once."""
    shown = Event()
    show = screen._paper.show

    def noticed(*args: Any) -> None:
        show(*args)
        shown.set()

    with patch.object(screen._paper, "show", noticed):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(screen.run)
            await trio.to_thread.run_sync(shown.wait)
            nursery.cancel_scope.cancel()
    screen.close()


async def test_a_terminal_shows_a_bar_and_what_is_said_above_it() -> None:
    with terminal() as here:
        screen = Showing(lambda: HALF)
        screen.say("worker 0: \x1b[2Jhello [bold]you[/bold]")
        await run(screen)
        told = heard(here)
        assert "worker 0: \\x1b[2Jhello [bold]you[/bold]\r\n" in told
        assert "50 %, 50 lines" in told
        assert "10 failed" in told
        assert re.search(r"stoker: 50 lines in .*: 40 passed, 10 failed", told)


async def test_no_bar_where_it_is_not_wanted_but_the_summary() -> None:
    with terminal() as here:
        screen = Showing(lambda: HALF, progress=False)
        screen.say("hello")
        await run(screen)
        told = heard(here)
        assert "hello" in told
        assert "50 %" not in told
        assert "stoker: 50 lines in" in told


async def test_no_bar_below_answers_on_the_same_terminal() -> None:
    with terminal() as here:
        await run(Showing(lambda: HALF, quiet=True))
        assert "50 %" not in heard(here)


async def test_a_terminal_that_is_stopped_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-S, or a pager that is not left."""
    with terminal() as here:
        monkeypatch.setattr(showing, "PATIENCE", 0.01)
        screen = Showing(lambda: HALF)
        termios.tcflow(2, termios.TCOOFF)
        try:
            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(screen.run)
                    for number in range(showing.MOST + 500):
                        screen.say(f"line {number}")
                        await trio.lowlevel.checkpoint()
                    nursery.cancel_scope.cancel()
                screen.close()
        finally:
            termios.tcflow(2, termios.TCOON)
            while not screen._one.acquire(timeout=0.01):  # the thread has more to say than a terminal holds unread
                heard(here)
            screen._one.release()


async def test_where_there_is_no_terminal_lines_are_all(capfd: pytest.CaptureFixture[str]) -> None:
    screen = Showing(lambda: HALF)
    screen.say("hello")
    await run(screen)
    assert capfd.readouterr().err == "hello\n"


async def test_progress_can_be_asked_for_where_there_is_no_terminal(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(showing, "LINE_EVERY", 0.0)
    await run(Showing(lambda: HALF, progress=True))
    assert "stoker: 50 %, 50 lines" in capfd.readouterr().err


async def test_what_nobody_reads_in_time_is_counted(capfd: pytest.CaptureFixture[str]) -> None:
    screen = Showing(lambda: HALF)
    for number in range(showing.MOST + 5):
        screen.say(f"line {number}")
    screen.close()
    assert capfd.readouterr().err.endswith("stoker: 5 lines more were left out: nobody read them in time\n")


def test_the_command_shows_its_bar_on_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("1\n2\n3\n")
    here, there = pty.openpty()
    arguments = ("-i", "in", "-o", "out", "--", *command("echo"))
    with Command(*arguments, cwd=tmp_path, stderr=there) as running:
        assert running.process.wait(60) == 0
        told = heard(here)
    assert "3 lines" in told
    assert "stoker: 3 lines in" in told
    os.close(here)
    os.close(there)
