"""Every example of protocol/README.md, run."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from protocol.client import Client
from protocol.control import PoolView, QueueView, StatusView, WorkerView
from protocol.worker import Garbage, Reply, decode_reply, encode_request
from supervisor.control.methods import METHODS
from tests.protocol.examples import README, Example, Names, differences, examples, pattern

REQUEST, REPLY = "daemon -> worker  ", "worker -> daemon  "
ASK, ANSWER = "-> ", "<- "
ANSWER_WITHIN = 30.0  # seconds


@pytest.mark.parametrize("example", examples("worker"), ids=str)
def test_the_worker_protocol_is_spoken_as_written(example: Example) -> None:
    answered, request = True, None
    for line in example.lines():
        if line.startswith(REQUEST):
            assert answered, "a request before the last one was answered"
            text = line.removeprefix(REQUEST)
            request = json.loads(text)
            assert _encoded_again(request) == text + "\n"
            answered = False
        else:
            assert line.startswith(REPLY)
            reply = decode_reply(line.removeprefix(REPLY).encode())
            if reply.status == "ready":
                assert request is None, "ready comes first"
                continue
            assert request is not None
            assert not answered, "a reply after the final one"
            assert reply.id in (None, request["id"])
            answered = reply.status != "progress"
    assert answered


def _encoded_again(request: dict[str, Any]) -> str:
    payload = json.dumps(request["payload"], separators=(",", ":")).encode()
    queue, attempt, timeout = request["queue"], request["attempt"], float(request["timeout_secs"])
    return encode_request(request["id"], payload, queue, attempt, timeout).decode()


@pytest.mark.parametrize("line", [line for example in examples("garbage") for line in example.lines()])
def test_what_is_called_garbage_is_garbage(line: str) -> None:
    with pytest.raises(Garbage):
        decode_reply(line.encode())


def test_the_worker_in_five_lines_is_one() -> None:
    [script] = examples("sh")
    assert len(script.text.splitlines()) == 5
    ids = ["0199f3c2-7b1a-7c3e-9d40-5a1b2c3d4e5f", "0199f3c2-7b1b-7d02-8a11-0c0ffee0c0de"]
    asked = b"".join(encode_request(id, rb'{"a b":"\\n\"id\":"}', "q", 1, 60.0) for id in ids)
    shell = ["sh", "-c", script.text]
    environ = {"PATH": os.environ["PATH"], "STOKER_SLOT": "3"}
    said = subprocess.run(shell, input=asked, env=environ, capture_output=True, check=True, timeout=30).stdout
    replies = [decode_reply(line) for line in said.splitlines()]
    assert [(reply.id, reply.status, bytes(reply.result)) for reply in replies] == [
        (id, "ok", b'"slot 3 says hello"') for id in ids
    ]


@pytest.mark.parametrize("example", examples("control"), ids=str)
def test_the_control_protocol_is_spoken_as_written(example: Example, daemon_socket: str) -> None:
    names = Names()
    early: list[Any] = []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_WITHIN)
        connection.connect(daemon_socket)
        with connection.makefile("rb") as answers:
            for line in example.lines():
                if line.startswith(ASK):
                    connection.sendall(names.fill_in(line.removeprefix(ASK)).encode() + b"\n")
                else:
                    assert line.startswith(ANSWER)
                    expected = pattern(line.removeprefix(ANSWER))
                    actual = _answer_to(expected.get("id"), answers, early)
                    assert differences(expected, actual, names) == []
            if '"method":"subscribe"' in example.text or '"method":"backup"' in example.text:
                return  # it goes on
            connection.shutdown(socket.SHUT_WR)
            assert early == []
            assert answers.read() == b"", "an answer that the example does not show"


def _answer_to(request_id: Any, answers: Iterator[bytes], early: list[Any]) -> Any:
    """Answers may overtake each other, and notifications (None) come when they come."""
    for answer in early:
        if answer.get("id") == request_id:
            early.remove(answer)
            return answer
    for line in answers:
        answer = json.loads(line)
        if answer.get("id") == request_id:
            return answer
        early.append(answer)
    return pytest.fail(f"the daemon closed the connection without an answer to {request_id!r}")


def test_every_method_and_only_those_are_specified() -> None:
    headings = {
        name.strip()
        for line in README.read_text().splitlines()
        if line.startswith("### ")
        for name in line.removeprefix("### ").split(",")
    }
    assert METHODS.keys() <= headings


@pytest.mark.parametrize("method", sorted(METHODS.keys() - {"drain"}))  # drain ends the daemon's use: the last test
def test_every_method_has_an_example(method: str) -> None:
    assert any(f'"method":"{method}"' in example.text for example in examples("control"))


def test_the_table_of_roles_has_every_method_with_its_role() -> None:
    _, _, section = README.read_text().partition("## Roles\n")
    table = section.partition("\nA queue may have lists")[0]
    rows = [row.split("|")[1:3] for row in table.splitlines() if row.startswith("| `")]
    said = {method.strip(" `"): role.strip(" `") for role, methods in rows for method in methods.split(",")}
    assert said == {name: method.role.name.lower() for name, method in METHODS.items()}


def test_a_half_closed_connection_is_answered_in_full(daemon_socket: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_WITHIN)
        connection.connect(daemon_socket)
        job = {"queue": "thumbs", "payload": {"path": "a.png"}}
        asked = [{"jsonrpc": "2.0", "id": n, "method": "submit", "params": job} for n in range(50)]
        text = "\n\n".join(map(json.dumps, asked))  # without a line feed behind the last
        connection.sendall(text.encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answers:
            assert {json.loads(line)["id"] for line in answers} == set(range(50))


def test_the_client_is_used_as_written(
    daemon_socket: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STOKER_SOCKET", daemon_socket)
    [script] = examples("python")
    exec(compile(script.text, str(README), "exec"), {})
    assert capsys.readouterr().out.splitlines() == [
        "done {'width': 320, 'height': 200}",
        "2 more",
        "[1, 2, 3]",
        "unknown_queue ['mail', 'nightly', 'quiet', 'reports', 'thumbs']",
    ]


@pytest.mark.parametrize(
    ("heading", "struct"),
    [("Replies", Reply), ("queues", QueueView), ("pools", PoolView), ("workers", WorkerView), ("status", StatusView)],
)
def test_messages_have_exactly_the_members_of_their_table(heading: str, struct: type[msgspec.Struct]) -> None:
    _, _, section = README.read_text().partition(f"### {heading}\n")
    rows = [row.split("|")[1] for row in section.partition("\n#")[0].splitlines() if row.startswith("| `")]
    named = {name.strip(" `") for row in rows for name in row.split(",")}
    assert named == set(struct.__struct_encode_fields__)


def test_drain_answers_when_nothing_runs_and_submits_are_still_accepted(daemon_socket: str) -> None:
    """The last one: this daemon gives out no job any more."""
    with Client(daemon_socket, timeout=ANSWER_WITHIN) as client:
        assert client.drain() == {"drained": True}
        assert client.status()["state"] == "drained"
        job = client.submit("thumbs", {"path": "a.png"})
        assert job["state"] == "pending"
        assert client.get(job["id"])["attempt"] == 0
