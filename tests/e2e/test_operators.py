"""What somebody who runs stoker is told, and can do: a pool that is degraded, a restart, another size."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Start
from tests.e2e.daemon import PATIENCE, ROOT, Daemon, until

WORKER = """
import json, os, sys
{first}
print('{{"status":"ready"}}', flush=True)
for line in sys.stdin:
    job = json.loads(line)
    answer = {{"id": job["id"], "status": "ok", "result": [{version}, os.getpid()]}}
    print(json.dumps(answer), flush=True)
"""


def write(program: Path, version: int, first: str = "") -> None:
    """A worker that does `first` at its start, and answers with `version` and its pid."""
    new = program.with_suffix(".new")
    new.write_text(WORKER.format(version=version, first=first))
    new.replace(program)  # whole at any moment: a worker may be starting


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "worker.py"
    write(file, version=1)
    return file


def begin(daemon: Daemon, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor", *arguments],
        cwd=ROOT,
        env={**os.environ, "STOKER_SOCKET": daemon.socket},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stoker(daemon: Daemon, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with begin(daemon, *arguments) as process:
        try:
            out, err = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
    return process.returncode, out, err


def pool(daemon: Daemon) -> dict[str, Any]:
    with daemon.client() as client:
        [view] = client.pools()
    return dict(view)


def versions(daemon: Daemon, count: int = 8) -> set[int]:
    """Of the workers that do so many jobs."""
    with daemon.client() as client:
        jobs = client.submit_many([{"queue": "p", "payload": None}] * count)
        return {job["result"][0] for job in client.wait_all([job["id"] for job in jobs])}


@pytest.mark.parametrize(
    ("first", "how", "words"),
    [
        ("import nosuch", "exited with code 1", "ModuleNotFoundError: No module named 'nosuch'"),
        ("sys.exit('no licence')", "exited with code 1", "no licence"),
        ("os._exit(3)", "exited with code 3", ""),
        ("print('bad pointer', file=sys.stderr, flush=True); os.kill(os.getpid(), 11)", "SIGSEGV", "bad pointer"),
    ],
)
def test_a_degraded_pool_says_how_its_worker_ended_and_what_it_said_last(
    start: Start, program: Path, first: str, how: str, words: str
) -> None:
    write(program, version=1, first=first)
    daemon = start({"p": {"command": [sys.executable, str(program)], "ready": True}})
    until(lambda: pool(daemon)["state"] == "degraded", "a degraded pool")
    logged, *_ = [row["reason"] for row in daemon.log() if row["event"] == "pool_degraded"]
    told = [logged, stoker(daemon, "status")[1], stoker(daemon, "pools")[1], stoker(daemon, "pools", "p")[1]]
    assert all(how in text and words in text and str(program) in text for text in told), told


def test_a_program_that_has_vanished_is_named_and_its_return_is_noticed(start: Start, tmp_path: Path) -> None:
    program = tmp_path / "worker"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o700)
    daemon = start({"p": {"command": [str(program)]}})
    program.rename(tmp_path / "away")
    until(lambda: "no such file" in (pool(daemon)["reason"] or ""), "the complaint about the program")
    assert f"{str(program)!r}" in stoker(daemon, "status")[1]
    program.write_text('#!/bin/sh\nread -r request && echo \'{"status":"ok"}\'; cat >/dev/null\n')
    program.chmod(0o700)
    with daemon.client() as client:
        assert client.wait(client.submit("p", None)["id"], timeout_secs=PATIENCE)["state"] == "done"
    assert pool(daemon)["reason"] is None


def test_a_restart_brings_the_new_program_in_and_one_that_does_not_start_changes_nothing(
    start: Start, program: Path
) -> None:
    daemon = start({"p": {"command": [sys.executable, str(program)], "ready": True, "size": 2}})
    assert versions(daemon) == {1}
    write(program, version=2)
    assert stoker(daemon, "restart", "p") == (0, "p: generation 2, 2 workers replaced\n", "")
    assert versions(daemon) == {2}

    write(program, version=3, first="import nosuch")
    code, out, err = stoker(daemon, "restart", "p")
    assert (code, out) == (1, "")
    assert "exited with code 1" in err
    assert "ModuleNotFoundError: No module named 'nosuch'" in err
    assert versions(daemon) == {2}
    assert (pool(daemon)["generation"], pool(daemon)["state"], pool(daemon)["size"]) == (2, "ready", 2)


def test_a_restart_takes_what_the_configuration_says_of_the_pool_now(start: Start, program: Path) -> None:
    daemon = start({"p": {"command": [sys.executable, str(program)], "ready": True}})
    assert versions(daemon) == {1}
    other = program.with_name("other.py")
    write(other, version=7)
    file = program.parent / "daemon0" / "stoker.toml"
    good = file.read_text()
    file.write_text(good.replace(str(program), str(other)))
    assert stoker(daemon, "restart", "p") == (0, "p: generation 2, 1 worker replaced\n", "")
    assert versions(daemon) == {7}

    file.write_text(good.replace("ready = true", 'ready = true\nsize = "many"'))
    code, out, err = stoker(daemon, "restart", "p")
    assert (code, out) == (1, "")
    assert "the restart has not begun" in err
    assert 'found "many"' in err
    assert versions(daemon) == {7}


def test_a_restart_brings_other_shares_of_the_same_queues_and_no_other_queues(start: Start, program: Path) -> None:
    daemon = start({"p": {"command": [sys.executable, str(program)], "ready": True, "size": 2, "queues": ["a", "b"]}})
    file = program.parent / "daemon0" / "stoker.toml"
    good = file.read_text()

    def restarted(text: str) -> dict[str, tuple[int, int]]:
        file.write_text(text)
        assert stoker(daemon, "restart", "p")[0] == 0
        return {share["queue"]: (share["weight"], share["reserve"]) for share in pool(daemon)["shares"]}

    shares = "\nweight = { a = 3 }\nreserve = { b = 1 }\n"
    assert restarted(good.replace("size = 2", "size = 2" + shares)) == {"a": (3, 0), "b": (1, 1)}
    others = good.replace('"a",', '"a", "c",').replace("size = 2", "size = 2\nweight = { c = 7 }\n")
    assert restarted(others) == {"a": (3, 0), "b": (1, 1)}

    file.write_text(others.replace("size = 2", "size = 1"))
    code, _, err = stoker(daemon, "restart", "p")
    assert (code, "is to have 1 workers at most and its queues" in err) == (1, True)
    code, _, err = stoker(daemon, "resize", "p", "1")
    assert (code, "expected at least 2, or 0" in err) == (1, True)


def test_a_restart_goes_on_when_the_one_who_waits_for_it_is_interrupted(start: Start, program: Path) -> None:
    daemon = start({"p": {"command": [sys.executable, str(program)], "ready": True, "size": 2}})
    assert versions(daemon) == {1}
    gate = program.with_name("gate")
    write(program, version=2, first=f"import time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)")
    with begin(daemon, "restart", "p") as process:
        until(lambda: pool(daemon)["restarting"], "the beginning of the restart")
        assert "  restarting  " in stoker(daemon, "pools")[1]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "the restart of p goes on" in err) == (130, True)
    gate.touch()
    until(lambda: not pool(daemon)["restarting"], "the end of the restart")
    assert (pool(daemon)["generation"], versions(daemon)) == (2, {2})


def test_a_resize_holds_until_the_next_start(start: Start, program: Path) -> None:
    daemon = start({"p": {"command": [sys.executable, str(program)], "ready": True, "size": 2}})
    code, out, _ = stoker(daemon, "resize", "p", "4", "--json")
    assert (code, json.loads(out)["max"]) == (0, 4)
    until(lambda: pool(daemon)["idle"] == 4, "four idle workers")
    assert stoker(daemon, "resize", "p", "1")[0] == 0
    until(lambda: len(daemon.children()) == 1, "the end of three")
    assert versions(daemon) == {1}
    daemon.restart()
    until(lambda: pool(daemon)["idle"] == 2, "the configured two")
    assert [pool(daemon)[name] for name in ("size", "min", "max", "generation")] == [2, 2, 2, 1]
