"""Backups of a daemon at work: what is in them, what becomes of them, and what a crash leaves."""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import apsw
import pytest

from protocol.client import CallFailed, Client
from tests.e2e.conftest import Start
from tests.e2e.daemon import Daemon, until
from tests.workers import command

POOLS = {"p": {"command": command("marker"), "size": 3, "queues": ["q"]}}
QUEUES = {"q": {"backoff": ["50ms"]}, "waiting": {}}


def stoker(*arguments: object, code: int = 0) -> str:
    argv = [sys.executable, "-m", "supervisor", *map(str, arguments)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def back_up(daemon: Daemon, file: Path, *options: str) -> str:
    return stoker("backup", file, "-c", daemon._config, *options)


class Load:
    """A client that submits, retries and deletes without a pause; `accepted` are the ids of what it was told is there,
    in order."""

    def __init__(self, daemon: Daemon) -> None:
        self.accepted: list[str] = []
        self._daemon = daemon
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> "Load":
        self._thread.start()
        until(lambda: len(self.accepted) > 200 or self._error, "some load")
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        chance = random.Random(1)
        try:
            with self._daemon.client() as client:
                for number in itertools.count():
                    if self._over.is_set():
                        return
                    self._submit(client, number, chance)
        except BaseException as error:
            self._error = error

    def _submit(self, client: Client, number: int, chance: random.Random) -> None:
        payloads = [{"fails": chance.choice([0, 0, 0, 1, 9])} for _ in range(chance.randint(1, 30))]
        jobs = [{"queue": "q", "payload": one, "max_attempts": 2} for one in payloads]
        self.accepted += [job["id"] for job in client.submit_many(jobs)]
        if number % 10 == 0:
            client.retry_many(queue="q", state="failed")
        time.sleep(0.002)  # or the queue would only grow


def job_rows(file: Path) -> dict[str, int]:
    connection = apsw.Connection(f"file:{file}?immutable=1", flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    try:
        return dict(connection.execute("SELECT id, state FROM jobs JOIN states USING (seq)").fetchall())
    finally:
        connection.close()


def marks(daemon: Daemon) -> list[list[str]]:
    return [row.split() for row in daemon.side_file.read_text().splitlines()] if daemon.side_file.exists() else []


@pytest.mark.parametrize("number_of_copies", [1, pytest.param(6, marks=pytest.mark.long)])
def test_each_copy_of_a_busy_store_is_whole_and_runs_to_its_end_from_there(
    start: Start, tmp_path: Path, number_of_copies: int
) -> None:
    """Every job that was accepted before the backup began is in it, none is half there, and in a daemon of its own
    each that had not ended then runs, and ends once."""
    daemon = start(POOLS, QUEUES)
    copies = []
    with Load(daemon) as load:
        for number in range(number_of_copies):
            before = len(load.accepted)
            file = tmp_path / f"copy{number}"
            back_up(daemon, file)
            copies.append((file, load.accepted[:before], set(load.accepted)))
            until(lambda before=before: len(load.accepted) > before + 100, "more load")  # type: ignore[misc]
        everything = load.accepted
    for file, before, _ in copies:
        stoker("restore", "--check", file)
        rows = job_rows(file)
        assert set(before) <= set(rows) <= set(everything)
        restored = start(POOLS, QUEUES)
        restored.stop()
        stoker("restore", file, "-c", restored._config)
        restored.start()
        unfinished = {job for job, state in rows.items() if state <= 3}
        with restored.client() as client:
            jobs = {job["id"]: job for job in client.wait_all(sorted(unfinished))}
            totals = client.queues("q")[0]
        assert {job["state"] for job in jobs.values()} <= {"done", "failed"}
        assert totals["done"] + totals["failed"] == len(rows)
        ran = marks(restored)
        assert {job for _, job, *_ in ran} <= unfinished  # what had ended does not run again
        attempts = [(job, attempt) for what, job, attempt, *_ in ran if what == "begin"]
        assert len(attempts) == len(set(attempts))
        restored.stop()


def fill(daemon: Daemon, megabytes: int) -> None:
    with daemon.client() as client:
        for _ in range(megabytes):
            client.submit_many([{"queue": "waiting", "payload": os.urandom(5000).hex()} for _ in range(100)])


def test_submits_go_on_beside_a_backup(start: Start, tmp_path: Path) -> None:
    """No wait for the copy as a whole, which takes hundreds of milliseconds: only for its steps."""
    daemon = start(POOLS, QUEUES)
    fill(daemon, 40)
    took: list[float] = []
    argv = [sys.executable, "-m", "supervisor", "backup", str(tmp_path / "copy"), "-c", str(daemon._config)]
    with daemon.client() as client, subprocess.Popen(argv, stdout=subprocess.DEVNULL) as backup:
        while backup.poll() is None:
            began = time.perf_counter()
            client.submit("q", {})
            took.append(time.perf_counter() - began)
    assert backup.returncode == 0
    assert len(took) > 50
    took.sort()
    print(f"{len(took)} submits, median {took[len(took) // 2] * 1e3:.1f} ms, longest {took[-1] * 1e3:.1f} ms")
    assert took[len(took) * 9 // 10] < 0.1


def slow_client(daemon: Daemon) -> Client:
    """One in the middle of a backup, who takes nothing more of it."""
    client = daemon.client()
    stream = client.backup()
    while next(stream)[0] != "chunk":
        pass
    return client


def leftovers(daemon: Daemon) -> list[str]:
    return [name for name in os.listdir(daemon.state) if "snapshot" in name]


def test_a_killed_client_leaves_nothing_and_the_next_one_gets_its_backup(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, QUEUES)
    fill(daemon, 5)
    client = slow_client(daemon)
    assert leftovers(daemon) == ["stoker.db.snapshot"]
    with daemon.client() as other, pytest.raises(CallFailed, match="being made already"):
        other.call("backup")
    assert "being made already" in stoker("backup", tmp_path / "copy", "-c", daemon._config, code=1)
    assert os.listdir(tmp_path) == ["daemon0"]
    client.close()
    until(lambda: not leftovers(daemon), "the end of the copy")
    back_up(daemon, tmp_path / "copy")


def test_a_stop_does_not_wait_for_a_backup(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, QUEUES)
    fill(daemon, 5)
    client = slow_client(daemon)
    daemon.stop()
    assert leftovers(daemon) == []
    client.close()


def test_a_killed_command_leaves_a_file_that_the_next_one_uses(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, QUEUES)
    fill(daemon, 25)
    argv = [sys.executable, "-m", "supervisor", "backup", str(tmp_path / "copy"), "-c", str(daemon._config)]
    part = tmp_path / "copy.part"
    with subprocess.Popen(argv) as backup:
        until(lambda: part.exists() and part.stat().st_size, "its first bytes")
        assert "another command writes" in stoker("backup", tmp_path / "copy", "-c", daemon._config, code=1)
        backup.send_signal(signal.SIGKILL)
    until(lambda: not leftovers(daemon), "the end of the copy")
    assert part.exists()
    back_up(daemon, tmp_path / "copy")
    assert not part.exists()


def test_a_daemon_killed_in_the_middle_leaves_nothing_after_its_next_start(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, QUEUES)
    fill(daemon, 25)
    argv = [sys.executable, "-m", "supervisor", "backup", str(tmp_path / "copy"), "-c", str(daemon._config)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as backup:
        until(lambda: leftovers(daemon), "the copy's beginning")
        daemon.kill()
        _, words = backup.communicate(timeout=60)
    assert backup.returncode in (1, 3)
    assert "the daemon went away" in words
    assert not (tmp_path / "copy").exists()
    assert not (tmp_path / "copy.part").exists()
    daemon.start()
    assert leftovers(daemon) == []
    back_up(daemon, tmp_path / "copy")
    assert len(job_rows(tmp_path / "copy")) == 2500


def test_who_followed_the_journal_of_a_restored_store_is_told_of_the_gap(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, QUEUES)
    with daemon.client() as client:
        client.wait(client.submit("q", {})["id"])
        back_up(daemon, tmp_path / "copy")
        for _ in range(5):
            client.wait(client.submit("q", {})["id"])
        last = client.events(last=1)["next"]
    daemon.stop()
    stoker("restore", tmp_path / "copy", "-c", daemon._config)
    daemon.start()
    with daemon.client() as client:
        for _ in range(10):
            client.wait(client.submit("q", {})["id"])
        with pytest.raises(CallFailed) as gone:
            client.events(since=last)
        assert gone.value.code == "gone"


def test_without_a_daemon_the_copy_is_made_of_its_file(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, QUEUES)
    fill(daemon, 1)
    daemon.stop()
    assert "without a daemon" in back_up(daemon, tmp_path / "copy")
    assert leftovers(daemon) == []
    assert len(job_rows(tmp_path / "copy")) == 100
    daemon.start()
    assert "stop it before you restore" in stoker("restore", tmp_path / "copy", "-c", daemon._config, code=1)
    nowhere = ("--socket", tmp_path / "nosuch")
    words = stoker("backup", tmp_path / "other", "-c", daemon._config, *nowhere, code=1)
    assert "or let it answer: it does not at its socket" in words
