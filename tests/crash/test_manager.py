"""What the real daemon tells a service manager, and when."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.conftest import Build
from tests.crash.house import PATIENCE, House
from tests.workers import Gate, command


class Manager:
    """Listens in systemd's place."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE)

    def next(self, word: str) -> list[str]:
        """The lines of the next message that has this one; TimeoutError if none comes."""
        while word not in (lines := self._socket.recv(65536).decode().split("\n")):
            pass
        return lines

    def rest(self) -> list[str]:
        """Every line that has arrived since."""
        self._socket.setblocking(False)
        found: list[str] = []
        while True:
            try:
                found += self._socket.recv(65536).decode().split("\n")
            except BlockingIOError:
                return found

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    yield made
    made.close()


def environ(manager: Manager, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(manager.path), **more}


def stop(house: House) -> None:
    house.daemons[-1].signal(signal.SIGTERM)
    assert house.daemons[-1].exit_code() == 0


def test_ready_comes_when_clients_are_answered_and_stopping_when_the_stop_begins(
    build: Build, manager: Manager, tmp_path: Path
) -> None:
    house = build({"q": {"command": command("marker")}}, daemon={"drain_timeout": "1h"})
    daemon = house.start(env=environ(manager))
    assert manager.next("READY=1")[1].startswith("STATUS=1 pool, 1/1 workers")
    with Gate(tmp_path) as gate, house.client() as client:
        client.submit("q", {"gate": gate.path})
        daemon.signal(signal.SIGTERM)
        manager.next("STOPPING=1")
        assert client.status()["state"] in ("draining", "drained")
        gate.open()
        assert daemon.exit_code() == 0
    assert "READY=1" not in manager.rest()


def test_a_pool_without_a_worker_that_works_does_not_keep_the_daemon_from_being_ready(
    build: Build, manager: Manager
) -> None:
    pools = {"broken": {"command": command("boots_badly")}, "q": {"command": command("echo")}}
    house = build(pools)
    house.start(env=environ(manager))
    manager.next("READY=1")
    with house.client() as client:
        assert client.wait(client.submit("q", 1)["id"], PATIENCE)["state"] == "done"
    stop(house)


def test_the_watchdog_is_fed_while_the_daemon_is_well(build: Build, manager: Manager) -> None:
    house = build({"q": {"command": command("echo")}})
    house.start(env=environ(manager, WATCHDOG_USEC="100000"))
    manager.next("READY=1")
    for _ in range(3):
        manager.next("WATCHDOG=1")
    stop(house)


def test_no_worker_hears_of_the_manager(build: Build, manager: Manager) -> None:
    house = build({"q": {"command": command("surroundings")}})
    house.start(env=environ(manager, WATCHDOG_USEC="30000000", LISTEN_FDNAMES="stoker", LISTEN_FDS="1", LISTEN_PID="1"))
    manager.next("READY=1")
    with house.client() as client:
        seen = client.wait(client.submit("q", None)["id"], PATIENCE)["result"]
    inherited = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}
    assert not inherited & set(seen["env"])
    assert sorted(seen["fds"]) == ["0", "1", "2"]
    assert seen["ppid"] == house.daemons[-1].pid
    assert seen["pid"] == seen["session"] != os.getsid(0)
    stop(house)
