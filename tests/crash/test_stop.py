"""Stop signals, and the real daemon that gets them: what runs may end, the rest goes back, nobody is left behind."""

import signal
from pathlib import Path

import pytest

from protocol.client import Client
from supervisor.core.job import Job, State
from tests.crash.conftest import Build
from tests.crash.history import read_disk
from tests.crash.house import PATIENCE, Daemon, House, until
from tests.workers import Gate, command, wrapped

KINDS = {"plain": command("marker"), "wrapped": wrapped("marker")}
NEVER = {"drain_timeout": "1h"}
both_kinds = pytest.mark.parametrize("kind", KINDS)


def on_disk(house: House, job_id: str) -> Job:
    return read_disk(house.state_dir, house.folder / "copy")[job_id]


def begun(daemon: Daemon, job_id: str) -> None:
    until(lambda: any(mark.id == job_id for mark in daemon.marks()), "the job's worker")


def run_gated(daemon: Daemon, client: Client, gate: Gate) -> str:
    """A job that runs until the gate is opened."""
    job_id: str = client.submit("q", {"gate": gate.path})["id"]
    begun(daemon, job_id)
    return job_id


def drain(daemon: Daemon, client: Client, number: signal.Signals = signal.SIGTERM) -> None:
    daemon.signal(number)
    until(lambda: client.status()["state"] == "draining", "the drain")


def assert_ended_in_order(house: House, daemon: Daemon) -> None:
    assert daemon.exit_code() == 0, daemon.log()
    assert daemon.events("stopped")
    assert house.processes() == []
    assert house.records() == []
    assert not house.socket.exists()


@pytest.mark.parametrize(
    ("kind", "number"),
    [("plain", signal.SIGTERM), ("plain", signal.SIGINT), ("wrapped", signal.SIGTERM)],
)
def test_a_running_job_ends_is_on_disk_and_its_waiter_answered_before_the_exit(
    build: Build, tmp_path: Path, kind: str, number: signal.Signals
) -> None:
    house = build({"q": {"command": KINDS[kind]}}, daemon=NEVER)
    daemon = house.started()
    with Gate(tmp_path) as gate, house.client() as client:
        job_id = run_gated(daemon, client, gate)
        client.send("wait", {"id": job_id})
        drain(daemon, client, number)
        assert daemon.process.poll() is None
        gate.open()
        _, ended = client.receive(PATIENCE)
    assert (ended["state"], ended["attempt"]) == ("done", 1)
    assert_ended_in_order(house, daemon)
    assert on_disk(house, job_id).state is State.DONE
    assert not daemon.events("drain_incomplete")


@both_kinds
@pytest.mark.provokes("daemon stops", program="marker.py")
def test_what_outlasts_the_drain_goes_back_uncharged_and_runs_after_the_next_start(
    build: Build, tmp_path: Path, kind: str
) -> None:
    house = build({"q": {"command": KINDS[kind]}}, daemon={"drain_timeout": "50ms"})
    daemon = house.started()
    with Gate(tmp_path) as gate:
        with house.client() as client:
            job_id = run_gated(daemon, client, gate)
            daemon.signal(signal.SIGTERM)
        assert_ended_in_order(house, daemon)
        [incomplete] = daemon.events("drain_incomplete")
        assert incomplete["releasing"] == [job_id]
        left = on_disk(house, job_id)
        assert (left.state, left.attempt) == (State.PENDING, 1)
        assert (left.charged, left.crashes, left.interruptions, left.attempts) == (0, 0, 0, ())
        gate.open()
        again = house.started()
        with house.client() as client:
            ended = client.wait(job_id, PATIENCE)
    assert (ended["state"], ended["attempt"], ended["interruptions"]) == ("done", 2, 0)
    assert [(mark.event, mark.attempt) for mark in daemon.marks()] == [("begin", 1)]
    assert [(mark.event, mark.attempt) for mark in again.marks()] == [("begin", 2), ("end", 2)]
    again.signal(signal.SIGTERM)
    assert_ended_in_order(house, again)


def test_a_second_signal_does_not_wait_for_the_drain(build: Build, tmp_path: Path) -> None:
    house = build({"q": {"command": KINDS["plain"]}}, daemon=NEVER)
    daemon = house.started()
    with Gate(tmp_path) as gate, house.client() as client:
        job_id = run_gated(daemon, client, gate)
        drain(daemon, client)
        daemon.signal(signal.SIGTERM)
        assert_ended_in_order(house, daemon)
    assert daemon.events("stopping_now")
    assert on_disk(house, job_id).state is State.PENDING


def test_a_drain_timeout_of_nothing_gives_everything_back_at_once(build: Build, tmp_path: Path) -> None:
    house = build({"q": {"command": KINDS["plain"]}}, daemon={"drain_timeout": "0s"})
    daemon = house.started()
    with Gate(tmp_path) as gate, house.client() as client:
        job_id = run_gated(daemon, client, gate)
        daemon.signal(signal.SIGTERM)
        assert_ended_in_order(house, daemon)
    assert on_disk(house, job_id).state is State.PENDING


def test_what_is_submitted_while_draining_is_kept_and_runs_after_the_next_start(build: Build, tmp_path: Path) -> None:
    house = build({"q": {"command": KINDS["plain"], "size": 2}}, daemon=NEVER)
    daemon = house.started()
    with Gate(tmp_path) as gate, house.client() as client:
        running = run_gated(daemon, client, gate)
        drain(daemon, client)
        late = [
            client.submit("q", None)["id"],
            *(row["id"] for row in client.submit_many([{"queue": "q", "payload": None}] * 2)),
        ]
        assert {client.get(job_id)["state"] for job_id in late} == {"pending"}
        gate.open()
        assert client.wait(running, PATIENCE)["state"] == "done"
    assert_ended_in_order(house, daemon)
    assert {mark.id for mark in daemon.marks()} == {running}
    house.started()
    with house.client() as client:
        ended = client.wait_all(late, PATIENCE)
    assert [(job["state"], job["attempt"]) for job in ended] == [("done", 1)] * 3


@both_kinds
def test_cancel_works_while_draining_and_may_end_the_drain(build: Build, tmp_path: Path, kind: str) -> None:
    house = build({"q": {"command": KINDS[kind]}}, daemon=NEVER)
    daemon = house.started()
    with Gate(tmp_path) as gate, house.client() as client:
        running = run_gated(daemon, client, gate)
        waiting = client.submit("q", None)["id"]
        drain(daemon, client)
        assert client.cancel(waiting)["state"] == "cancelled"
        assert client.cancel(running)["state"] == "cancelled"
    assert_ended_in_order(house, daemon)
    assert on_disk(house, waiting).state is on_disk(house, running).state is State.CANCELLED


def test_a_daemon_that_was_drained_already_stops_at_once(build: Build) -> None:
    house = build({"q": {"command": KINDS["plain"]}}, daemon=NEVER)
    daemon = house.started()
    with house.client() as client:
        client.drain()
        waiting = client.submit("q", None)["id"]
        assert client.status()["state"] == "drained"
        daemon.signal(signal.SIGTERM)
        assert_ended_in_order(house, daemon)
    assert on_disk(house, waiting).state is State.PENDING


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(command("echo"), id="leaves when asked"),
        pytest.param(wrapped("echo"), id="leaves when asked, wrapped"),
        pytest.param(command("never_reads"), id="needs SIGTERM"),
        pytest.param(["sh", "-c", "trap '' TERM; while :; do sleep 300; done"], id="needs SIGKILL"),
        pytest.param(["sh", "-c", "trap '' TERM; sleep 300; true"], id="needs SIGKILL, wrapped"),
        pytest.param(command("boots_badly"), id="is not there: the pool waits to try again"),
    ],
)
def test_idle_workers_are_gone_after_the_stop_however_they_take_it(build: Build, argv: list[str]) -> None:
    house = build({"q": {"command": argv, "size": 2, "kill_grace": "50ms"}}, daemon=NEVER)
    daemon = house.started()
    until(lambda: daemon.events("ready"), "both workers")
    daemon.signal(signal.SIGTERM)
    assert_ended_in_order(house, daemon)


@pytest.mark.parametrize("moment", ["previous ended", "recovering", "recovered"])
def test_a_stop_during_the_start_is_a_stop(build: Build, moment: str) -> None:
    house = build({"q": {"command": KINDS["plain"], "size": 2}}, daemon=NEVER)
    daemon = house.start_until(moment, 1, signal.SIGTERM)
    assert_ended_in_order(house, daemon)
    assert daemon.has_struck()


def test_each_living_worker_is_on_record_and_a_replaced_one_is_not(build: Build) -> None:
    house = build({"q": {"command": command("recycle_me"), "size": 2}})
    daemon = house.started()
    with house.client() as client:
        for job in client.submit_many([{"queue": "q", "payload": None}] * 6):
            client.wait(job["id"], PATIENCE)
        until(lambda: [one["state"] for one in client.workers()] == ["idle"] * 2, "the last one's successor")
        pids = {str(one["pid"]) for one in client.workers()}
        until(lambda: {name.split(".")[0] for name in house.records()} == pids, "the record of exactly these")
    daemon.signal(signal.SIGTERM)
    assert_ended_in_order(house, daemon)


def test_a_process_that_left_its_workers_session_is_ended_by_the_next_start(build: Build, tmp_path: Path) -> None:
    house = build({"q": {"command": command("forks_grandchild")}})
    daemon = house.started()
    pid_file = tmp_path / "pid"
    with house.client() as client:
        job_id = client.submit("q", {"pid_file": str(pid_file), "session": True, "deaf": True, "then": "answer"})["id"]
        assert client.wait(job_id, PATIENCE)["state"] == "done"
    daemon.process.kill()
    assert daemon.exit_code() == -signal.SIGKILL
    until(lambda: daemon.processes() == [int(pid_file.read_text())], "the grandchild to be the last one left")
    again = house.started()
    assert daemon.processes() == []
    assert again.events("starting")[0]["processes_ended"] == 1
