"""Clients as they come: gone too soon, rude, slow. What they do concerns nobody else."""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Start
from tests.e2e.daemon import PATIENCE, Daemon, until
from tests.workers import Gate, command

ECHO = {"q": {"command": command("echo"), "size": 2}}
MEGABYTE = 1_000_000


def request(number: int, method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


def answers(connection: socket.socket) -> Iterator[dict[str, Any]]:
    """Until the daemon closes."""
    with connection.makefile("rb") as file:
        for line in file:
            yield json.loads(line)


def test_a_client_that_says_it_asks_no_more_gets_all_its_answers(start: Start, tmp_path: Path) -> None:
    """`echo … | nc -U` ends its input at once."""
    daemon = start({"q": {"command": command("marker")}})
    with Gate(tmp_path) as gate, daemon.client() as client, daemon.connect() as connection:
        job_id = client.submit("q", {"gate": gate.path})["id"]
        connection.sendall(
            request(1, "wait", id=job_id)
            + request(2, "submit", queue="q", payload=7)
            + request(3, "ping").rstrip(b"\n")
        )
        connection.shutdown(socket.SHUT_WR)
        arriving = answers(connection)
        assert {next(arriving)["id"], next(arriving)["id"]} == {2, 3}
        gate.open()  # the wait is owed still
        last = next(arriving)
        assert (last["id"], last["result"]["state"]) == (1, "done")
        assert next(arriving, None) is None


def test_the_wait_of_a_client_that_has_gone_is_dropped(start: Start, tmp_path: Path) -> None:
    daemon = start({"q": {"command": command("marker")}})
    with Gate(tmp_path) as gate, daemon.client() as client:
        job_id = client.submit("q", {"gate": gate.path})["id"]
        until(lambda: client.get(job_id)["state"] == "running", "the job's start")
        descriptors = daemon.descriptors()
        for _ in range(20):
            leaver = daemon.client()
            leaver.send("wait", {"id": job_id})
            leaver.send("drop me", {})
            with pytest.raises(Exception, match="no method"):
                leaver.receive()  # by now the wait is under way
            leaver.close()
        until(lambda: client.status()["connections"] == 1, "the others' end")
        until(lambda: daemon.descriptors() <= descriptors, "the descriptors it had before")
        gate.open()
        assert client.wait(job_id)["state"] == "done"


def garbage(daemon: Daemon, over: threading.Event) -> None:
    while not over.is_set():
        with daemon.connect() as connection:
            connection.sendall(b"\x00\xff{{{[[[\n" * 100 + b"[" * 5000 + b"\n{}\nnull\n")
            connection.shutdown(socket.SHUT_WR)
            assert len(list(answers(connection))) == 103


def a_line_without_end(daemon: Daemon, over: threading.Event) -> None:
    while not over.is_set():
        with daemon.connect() as connection:
            for _ in range(20):
                connection.sendall(b"x" * MEGABYTE)


def half_a_request(daemon: Daemon, over: threading.Event) -> None:
    connections = [daemon.connect() for _ in range(20)]
    for connection in connections:
        connection.sendall(request(1, "submit", queue="q", payload="z" * 1000)[:-500])
    over.wait()
    for connection in connections:
        connection.close()


def never_reads(daemon: Daemon, over: threading.Event) -> None:
    """Asks and asks, and takes no answer: it is the first to be stopped by it."""
    with daemon.connect() as connection:
        connection.setblocking(False)
        while not over.is_set():
            try:
                connection.send(request(1, "list", full=True, limit=200) * 100)
            except BlockingIOError:
                over.wait(0.01)


def hangs_up(daemon: Daemon, over: threading.Event) -> None:
    """Without a goodbye: the daemon's next write finds the connection reset."""
    while not over.is_set():
        with daemon.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(request(1, "status") * 10)


def comes_and_goes(daemon: Daemon, over: threading.Event) -> None:
    while not over.is_set():
        connections = [daemon.connect() for _ in range(50)]
        for connection in connections:
            connection.close()


RUDE: list[Callable[[Daemon, threading.Event], None]] = [
    garbage,
    a_line_without_end,
    half_a_request,
    never_reads,
    hangs_up,
    comes_and_goes,
]


@pytest.mark.parametrize("rude", RUDE, ids=lambda one: one.__name__)
def test_a_bad_client_disturbs_nobody_else(start: Start, rude: Callable[[Daemon, threading.Event], None]) -> None:
    daemon = start(ECHO)
    over = threading.Event()
    trouble: list[BaseException] = []

    def be_rude() -> None:
        try:
            rude(daemon, over)
        except BaseException as error:
            trouble.append(error)

    with daemon.client() as client:
        client.wait_all([job["id"] for job in client.submit_many([{"queue": "q", "payload": "x" * 10_000}] * 200)])
        memory, descriptors = daemon.memory(), daemon.descriptors()
        bad = threading.Thread(target=be_rude)
        bad.start()
        ends = time.monotonic() + 0.7
        rounds, longest = 0, 0.0
        while time.monotonic() < ends or rounds < 20:
            began = time.monotonic()
            job = client.submit("q", rounds)
            assert client.wait(job["id"])["result"] == rounds
            longest = max(longest, time.monotonic() - began)
            rounds += 1
            assert time.monotonic() < ends + PATIENCE
        over.set()
        bad.join()
        assert trouble == []
        assert longest < 5.0  # nobody is starved; how fast it is depends on the machine
        until(lambda: client.status()["connections"] == 1, "the bad client's end")
        until(lambda: daemon.descriptors() <= descriptors, "the descriptors it had before")
        assert daemon.memory() < memory + 64 * MEGABYTE
