"""What only a process of its own shows: signals, closed pipes, a terminal."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Start
from tests.cli.samples import ID, job, listed
from tests.cli.scripted import ScriptedDaemon, Silence

WITHIN = 30  # seconds, for a process that should need a tenth of one


def never(_: object) -> None:
    raise Silence


def test_ctrl_c_while_waiting_is_130_and_says_that_the_job_stays(daemon: ScriptedDaemon, start: Start) -> None:
    daemon.on("submit", {"id": ID, "created": True, "state": "pending"})
    daemon.on("wait", never)
    process = start("submit", "thumbs", "--wait")
    daemon.await_call("wait")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, out) == (130, "")
    assert err == (
        f"stoker: no longer waiting; job {ID} stays in the queue: "
        f"look with `stoker wait {ID}`, end with `stoker cancel`\n"
    )


def test_ctrl_c_anywhere_else_is_130_without_a_traceback(daemon: ScriptedDaemon, start: Start) -> None:
    daemon.on("status", never)
    process = start("status")
    daemon.await_call("status")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (130, "")


def test_ctrl_c_while_a_pool_restarts_says_that_the_restart_goes_on(daemon: ScriptedDaemon, start: Start) -> None:
    daemon.on("restart", never)
    process = start("restart", "thumbs")
    daemon.await_call("restart")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, out) == (130, "")
    assert err == (
        "stoker: no longer waiting; the restart of thumbs goes on: `stoker pools thumbs` shows how far it is\n"
    )


@pytest.mark.parametrize(
    ("options", "look"),
    [
        ((), "look with `stoker list --queue thumbs`; with --client and --key a submit can be repeated"),
        (("--client", "c", "--key", "k"), "the same command again, with the same --key, makes no second one"),
    ],
)
def test_ctrl_c_before_a_submit_is_answered_says_that_the_job_may_be_queued(
    daemon: ScriptedDaemon, start: Start, options: tuple[str, ...], look: str
) -> None:
    daemon.on("submit", never)
    process = start("submit", "thumbs", *options)
    daemon.await_call("submit")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, out) == (130, "")
    assert err == f"stoker: interrupted before the daemon answered: the job may have been queued; {look}\n"


def test_ctrl_c_before_a_batch_is_answered_names_its_lines(daemon: ScriptedDaemon, start: Start) -> None:
    daemon.on("submit_many", never)
    process = start("submit", "thumbs", "--many", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write("1\n2\n")
    process.stdin.close()
    daemon.await_call("submit_many")
    process.send_signal(signal.SIGINT)
    process.stdin = None  # communicate() would flush it
    _, err = process.communicate(timeout=WITHIN)
    said = "interrupted before the daemon answered for lines 1 to 2 of stdin: all of them may be queued, or none"
    assert (process.returncode, err) == (130, f"stoker: {said}\n")


def test_ctrl_c_during_many_says_how_many_are_submitted(daemon: ScriptedDaemon, start: Start) -> None:
    daemon.on("submit_many", lambda params: {"jobs": [{"id": "i", "created": True, "state": "pending"}] * 500})
    process = start("submit", "thumbs", "--many", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("1\n" * 501)
    process.stdin.flush()
    for _ in range(500):  # the ids of the first batch come before the second is read to its end
        assert process.stdout.readline() == "i\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (130, "stoker: interrupted; 500 jobs are submitted and stay so\n")


def test_a_reader_that_has_left_is_no_reason_for_words(daemon: ScriptedDaemon, start: Start) -> None:
    daemon.on("list", {"jobs": [listed()] * 200, "total": 200, "next": None})
    for arguments in (["list"], ["list", "--json"], ["list", "--limit", "1"]):
        reader, writer = os.pipe()
        process = start(*arguments, stdout=writer)
        os.close(reader)
        os.close(writer)
        _, err = process.communicate(timeout=WITHIN)
        assert (process.returncode, err) == (141, "")


def test_output_that_cannot_be_written_is_a_sentence_and_exit_1(daemon: ScriptedDaemon, start: Start) -> None:
    daemon.on("wait", job())
    with open("/dev/full", "w") as full:
        process = start("wait", ID, stdout=full)
    _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (1, "stoker: cannot write the output: No space left on device\n")


def test_streams_that_the_shell_closed_are_no_obstacle(daemon: ScriptedDaemon, folder: Path) -> None:
    daemon.on("submit", {"id": ID, "created": True, "state": "pending"})
    command = f"{sys.executable} -m supervisor"
    script = f"{command} submit q >&- 2>&- <&-; echo $?; {command} submit q - <&- 2>&1 >&-; echo $?"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=WITHIN, check=True)
    assert done.stdout.splitlines() == [
        "0",
        "stoker: the payload on stdin is empty: write null where there is nothing to say",
        "2",
    ]


def test_exit_codes_reach_the_shell(daemon: ScriptedDaemon, start: Start) -> None:
    daemon.on("wait", lambda params: job(params["id"]))
    expected = {("wait", "done"): 0, ("wait", "cancelled"): 1, ("wait",): 2, ("ping", "--socket", "none"): 3}
    processes = {arguments: start(*arguments) for arguments in expected}
    assert {arguments: process.wait(WITHIN) for arguments, process in processes.items()} == expected


def test_a_real_terminal_gets_colours_and_a_real_pipe_gets_none(daemon: ScriptedDaemon, start: Start) -> None:
    daemon.on("list", {"jobs": [listed("failed")], "total": 1, "next": None})
    assert "\x1b" not in start("list").communicate(timeout=WITHIN)[0]
    ours, theirs = pty.openpty()
    process = start("list", stdout=theirs)
    assert process.wait(WITHIN) == 0
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert "\x1b[31mfailed" in shown
    assert ID in shown
