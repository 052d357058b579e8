"""Batches through the socket of a real daemon: in by any way, out record by record."""

import io
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from protocol.client import CallFailed, Client
from tests.e2e.conftest import Start
from tests.e2e.daemon import PATIENCE, Daemon, until
from tests.e2e.test_access import ask
from tests.workers import Gate, command

POOLS = {"echo": {"command": command("echo"), "size": 2}}
LINES = b'{"custom_id":"a","n":1.50}\n\n[2]\nno json\n"last"'
ALICE = 61001


@pytest.fixture
def daemon(start: Start) -> Daemon:
    return start(POOLS)


def finished(client: Client, batch: dict[str, Any]) -> dict[str, Any]:
    return until(lambda: (now := client.batch_get(batch["id"]))["finished_at"] and now, "the batch's end")


def records(client: Client, batch: dict[str, Any], file: str = "output", **options: Any) -> dict[int, Any]:
    return {record["line"]: record for _, record in client.batch_output(batch["id"], file, **options)}


def written(batch: dict[str, Any], file: str) -> list[Any]:
    return [json.loads(row) for row in Path(batch["folder"], f"{file}.jsonl").read_bytes().splitlines()]


@pytest.mark.parametrize("way", ["bytes", "pieces", "file", "pipe", "path"])
def test_a_file_goes_in_and_its_records_come_out(daemon: Daemon, tmp_path: Path, way: str) -> None:
    (tmp_path / "in.jsonl").write_bytes(LINES)
    with daemon.client() as client:
        if way == "path":
            batch = client.batch_submit("echo", path=str(tmp_path / "in.jsonl"), name="april")
        elif way == "pipe":
            with subprocess.Popen(["cat", tmp_path / "in.jsonl"], stdout=subprocess.PIPE) as cat:
                assert cat.stdout is not None
                batch = client.batch_submit("echo", cat.stdout, name="april")
        elif way == "file":
            with (tmp_path / "in.jsonl").open("rb") as file:
                batch = client.batch_submit("echo", file, name="april")
        else:
            batch = client.batch_submit("echo", LINES if way == "bytes" else iter([LINES[:7], LINES[7:]]), name="april")
        assert (batch["created"], batch["name"], batch["priority"], batch["input_bytes"]) == (True, "april", -10, 46)
        done = finished(client, batch)
        assert done["state"] == "failed"
        assert done["counts"] == {"total": 4, "completed": 3, "failed": 1, "cancelled": 0}
        output, errors = records(client, batch), records(client, batch, "errors")
        assert {line: record["result"] for line, record in output.items()} == {
            1: {"custom_id": "a", "n": 1.5},
            3: [2],
            5: "last",
        }
        assert output[1]["custom_id"] == "a"
        assert {line: record["error"]["cause"] for line, record in errors.items()} == {4: "not_json"}
        assert written(done, "output") == list(output.values())
        assert Path(done["folder"], "input.jsonl").read_bytes() == LINES


def test_who_follows_is_told_while_it_runs_and_when_it_has_ended(start: Start, tmp_path: Path) -> None:
    daemon = start({"film": {"command": command("progress"), "size": 2}})
    with daemon.client() as client, Gate(tmp_path) as gate:
        held = json.dumps({"steps": 1, "gate": gate.path}).encode()
        batch = client.batch_submit("film", b"null\n" * 5 + held + b"\nnull\n" * 5)
        following = client.batch_output(batch["id"], follow=True)
        assert sorted(next(following)[1]["line"] for _ in range(6)) == [1, 2, 3, 4, 5, 7]
        gate.open()
        last = []
        while True:
            try:
                last.append(next(following))
            except StopIteration as end:
                told = end.value
                break
        assert {record["line"] for _, record in last} >= {6}
        assert told == {"id": batch["id"], "file": "output", "lines": 6 + len(last), "state": "completed"}
        assert [n for n, _ in client.batch_output(batch["id"], from_line=6 + len(last))] == [6 + len(last)]


def test_a_record_of_many_megabytes_comes_out_whole(start: Start) -> None:
    daemon = start(POOLS, {"echo": {"max_payload": "7MiB"}})
    large = "x" * (6 * 1024 * 1024)
    with daemon.client() as client:
        line = json.dumps(large).encode()
        batch = client.batch_submit("echo", io.BytesIO(b"1\n" + line + b"\n2\n"))
        finished(client, batch)
        assert records(client, batch, "errors") == {}
        output = records(client, batch)
        assert sorted(output) == [1, 2, 3]
        assert output[2]["result"] == large


def test_what_is_not_sent_to_its_end_leaves_no_folder(daemon: Daemon) -> None:
    def broken() -> Iterator[bytes]:
        yield b"1\n" * 500_000
        raise RuntimeError("the source is dry")

    with daemon.client() as client:
        with pytest.raises(RuntimeError, match="the source is dry"):
            client.batch_submit("echo", broken())
        assert list((daemon.state / "batches").iterdir()) == []
        assert client.batch_list() == {"batches": [], "total": 0, "next": None}
    with daemon.client() as client:
        client.call("batch_submit", {"queue": "echo", "lines": "1\n", "more": True})
    until(lambda: not list((daemon.state / "batches").iterdir()), "the end of what its connection left")


def test_an_earlier_one_answers_without_the_lines_being_read(daemon: Daemon) -> None:
    with daemon.client() as client:
        first = client.batch_submit("echo", b"1\n", client="cron", key="monday")
        again = client.batch_submit("echo", iter(lambda: pytest.fail("it was read"), b""), client="cron", key="monday")
        assert (again["id"], again["created"], client.batch_list()["total"]) == (first["id"], False, 1)


def test_an_unknown_queue_is_refused_before_the_lines_are_read(daemon: Daemon) -> None:
    with daemon.client() as client:
        with pytest.raises(CallFailed) as refusal:
            client.batch_submit("ecko", iter(lambda: pytest.fail("it was read"), b""))
        assert (refusal.value.code, refusal.value.data["known"]) == ("unknown_queue", ["echo"])


@pytest.mark.parametrize("way", ["sent", "path"])
def test_limits_are_named_and_nothing_is_left(start: Start, tmp_path: Path, way: str) -> None:
    daemon = start(POOLS)
    daemon.stop()
    config = daemon._config.read_text()
    daemon._config.write_text(config + '\n[batches]\nmax_bytes = "1MiB"\n')
    daemon.start()
    (tmp_path / "in").write_bytes(b"1\n" * 1_000_000)
    with daemon.client() as client:
        lines = {"lines": (tmp_path / "in").read_bytes()} if way == "sent" else {"path": str(tmp_path / "in")}
        with pytest.raises(CallFailed, match=r"batches\.max_bytes") as refusal:
            client.batch_submit("echo", **lines)
        assert refusal.value.code == "too_large"
        assert client.batch_list()["total"] == 0
        assert list((daemon.state / "batches").iterdir()) == []


def test_a_page_at_a_time_and_delete_and_gc(daemon: Daemon) -> None:
    with daemon.client() as client:
        made = [finished(client, client.batch_submit("echo", b"1\n"))["id"] for _ in range(5)]
        first = client.batch_list(limit=3, state="completed")
        rest = client.batch_list(limit=3, cursor=first["next"])
        assert [one["id"] for one in first["batches"] + rest["batches"]] == made[::-1]
        assert (first["total"], rest["next"]) == (5, None)
        assert client.batch_delete(made[0]) == {"deleted": True}
        with pytest.raises(CallFailed, match="there is no batch"):
            client.batch_get(made[0])
        assert client.batch_gc(3600) == {"ids": [], "count": 0, "dry_run": False}
        assert client.batch_gc(0, dry_run=True)["count"] == 4
        assert client.batch_gc(0, queue="echo")["count"] == 4
        assert client.batch_list()["total"] == 0


def test_cancel_answers_when_nothing_of_it_runs(start: Start, tmp_path: Path) -> None:
    daemon = start({"echo": {"command": command("never_answers"), "size": 2}})
    with daemon.client() as client:
        batch = client.batch_submit("echo", b"1\n2\n3\n4\n")
        until(lambda: client.running("echo")["total"] == 2, "two of its lines to run")
        with pytest.raises(CallFailed) as refusal:
            client.batch_delete(batch["id"])
        assert refusal.value.code == "conflict"
        ended = client.batch_cancel(batch["id"])
        assert (ended["state"], ended["cancel_requested"], ended["counts"]["cancelled"]) == ("cancelled", True, 4)
        assert client.running("echo")["total"] == 0
        assert [record["error"]["cause"] for record in records(client, batch, "errors").values()] == ["cancelled"] * 4


def test_a_client_with_patience_reads_on_and_sends_again_across_a_restart(daemon: Daemon) -> None:
    with Client(daemon.socket, timeout=PATIENCE, patience=PATIENCE) as client:
        lines = b"".join(b"%d\n" % n for n in range(2000))
        batch = finished(client, client.batch_submit("echo", lines))
        reading = client.batch_output(batch["id"])
        seen = [next(reading)]
        daemon.kill()
        daemon.start()
        seen += reading
        assert [n for n, _ in seen] == list(range(1, 2001))
        assert {record["line"] for _, record in seen} == set(range(1, 2001))
        pieces = iter(range(3))

        class Pieces:
            """It can be read again, and the daemon dies in the middle of the first time."""

            def __iter__(self) -> Iterator[bytes]:
                yield b"1\n" * 200_000
                if next(pieces) == 0:
                    daemon.kill()
                    daemon.start()
                yield b"2\n"

        again = client.batch_submit("echo", Pieces())
        assert (again["counts"]["total"], next(pieces)) == (200_001, 2)
        assert client.batch_list()["total"] == 2
        assert client.batch_cancel(again["id"])["state"] == "cancelled"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")
def test_root_opens_a_file_as_the_user_who_asks(start: Start, tmp_path: Path) -> None:
    daemon = start(POOLS, access={"submit": [str(ALICE)]}, socket_mode="0666")
    for place in (tmp_path, *tmp_path.parents, Path(daemon.socket).parent):
        if str(place).startswith("/tmp/"):
            place.chmod(0o755)
    own, roots = tmp_path / "own", tmp_path / "roots"
    own.write_bytes(b"1\n")
    os.chown(own, ALICE, 0)
    own.chmod(0o400)
    roots.write_bytes(b"1\n")
    roots.chmod(0o600)
    paths = [str(own), str(roots), "/etc/shadow", "/proc/self/environ", "/dev/zero", str(daemon.state)]
    answers = ask(daemon, ALICE, *(("batch_submit", {"queue": "echo", "path": path}) for path in paths))
    assert answers[0]["result"]["counts"]["total"] == 1
    assert [answer.get("code") for answer in answers[1:]] == ["invalid"] * 5
    with daemon.client() as client:
        assert client.batch_list()["total"] == 1
        assert len(list((daemon.state / "batches").iterdir())) == 1


def test_readers_who_take_nothing_cost_nothing(daemon: Daemon) -> None:
    with daemon.client() as client, ExitStack() as idle:
        batch = client.batch_submit("echo", b'"%b"\n' % (b"x" * 3600) * 5_000)
        finished(client, batch)
        before, open_before = daemon.memory(), daemon.descriptors()
        for _ in range(40):
            connection = idle.enter_context(daemon.connect())
            params = {"id": batch["id"], "follow": True}
            request = {"jsonrpc": "2.0", "id": 1, "method": "batch_output", "params": params}
            connection.sendall(json.dumps(request).encode() + b"\n")
            assert connection.recv(10)
        assert len(records(client, batch)) == 5_000
        assert daemon.memory() - before < 60 * 1024 * 1024  # of 18 MiB each
        until(lambda: daemon.descriptors() - open_before <= 40, "no more descriptors than connections")


def test_a_shell_is_a_client(daemon: Daemon) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "batch_submit", "params": {"queue": "echo", "lines": "1\n2\n"}}
    with daemon.connect() as connection:
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answers:
            [answer] = answers
    assert json.loads(answer)["result"]["counts"]["total"] == 2
