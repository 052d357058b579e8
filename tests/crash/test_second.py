"""A second daemon where one is at work: it is refused in words, and the first goes on as if nothing had been."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.conftest import Build
from tests.crash.house import PATIENCE, Daemon, House, until
from tests.crash.test_stop import run_gated
from tests.workers import Gate, wrapped

POOLS = {"q": {"command": wrapped("marker"), "size": 2}}
PROCESSES = 4  # each worker and the shell around it


def same(build: Build, first: House) -> Daemon:
    return first.start()


def same_state_dir(build: Build, first: House) -> Daemon:
    return build(POOLS, "second", daemon={"state_dir": str(first.state_dir)}).start()


def same_state_dir_other_store(build: Build, first: House) -> Daemon:
    return build(POOLS, "second", daemon={"state_dir": str(first.state_dir)}, store={"url": "sqlite:other.db"}).start()


def same_socket(build: Build, first: House) -> Daemon:
    return build(POOLS, "second", daemon={"socket": str(first.socket)}).start()


@pytest.mark.parametrize(
    ("start", "complaint"),
    [
        (same, "stoker: {state}/stoker.db is in use by another stoker daemon (pid {pid} on "),
        (same_state_dir, "stoker: {state}/stoker.db is in use by another stoker daemon (pid {pid} on "),
        (same_state_dir_other_store, "stoker: {state}/children is in use by another stoker daemon (pid {pid} on "),
        (same_socket, "stoker: another stoker (pid {pid}) is serving {socket}: stop it first, "),
    ],
)
def test_a_second_daemon_is_refused_and_the_first_unharmed(
    build: Build, tmp_path: Path, start: Callable[[Build, House], Daemon], complaint: str
) -> None:
    house = build(POOLS)
    first = house.started()
    with Gate(tmp_path) as gate, house.client() as client:
        job_id = run_gated(first, client, gate)
        # One worker has the job; the other may be still on its way.
        until(lambda: len(first.processes()) == PROCESSES, "the other worker")
        workers, records = first.processes(), house.records()
        second = start(build, house)
        assert second.exit_code() == 2
        expected = complaint.format(state=house.state_dir, socket=house.socket, pid=first.pid)
        assert second.log().startswith(expected)
        assert second.log().count("\n") == 1
        assert second.processes() == []
        assert sorted(first.processes()) == sorted(workers)
        assert sorted(house.records()) == sorted(records)
        assert first.is_up()
        gate.open()
        ended = client.wait(job_id, PATIENCE)
    assert (ended["state"], ended["attempt"], ended["interruptions"]) == ("done", 1, 0)
