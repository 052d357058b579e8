"""`stoker batch` as a stranger types it, against a real daemon."""

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
from tests.workers import Gate, command

POOLS = {"marker": {"command": command("marker"), "size": 2, "queues": ["marker", "mail"]}}
NOBODY = "01990000-0000-7000-8000-000000000000"


def begin(daemon: Daemon, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["env", "--default-signal=INT", sys.executable, "-m", "supervisor", *arguments],
        cwd=ROOT,
        env={**os.environ, "STOKER_SOCKET": daemon.socket},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stoker(daemon: Daemon, *arguments: str, input: str | None = None) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    with begin(daemon, *arguments) as process:
        try:
            out, err = process.communicate(input, timeout=PATIENCE)
        finally:
            process.kill()
    return process.returncode, out, err


def batch(daemon: Daemon, *arguments: str, input: str | None = None) -> tuple[int, str, str]:
    return stoker(daemon, "batch", *arguments, input=input)


def submitted(daemon: Daemon, lines: list[Any], *options: str) -> str:
    """Its id."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    code, out, err = batch(daemon, "submit", "-", "--queue", "marker", *options, input=text)
    assert (code, err) == (0, "")
    return out.strip()


def state(daemon: Daemon, batch_id: str) -> str:
    with daemon.client() as client:
        return str(client.batch_get(batch_id)["state"])


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_file_goes_in_and_results_and_errors_come_out(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS)
    file = tmp_path / "in.jsonl"
    file.write_text('{"custom_id":"a"}\n\n{"custom_id":7,"fails":9}\nthis is no JSON\n{}')
    wanted = ("submit", str(file), "--queue", "marker", "--max-attempts", "1", "--name", "monday", "--watch")
    code, out, err = batch(daemon, *wanted)
    batch_id = out.strip()
    assert code == 1
    assert err.startswith(f"stoker: batch {batch_id} failed: 2 of 4 lines passed, 2 failed, in ")
    assert err.endswith(f"; `stoker batch output {batch_id} --errors` says why\n")

    code, out, err = batch(daemon, "output", batch_id)
    assert (code, err) == (0, "")
    assert sorted((one["line"], one.get("custom_id")) for one in records(out)) == [(1, "a"), (5, None)]
    code, out, err = batch(daemon, "output", batch_id, "--errors")
    told = {one["line"]: (one.get("custom_id"), one["error"]["cause"]) for one in records(out)}
    assert (code, err, told) == (0, "", {3: (7, "error"), 4: (None, "not_json")})
    assert len(records(batch(daemon, "output", batch_id, "--from", "2")[1])) == 1

    _, out, _ = batch(daemon, "list", "--queue", "marker", "--state", "failed")
    assert out.splitlines()[1].startswith(f"{batch_id}  marker  failed      4       2       2  ")
    _, out, _ = batch(daemon, "get", batch_id)
    shown = dict(line.split("  ", 1) for line in out.splitlines())
    assert shown["lines"].strip() == "4: 2 passed, 2 failed"
    assert Path(shown["folder"].strip(), "input.jsonl").read_bytes() == file.read_bytes()
    assert json.loads(batch(daemon, "watch", batch_id, "--json")[1]) == json.loads(
        batch(daemon, "get", batch_id, "--json")[1]
    )
    assert batch(daemon, "cancel", batch_id) == (0, f"{batch_id}  failed  it had ended before\n", "")
    assert batch(daemon, "delete", batch_id) == (0, f"{batch_id}  deleted\n", "")
    assert not Path(shown["folder"].strip()).exists()
    assert batch(daemon, "list") == (0, "", "no batches\n")


def test_a_watch_and_a_followed_output_live_through_a_restart(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS)
    with Gate(tmp_path) as gate:
        batch_id = submitted(daemon, [{}, {}, *({"gate": gate.path} for _ in range(20))])
        watch = begin(daemon, "batch", "watch", batch_id)
        follow = begin(daemon, "batch", "output", batch_id, "--follow")
        assert follow.stdout is not None
        first = [follow.stdout.readline() for _ in range(2)]
        assert "1 in progress, 20 lines to go" in stoker(daemon, "status")[1]
        daemon.kill()
        daemon.start()
        gate.open()
        out, err = watch.communicate(timeout=PATIENCE)
        assert (watch.returncode, err) == (0, "stoker: the daemon went away; the watch goes on when it is back\n")
        assert out.startswith(f"batch {batch_id} completed: 22 lines passed, in ")
        rest, err = follow.communicate(timeout=PATIENCE)
        assert (follow.returncode, err) == (0, "")
        assert sorted(one["line"] for one in records("".join(first) + rest)) == list(range(1, 23))


def test_what_is_not_done_yet_is_told_and_a_cancel_ends_it(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS)
    with Gate(tmp_path) as gate:
        batch_id = submitted(daemon, [{}, *({"gate": gate.path} for _ in range(9))])
        until(lambda: batch(daemon, "output", batch_id)[1], "the first line")
        _, _, err = batch(daemon, "output", batch_id)
        assert err == (
            f"stoker: batch {batch_id} is in_progress, and this is what it has by now; --follow waits for the rest\n"
        )
        code, out, err = batch(daemon, "delete", batch_id)
        assert (code, out) == (1, "")
        assert err == f"stoker: batch {batch_id} is in_progress: cancel it first, or wait for its end\n"
        watch = begin(daemon, "batch", "watch", batch_id)
        assert batch(daemon, "cancel", batch_id) == (0, f"{batch_id}  cancelled  1 passed, 0 failed, 9 cancelled\n", "")
        out, _ = watch.communicate(timeout=PATIENCE)
        assert watch.returncode == 1
        assert out.startswith(f"batch {batch_id} was cancelled: 1 of 10 lines passed, 9 cancelled, in ")
        assert {one["error"]["cause"] for one in records(batch(daemon, "output", batch_id, "--errors")[1])} == {
            "cancelled"
        }


def test_ctrl_c_leaves_the_batch_running(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS)
    with Gate(tmp_path) as gate:
        watch = begin(daemon, "batch", "submit", "-", "--queue", "marker", "--watch")
        assert watch.stdin is not None
        assert watch.stdout is not None
        watch.stdin.write(json.dumps({"gate": gate.path}))
        watch.stdin.close()
        batch_id = watch.stdout.readline().strip()
        watch.send_signal(signal.SIGINT)
        watch.stdin = None  # communicate() would flush it
        _, err = watch.communicate(timeout=PATIENCE)
        assert watch.returncode == 130
        assert f"the batch goes on: `stoker batch watch {batch_id}` watches again" in err
        gate.open()
        assert batch(daemon, "watch", batch_id)[0] == 0


def test_a_reader_that_leaves_early_is_no_reason_for_words(start: Start) -> None:
    daemon = start(POOLS)
    batch_id = submitted(daemon, [{}] * 2000)
    follow = begin(daemon, "batch", "output", batch_id, "--follow")
    assert follow.stdout is not None
    assert json.loads(follow.stdout.readline())["line"]
    follow.stdout.close()
    follow.stdout = None
    _, err = follow.communicate(timeout=PATIENCE)
    assert (follow.returncode, err) == (141, "")
    assert batch(daemon, "cancel", batch_id)[0] == 0


def test_why_a_batch_does_not_move_is_told(start: Start) -> None:
    daemon = start(POOLS)
    stoker(daemon, "pause", "marker")
    batch_id = submitted(daemon, [{}])
    watch = begin(daemon, "batch", "watch", batch_id)
    assert watch.stderr is not None
    told = watch.stderr.readline()
    assert told.startswith(f"stoker: batch {batch_id}: 0%  0 passed of 1  0/s  waits: ")
    assert "paused" in told
    assert "paused" in batch(daemon, "list")[1]
    stoker(daemon, "resume", "marker")
    watch.communicate(timeout=PATIENCE)
    assert watch.returncode == 0


# -- what a stranger gets wrong -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [NOBODY, "/etc/passwd", "../../../etc", "x", NOBODY.upper(), "1"])
def test_an_id_is_never_a_path_and_a_wrong_one_is_said_to_be_none(start: Start, wrong: str) -> None:
    daemon = start(POOLS)
    for name in ("get", "watch", "output", "cancel", "delete"):
        code, out, err = batch(daemon, name, wrong)
        assert (code, out) == (1, ""), name
        assert err == f'stoker: there is no batch "{wrong}": it was deleted, or never was\n', name


def test_an_unknown_queue_is_refused_with_those_there_are(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS)
    file = tmp_path / "in.jsonl"
    file.write_text("{}\n")
    for arguments in (("submit", str(file), "--queue", "marked"), ("list", "--queue", "marked")):
        code, out, err = batch(daemon, *arguments)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert err.startswith("stoker: ")
        assert "marked" in err
        assert "marker" in err


def test_a_key_answers_with_the_batch_that_was_there(start: Start) -> None:
    daemon = start(POOLS)
    first = submitted(daemon, [{}], "--client", "me", "--key", "monday")
    again = ("submit", "-", "--queue", "marker", "--client", "me", "--key", "monday")
    assert batch(daemon, *again, input="{}\n") == (
        0,
        f"{first}\n",
        f"stoker: batch {first} was there before, with this key\n",
    )


def test_what_is_over_a_limit_is_refused_with_the_limit_and_leaves_nothing(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, batches={"max_lines": 2, "max_bytes": "1KiB"})
    file = tmp_path / "in.jsonl"
    for text, limit in (("1\n" * 3, "batches.max_lines"), ('"' + "x" * 2000 + '"\n', "batches.max_bytes")):
        file.write_text(text)
        code, out, err = batch(daemon, "submit", str(file), "--queue", "marker")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert limit in err
    assert batch(daemon, "list") == (0, "", "no batches\n")
    assert list((daemon.state / "batches").iterdir()) == []


def test_a_batch_of_blank_lines_is_over_at_once(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS)
    code, out, err = batch(daemon, "submit", "-", "--queue", "marker", "--watch", input="\n \n\n")
    batch_id = out.strip()
    assert (code, err.partition(", in ")[0]) == (0, f"stoker: batch {batch_id} completed: 0 lines passed")


def test_gc_deletes_what_is_old_enough_and_nothing_else(start: Start) -> None:
    daemon = start(POOLS)
    ids = [submitted(daemon, [{}], "--tag", "x") for _ in range(2)]
    for one in ids:
        assert batch(daemon, "watch", one)[0] == 0
    assert batch(daemon, "gc", "--older-than", "1d") == (0, "0 batches deleted\n", "")
    wanted = ("gc", "--older-than", "0s", "--queue", "marker", "--state", "completed")
    assert batch(daemon, *wanted, "--dry-run")[1] == "2 batches would be deleted; nothing is changed\n"
    code, out, _ = batch(daemon, *wanted, "--json")
    assert (code, sorted(json.loads(out)["ids"])) == (0, sorted(ids))


# -- others -------------------------------------------------------------------------------------------------------

ALICE = 61001
# All that a command needs is imported as root: the interpreter may be where nobody else may read.
AS_ALICE = """
import locale, os, supervisor.config.quantities
from importlib import import_module
from supervisor.cli import app, batch, main
for module, _ in batch.COMMANDS.values():
    import_module(f"supervisor.cli.{module}")
os.setgroups([])
os.setresgid(ALICE, ALICE, ALICE)
os.setresuid(ALICE, ALICE, ALICE)
main.main()
""".replace("ALICE", str(ALICE))


def batch_of_alice(daemon: Daemon, *arguments: str, input: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", AS_ALICE, "batch", *arguments],
        cwd=ROOT,
        env={**os.environ, "STOKER_SOCKET": daemon.socket},
        input=input,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_a_batch_of_a_hidden_queue_is_none_to_others(start: Start) -> None:
    access = {"submit": ["*"]}
    daemon = start(POOLS, {"mail": {"access": {"submit": [], "look": []}}}, access=access, socket_mode="0666")
    Path(daemon.socket).parent.chmod(0o755)
    code, out, _ = batch(daemon, "submit", "-", "--queue", "mail", "--watch", input="{}\n")
    batch_id = out.strip()
    assert code == 0
    for name in ("get", "watch", "output", "cancel", "delete"):
        code, out, err = batch_of_alice(daemon, name, batch_id)
        assert (code, out) == (1, ""), name
        assert err == f'stoker: there is no batch "{batch_id}": it was deleted, or never was\n', name
    assert batch_of_alice(daemon, "list") == (0, "", "no batches\n")
    code, out, err = batch_of_alice(daemon, "gc", "--older-than", "0s")
    assert (code, out) == (1, "")
    assert err.endswith("name a queue\n")
    assert batch_of_alice(daemon, "gc", "--older-than", "0s", "--queue", "marker")[1] == "0 batches deleted\n"
    code, out, err = batch_of_alice(daemon, "submit", "-", "--queue", "mail", input="{}\n")
    assert (code, out) == (1, "")
    assert "mail" in err
    assert batch(daemon, "get", batch_id)[0] == 0
