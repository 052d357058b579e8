"""What a worker's descriptors are, in both channels, and that it has no others."""

import json
import os
from pathlib import Path

import pytest

from supervisor.core.job import Cause, State
from tests.pool.launched import PYTHON, launched
from tests.pool.rig import rig
from tests.workers import command

CHANNELS = {"stdio": ["0", "1", "2"], "fd": ["0", "1", "2", "3", "4"]}
# A worker on descriptors 3 and 4 that lets its libraries print what they like.
PRINTS = (
    "import json, os, sys",
    "print('hello from the boot', flush=True)",
    "for line in open(3):",
    "    request = json.loads(line)",
    "    print('working on', request['payload'], flush=True)",
    "    print('and complaining', file=sys.stderr, flush=True)",
    "    reply = {'id': request['id'], 'status': 'ok', 'result': request['payload']}",
    "    os.write(4, json.dumps(reply).encode() + b'\\n')",
)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("environ", [{}, {"odd.name": "x"}], ids=["plain", "carried"])
def test_a_worker_has_its_descriptors_and_no_others(tmp_path: Path, channel: str, environ: dict[str, str]) -> None:
    """However many the daemon has, some of them inheritable by some library's fault."""
    ours = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    try:
        for fd in ours[::2]:
            os.set_inheritable(fd, True)
        out = CHANNELS[channel][-1] if channel == "fd" else "1"
        # ls opens the folder it lists, so that is one number more.
        with launched(
            ["sh", "-c", f"exec ls /proc/self/fd >&{out}"],
            tmp_path,
            environ={**os.environ, **environ},
            channel=channel,
        ) as worker:
            listed = worker.rest().split()
    finally:
        for fd in ours:
            os.close(fd)
    assert listed == [*CHANNELS[channel], str(len(CHANNELS[channel]))]


@pytest.mark.parametrize("channel", CHANNELS)
def test_the_descriptors_are_the_pipes_that_they_should_be(tmp_path: Path, channel: str) -> None:
    out = 4 if channel == "fd" else 1
    program = f"import json, os; os.write({out}, json.dumps([os.readlink(f'/proc/self/fd/{{n}}') for n in "
    program += f"range({len(CHANNELS[channel])})]).encode() + b'\\n'); open(3 if {out} == 4 else 0).read()"
    with launched([*PYTHON, program], tmp_path, channel=channel) as worker:
        child = worker.child
        found = json.loads(worker.line())
        ours = [os.readlink(f"/proc/self/fd/{fd}") for fd in (child.requests, child.replies, child.stderr)]
        requests, replies, stderr = ours
        assert found == (
            [requests, replies, stderr] if channel == "stdio" else ["/dev/null", stderr, stderr, requests, replies]
        )
        assert len(set(ours)) == 3


def test_requests_come_on_3_and_replies_go_to_4_while_stdout_is_log(tmp_path: Path) -> None:
    with launched([*PYTHON, "\n".join(PRINTS)], tmp_path, channel="fd") as worker:
        for number in range(3):
            worker.say(json.dumps({"id": f"job-{number}", "payload": number}))
            assert json.loads(worker.line()) == {"id": f"job-{number}", "status": "ok", "result": number}
        worker.hang_up()
        assert worker.status() == 0
        said = worker.rest("stderr").splitlines()
        assert said[0] == "hello from the boot"
        assert said[1:] == [line for number in range(3) for line in (f"working on {number}", "and complaining")]
        assert worker.rest() == ""


@pytest.mark.provokes("stray print", "channel", program="stray_print.py")
async def test_a_stray_print_breaks_nothing_where_the_conversation_has_its_own_descriptors(
    tmp_path: Path, capsys
) -> None:
    async with rig(command("stray_print", "--fd", "--at-boot"), folder=tmp_path, channel="fd") as daemon:
        pid = daemon.slot.child.pid
        for payload in ({"print": "working on one"}, {"print": "working on two"}):
            job = await daemon.run(payload)
            assert (job.state, json.loads(job.result)) == (State.DONE, payload)
        assert daemon.slot.child.pid == pid
    log = capsys.readouterr().out
    assert "working on one" in log
    assert "loading the model" in log


@pytest.mark.provokes("stray print", "garbage", program="stray_print.py")
async def test_a_stray_print_where_replies_go_fails_the_attempt_and_says_what_to_do(tmp_path: Path) -> None:
    async with rig(command("stray_print"), folder=tmp_path) as daemon:
        job = await daemon.run({"print": "working on one"})
        assert (job.state, job.error.cause) == (State.FAILED, Cause.GARBAGE)
        assert "working on one" in job.error.message
        assert 'channel = "fd"' in job.error.message


def test_a_worker_on_its_own_descriptors_reads_nothing_on_stdin(tmp_path: Path) -> None:
    with launched(["sh", "-c", "cat >&4; echo done >&4"], tmp_path, channel="fd") as worker:
        worker.say("for descriptor 3")
        assert worker.line() == "done"
        assert worker.child.unread() == len("for descriptor 3\n")
