"""A configuration that is read again while everything runs: with real workers, over the socket, by the command."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed
from tests.e2e.daemon import Daemon, until
from tests.workers import Gate, command

UP = ("idle", "busy")
GATED = command("allocates", "--ready")  # waits for the gate of its payload
ECHO = command("echo")
NO_PROGRAM_OUTPUT = ["sh", "-c", "echo no such module >&2; exit 3"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    one = Daemon(tmp_path, {"a": {"command": ECHO, "size": 2}, "b": {"command": ECHO}})
    one.start()
    try:
        yield one
    finally:
        one.end()


def pids(daemon: Daemon, pool: str) -> dict[int, int]:
    """Of its workers, once all are up."""

    def up() -> dict[int, int] | None:
        rows = client.workers(pool)
        return {row["slot"]: row["pid"] for row in rows} if all(row["state"] in UP for row in rows) else None

    with daemon.client() as client:
        return until(up, f"the workers of {pool}")


def reload(daemon: Daemon) -> dict[str, Any]:
    with daemon.client() as client:
        return client.reload()


def run(daemon: Daemon, queue: str, payload: object = 1) -> dict[str, Any]:
    with daemon.client() as client:
        return client.wait(client.submit(queue, payload)["id"])


def changed(answer: dict[str, Any]) -> dict[str, Any]:
    """What it says has changed."""
    return {name: what for name, what in answer.items() if what and name != "config"}


def cli(daemon: Daemon, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "supervisor", *words, "--socket", daemon.socket],
        capture_output=True, text=True, check=False, timeout=60,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip


def test_a_file_that_is_as_it_was_changes_nothing(daemon: Daemon) -> None:
    before = pids(daemon, "a")
    assert changed(reload(daemon)) == {}
    assert pids(daemon, "a") == before
    said = cli(daemon, "reload")
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("nothing has changed in ")


def test_a_pool_comes_another_changes_and_the_third_is_not_touched(daemon: Daemon, tmp_path: Path) -> None:
    a, b = pids(daemon, "a"), pids(daemon, "b")
    daemon.configure(
        {
            "a": {"command": ECHO, "size": 2},
            "b": {"command": ECHO, "env": {"COLOUR": "blue"}},
            "c": {"command": ECHO, "queues": ["c", "d"]},
        },
        {"d": {"max_attempts": 7}},
    )
    assert changed(reload(daemon)) == {
        "pools_added": ["c"], "pools_restarted": ["b"], "queues_added": ["d", "c"]
    }  # fmt: skip
    assert pids(daemon, "a") == a
    assert {*pids(daemon, "b")} == {*b}
    assert {*pids(daemon, "b").values()}.isdisjoint(b.values())
    assert run(daemon, "c")["state"] == "done"
    assert run(daemon, "d")["max_attempts"] == 7


def test_a_file_with_mistakes_changes_nothing_and_all_of_them_are_told(daemon: Daemon) -> None:
    before = pids(daemon, "a"), pids(daemon, "b")
    daemon.configure({"a": {"command": ["/no/such/program"], "size": 0}, "c": {"command": ECHO}})
    said = cli(daemon, "reload")
    assert said.returncode == 2
    assert "pools.a.size: found 0" in said.stderr
    assert "pools.a.command: " in said.stderr
    assert (pids(daemon, "a"), pids(daemon, "b")) == before
    with daemon.client() as client:
        assert [pool["pool"] for pool in client.pools()] == ["a", "b"]
    assert [row for row in daemon.log() if row["event"] == "reload_failed"][-1]["reason"].count("pools.a.") == 2


def test_what_only_a_start_can_change_is_refused_with_everything_else(daemon: Daemon) -> None:
    daemon._settings["log_format"] = "console"
    daemon.configure({"a": {"command": ECHO, "size": 5}, "b": {"command": ECHO}})
    said = cli(daemon, "reload")
    assert said.returncode == 1
    assert said.stderr.startswith("stoker: nothing has changed, since daemon.log_format can only change at a start")
    assert len(pids(daemon, "a")) == 2


def test_a_program_that_does_not_come_up_takes_the_whole_reload_back(daemon: Daemon) -> None:
    before = pids(daemon, "a"), pids(daemon, "b")
    daemon.configure(
        {
            "a": {"command": ECHO, "size": 1, "env": {"COLOUR": "blue"}},
            "b": {"command": NO_PROGRAM_OUTPUT, "ready": True},
            "c": {"command": ECHO},
            "d": {"command": NO_PROGRAM_OUTPUT},
        },
        {"a": {"rate": "1/h"}},
    )
    said = cli(daemon, "reload")
    assert said.returncode == 1
    assert 'pool "b"' in said.stderr
    assert 'pool "d"' in said.stderr
    assert "no such module" in said.stderr
    until(lambda: (pids(daemon, "a"), pids(daemon, "b")) == before, "the workers that were tried to go")
    with daemon.client() as client:
        assert [(pool["pool"], pool["max"], pool["generation"]) for pool in client.pools()] == [
            ("a", 2, 1),
            ("b", 1, 1),
        ]
        assert [queue["queue"] for queue in client.queues()] == ["a", "b"]
        with pytest.raises(CallFailed, match="there is no queue"):
            client.submit("c", 1)
    assert [run(daemon, "a")["state"] for _ in range(3)] == ["done"] * 3
    until(lambda: len(daemon.children()) == 3, "what was tried to be gone")


def test_jobs_of_others_run_on_and_those_of_a_removed_pool_end(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    gated = {"command": GATED, "ready": True}
    daemon = Daemon(tmp_path, {"a": gated, "gone": {**gated, "size": 2}})
    daemon.start()
    try:
        a = pids(daemon, "a")
        with daemon.client() as client:
            jobs = [client.submit(queue, {"mb": 1, "gate": gate.path})["id"] for queue in ("a", "gone")]
            waits = [client.submit("gone", {"mb": 1}, delay_secs=1000)["id"]]
            until(lambda: [client.get(job)["state"] for job in jobs] == ["running"] * 2, "both to run")
            busy = next(row["pid"] for row in client.workers("gone") if row["job"])
            daemon.configure({"a": {**gated, "timeout": "5m"}, "new": gated})
            answer = changed(client.reload())
            assert answer == {
                "pools_added": ["new"], "pools_removed": ["gone"], "pools_changed": ["a"],
                "queues_added": ["new"], "queues_removed": ["gone"],
            }  # fmt: skip
            assert [client.get(job)["state"] for job in jobs] == ["running"] * 2
            until(lambda: [row["pid"] for row in client.workers("gone")] == [busy], "the idle worker to go")
            assert client.pools("gone")[0]["state"] == "stopping"
            with pytest.raises(CallFailed, match="there is no queue"):
                client.submit("gone", 1)
            assert client.get(waits[0])["state"] == "pending"
            gate.open()
            ended = [client.wait(job) for job in jobs]
            assert [(job["state"], job["attempt"], job["interruptions"]) for job in ended] == [("done", 1, 0)] * 2
            until(lambda: [pool["pool"] for pool in client.pools()] == ["a", "new"], "the last worker to go")
            assert "gone" in client.status()["unserved"]
        assert pids(daemon, "a") == a
        daemon.configure({"a": gated, "gone": gated})
        assert changed(reload(daemon))["pools_added"] == ["gone"]
        with daemon.client() as client:
            assert client.get(waits[0])["state"] == "pending"
        assert run(daemon, "gone", {"mb": 1})["state"] == "done"
        daemon.stop()
    finally:
        daemon.end()


def test_a_pool_that_comes_back_before_its_last_job_has_ended_is_not_hurt_by_that_end(tmp_path: Path) -> None:
    a, b = {"command": GATED}, {"command": ECHO}
    daemon = Daemon(tmp_path, {"a": a, "b": b})
    daemon.start()
    try:
        with daemon.client() as client, Gate(tmp_path, "old") as old, Gate(tmp_path, "new") as new:
            before = client.submit("a", {"mb": 1, "gate": old.path})["id"]
            until(lambda: client.get(before)["state"] == "running", "the job of the old pool")
            for pools in ({"b": b}, {"a": a, "b": b}):
                daemon.configure(pools)
                reload(daemon)
            after = client.submit("a", {"mb": 1, "gate": new.path})["id"]
            until(lambda: client.get(after)["state"] == "running", "the job of the new pool")
            old.open()
            assert client.wait(before)["attempt"] == 1
            until(lambda: any(row["event"] == "pool_removed" for row in daemon.log()), "the end of the old pool")
            new.open()
            assert (client.wait(after)["state"], client.wait(after)["attempt"]) == ("done", 1)
        daemon.stop()
    finally:
        daemon.end()


def test_the_answer_comes_when_every_worker_is_new(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    pool = {"command": GATED, "ready": True, "size": 2}
    daemon = Daemon(tmp_path, {"a": pool})
    daemon.start()
    try:
        before = pids(daemon, "a")
        with daemon.client() as client, daemon.client() as other:
            job = client.submit("a", {"mb": 1, "gate": gate.path})["id"]
            until(lambda: client.get(job)["state"] == "running", "the job to run")
            daemon.configure({"a": {**pool, "max_jobs": 1000}})
            asked = other.send("reload")
            until(lambda: client.pools("a")[0]["generation"] == 2, "the new configuration to be in force")
            assert client.pools("a")[0]["restarting"]
            again = other.send("reload")  # waits for its turn
            gate.open()
            assert {number: changed(answer) for number, answer in (other.receive(), other.receive())} == {
                asked: {"pools_restarted": ["a"]}, again: {}
            }  # fmt: skip
            assert {*pids(daemon, "a").values()}.isdisjoint(before.values())
            assert client.wait(job)["attempt"] == 1
        daemon.stop()
    finally:
        daemon.end()


def test_a_job_that_keeps_one_pool_from_its_end_keeps_nobody_from_changing_the_others(tmp_path: Path) -> None:
    a: dict[str, Any] = {"command": GATED, "ready": True}
    b = {"command": ECHO}
    daemon = Daemon(tmp_path, {"a": a, "b": b})
    daemon.start()
    try:
        with daemon.client() as client, Gate(tmp_path) as gate:
            job = client.submit("a", {"mb": 1, "gate": gate.path})["id"]
            until(lambda: client.get(job)["state"] == "running", "the job")
            a["timeout"], a["env"] = "5m", {"A": "1"}
            daemon.configure({"a": a, "b": b})
            with subprocess.Popen(
                [sys.executable, "-m", "supervisor", "reload", "--socket", daemon.socket],
                stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
            ) as reloads:  # fmt: skip
                until(lambda: client.pools("a")[0]["generation"] == 2, "the new configuration")
                daemon.configure({"a": a, "b": {**b, "size": 3}})
                assert changed(reload(daemon)) == {"pools_changed": ["b"]}
                assert client.restart("b")["replaced"] == 3
                daemon.configure({"a": a, "b": {**b, "size": -1}})
                with pytest.raises(CallFailed, match=r"pools\.b\.size"):
                    reload(daemon)
                assert reloads.poll() is None
                gate.open()
                said, _ = reloads.communicate(timeout=60)
            assert (reloads.returncode, said) == (0, "pool a restarted with new workers\n")
            assert client.wait(job)["attempt"] == 1
        daemon.stop()
    finally:
        daemon.end()


def test_settings_and_queues_change_without_touching_a_worker(daemon: Daemon) -> None:
    before = pids(daemon, "a"), pids(daemon, "b")
    daemon._settings |= {"drain_timeout": "7s", "log_level": "warning", "max_jobs": 3}
    daemon.configure(
        {"a": {"command": ECHO, "size": 2}, "b": {"command": ECHO}}, {"b": {"max_pending": 1, "rate": "1/h"}}
    )
    assert changed(reload(daemon)) == {
        "queues_changed": ["b"], "settings": ["daemon.drain_timeout", "daemon.log_level", "daemon.max_jobs"]
    }  # fmt: skip
    assert (pids(daemon, "a"), pids(daemon, "b")) == before
    with daemon.client() as client:
        with pytest.raises(CallFailed, match="at most 3"):
            client.call("submit_many", {"jobs": [{"queue": "a", "payload": 1}] * 4})
        client.submit("b", 1)
        with pytest.raises(CallFailed, match="queue b is full"):
            client.submit("b", 1)
        assert client.queues("b")[0]["limited_by"] == "rate"
    events = [row["event"] for row in daemon.log()]
    assert "reloading" in events
    assert "reloaded" not in events  # it is below the level that holds now


def test_a_hang_up_reloads_a_daemon_without_a_terminal(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, {"a": {"command": ECHO}})
    daemon.start(own_session=True)
    try:
        daemon.configure({"a": {"command": ECHO, "size": 3}})
        os.kill(daemon.pid, signal.SIGHUP)
        until(lambda: any(row["event"] == "reloaded" for row in daemon.log()), "the reload")
        until(lambda: len(pids(daemon, "a")) == 3, "three workers")
        daemon.configure({"a": {"command": ECHO, "size": -1}})
        os.kill(daemon.pid, signal.SIGHUP)
        failed = until(lambda: [row for row in daemon.log() if row["event"] == "reload_failed"], "the refusal")
        assert "pools.a.size" in failed[0]["reason"]
        daemon.stop()
    finally:
        daemon.end()


def test_a_resize_outlives_a_reload_that_says_nothing_new_of_the_size(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.resize("a", 3)
        daemon.configure({"a": {"command": ECHO, "size": 2, "timeout": "5m"}, "b": {"command": ECHO}})
        assert changed(client.reload()) == {"pools_changed": ["a"]}
        assert client.pools("a")[0]["max"] == 3
        daemon.configure({"a": {"command": ECHO, "size": 1}, "b": {"command": ECHO}})
        client.reload()
        assert client.pools("a")[0]["max"] == 1


def test_a_file_that_is_a_pipe_is_not_waited_for(daemon: Daemon) -> None:
    daemon._config.unlink()
    os.mkfifo(daemon._config)
    said = cli(daemon, "reload")
    assert (said.returncode, "is not a regular file" in said.stderr) == (2, True)
    daemon.stop()


def test_a_stop_ends_the_trial_of_a_new_pool_and_the_answer_says_so(daemon: Daemon) -> None:
    late = {"command": command("never_ready"), "ready": True}
    daemon.configure({"a": {"command": ECHO, "size": 2}, "b": {"command": ECHO}, "late": late})
    with subprocess.Popen(
        [sys.executable, "-m", "supervisor", "reload", "--socket", daemon.socket],
        stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    ) as reloads:  # fmt: skip
        until(lambda: any(row.get("pool") == "late" for row in daemon.log()), "the trial")
        daemon.stop()
        _, said = reloads.communicate(timeout=60)
    assert (reloads.returncode, said) == (1, "stoker: nothing has changed, since the daemon stops or drains\n")


def test_a_draining_daemon_reads_nothing(daemon: Daemon) -> None:
    with daemon.client() as client:
        client.drain()
        with pytest.raises(CallFailed, match="the next start goes by the file"):
            client.reload()


def test_the_command_shows_what_has_changed_in_words_and_in_json(daemon: Daemon) -> None:
    daemon.configure({"a": {"command": ECHO, "size": 1}, "new": {"command": ECHO}})
    said = cli(daemon, "reload")
    assert said.stdout.splitlines() == [
        "pool new added",
        "pool b removed: what runs there ends",
        "pool a changed",
        "queue new added",
        "queue b removed: jobs that are there stay",
    ]
    answer = json.loads(cli(daemon, "reload", "--json").stdout)
    assert answer.pop("config").endswith("/stoker.toml")
    assert {*map(len, answer.values())} == {0}
