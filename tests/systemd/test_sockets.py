"""What systemd's sockets are to stoker's clients: several of them, crowds at them, and a daemon that does not start."""

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest

from protocol.client import Client, ClientTimeout
from tests.crash.house import until
from tests.systemd.service import STOKER, Service, service

PATIENCE = 60.0  # seconds; a test that needs them has failed
POOLS: dict[str, Any] = {"echo": {"command": ["sh", "-c", 'while read -r job; do echo \'{"status":"ok"}\'; done']}}
LOOK = """
[Socket]
ListenStream=/run/stoker-look.sock
ListenStream=/run/stoker-look-too.sock
FileDescriptorName=look
Service=stoker.service
SocketMode=0666
"""
CONFIG = Path("etc/stoker/stoker.toml")


def client(stoker: Service, name: str = "stoker", timeout: float = PATIENCE) -> Client:
    return Client(str(stoker.box.root / f"run/{name}.sock"), timeout=timeout)


def starts(stoker: Service) -> int:
    return stoker.box.journal().count("Starting stoker.service")


def test_a_socket_that_is_added_later_is_served_after_a_restart_for_what_it_is() -> None:
    with service(POOLS) as stoker:
        stoker.systemctl("start")
        stoker.box.write("/etc/systemd/system/stoker-look.socket", LOOK)
        stoker.box.write("/etc/systemd/system/stoker.service.d/look.conf", "[Service]\nSockets=stoker-look.socket\n")
        stoker.box.run("systemctl", "daemon-reload")
        stoker.systemctl("restart")
        for name in ("stoker", "stoker-look", "stoker-look-too"):
            with client(stoker, name) as one:
                assert one.ping()
        start = [line for line in stoker.log() if line["event"] == "starting"][-1]
    assert start["socket"] == "/run/stoker.sock"
    assert start["sockets"] == {
        "/run/stoker.sock": "admin",
        "/run/stoker-look.sock": "look",
        "/run/stoker-look-too.sock": "look",
    }


def test_any_of_the_sockets_starts_the_service() -> None:
    with service(POOLS, more={"stoker-look.socket": LOOK}) as stoker:
        stoker.box.run("systemctl", "start", "stoker-look.socket")
        with client(stoker, "stoker-look") as one:
            assert one.ping()


def test_a_socket_that_cannot_be_served_is_named_and_nothing_starts() -> None:
    datagrams = LOOK.replace("ListenStream=/run/stoker-look-too.sock", "ListenDatagram=/run/stoker-other.sock")
    with service(POOLS, more={"stoker-look.socket": datagrams}) as stoker:
        stoker.box.run("systemctl", "start", "stoker-look.socket")
        stoker.box.run("systemctl", "start", "stoker.service", check=False)
        assert "write ListenStream=/PATH in place of ListenDatagram=" in stoker.box.journal()
        assert stoker.property("ExecMainStatus") == "2"


def test_two_thousand_clients_wait_at_the_socket_while_there_is_no_daemon() -> None:
    with service(POOLS, daemon={"max_connections": 3000}) as stoker, contextlib.ExitStack() as crowd:
        stoker.box.run("mv", STOKER, f"{STOKER}.away")
        waiting = [crowd.enter_context(client(stoker)) for _ in range(2000)]
        sent = [one.send("ping") for one in waiting]
        stoker.box.run("mv", f"{STOKER}.away", STOKER)
        assert [one.receive(PATIENCE)[0] for one in waiting] == sent


@pytest.mark.long
@pytest.mark.parametrize("trouble", ["wrong configuration", "no configuration", "no program"])
def test_a_daemon_that_does_not_start_is_tried_again_at_leisure_and_nobody_is_refused(trouble: str) -> None:
    seconds = 6.0
    file = f"/{CONFIG}" if "configuration" in trouble else STOKER
    with service(POOLS) as stoker:
        good = (stoker.box.root / file.lstrip("/")).read_text()
        stoker.box.run("rm", file)
        if trouble == "wrong configuration":
            stoker.box.write(file, "wrong = [")
        began = time.monotonic()
        with client(stoker) as waiting:
            request = waiting.send("ping")
            while time.monotonic() < began + seconds:
                with client(stoker, timeout=1.0) as another, pytest.raises(ClientTimeout):
                    another.ping()
            tries = starts(stoker)
            assert 2 <= tries <= time.monotonic() - began + 1
            stoker.box.write(f"{file}.new", good)
            stoker.box.run("chmod", "755", f"{file}.new")
            stoker.box.run("mv", f"{file}.new", file)
            assert waiting.receive(PATIENCE)[0] == request
        until(lambda: stoker.property("ActiveState") == "active", "it serves")
        assert stoker.box.run("systemctl", "is-active", "stoker.socket").strip() == "active"
