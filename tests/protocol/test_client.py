import json
import math
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import protocol.client
from protocol.client import (
    CallFailed,
    Client,
    ClientError,
    ClientTimeout,
    Disconnected,
    NoDaemon,
)
from tests.protocol.answering import Answering, Conversation, error, result

SHORT = 0.05  # seconds, for what is to run out


def echo(conversation: Conversation) -> None:
    for request in conversation.requests():
        conversation.send(result(request, {"method": request["method"], "params": request["params"]}))


def test_a_call_is_one_json_rpc_line_and_returns_the_result() -> None:
    def serve(conversation: Conversation) -> None:
        line = conversation.connection.recv(65536)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        request = json.loads(line)
        assert request == {"jsonrpc": "2.0", "id": request["id"], "method": "get", "params": {"id": "a"}}
        conversation.send(result(request, {"id": "a"}))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        assert client.call("get", {"id": "a"}) == {"id": "a"}


@pytest.mark.parametrize(
    ("ask", "method", "params"),
    [
        (lambda c: c.ping(), "ping", {}),
        (
            lambda c: c.submit("q", {"a": "ü"}, priority=3),
            "submit",
            {"queue": "q", "payload": {"a": "ü"}, "priority": 3},
        ),
        (lambda c: c.submit("q", None), "submit", {"queue": "q", "payload": None}),
        (lambda c: c.get("a"), "get", {"id": "a"}),
        (lambda c: c.get(client="shop", key="7"), "get", {"client": "shop", "key": "7"}),
        (lambda c: c.wait("a"), "wait", {"id": "a"}),
        (lambda c: c.wait("a", 2.5), "wait", {"id": "a", "timeout_secs": 2.5}),
        (lambda c: c.list(queue="q", state=["failed"]), "list", {"queue": "q", "state": ["failed"]}),
        (lambda c: c.events(last=3), "events", {"last": 3}),
        (lambda c: c.events(job="a", wait_secs=60), "events", {"job": "a", "wait_secs": 60}),
        (lambda c: c.position("a"), "position", {"id": "a"}),
        (lambda c: c.running(), "running", {}),
        (lambda c: c.running("q", 9), "running", {"queue": "q", "limit": 9}),
        (lambda c: c.cancel("a"), "cancel", {"id": "a"}),
        (lambda c: c.retry("a"), "retry", {"id": "a"}),
        (lambda c: c.delete("a"), "delete", {"id": "a"}),
        (lambda c: c.pause("q"), "pause", {"queue": "q"}),
        (lambda c: c.resume("q"), "resume", {"queue": "q"}),
        (lambda c: c.restart("p"), "restart", {"pool": "p"}),
        (lambda c: c.resize("p", 0), "resize", {"pool": "p", "size": 0}),
        (lambda c: c.resize("p", min=0, max=4), "resize", {"pool": "p", "min": 0, "max": 4}),
        (lambda c: c.status(), "status", {}),
        (lambda c: c.drain(), "drain", {}),
    ],
)
def test_each_method_asks_for_itself(ask: Callable[[Client], Any], method: str, params: dict[str, Any]) -> None:
    with Answering(echo) as daemon, Client(daemon.path, timeout=10) as client:
        assert ask(client) == {"method": method, "params": params}


@pytest.mark.parametrize(
    ("ask", "member"),
    [
        (lambda c: c.submit_many([{"queue": "q", "payload": 1}]), "jobs"),
        (lambda c: c.wait_all(["a", "b"], 1), "jobs"),
        (lambda c: c.queues(), "queues"),
        (lambda c: c.queues("q"), "queues"),
        (lambda c: c.pools(), "pools"),
        (lambda c: c.workers("p"), "workers"),
    ],
)
def test_methods_that_answer_with_many_return_the_list(ask: Callable[[Client], Any], member: str) -> None:
    def serve(conversation: Conversation) -> None:
        conversation.send(result(conversation.request(), {member: [1, 2]}))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        assert ask(client) == [1, 2]


def test_a_refusal_says_code_message_and_data() -> None:
    def serve(conversation: Conversation) -> None:
        request = conversation.request()
        conversation.send(error(request["id"], -32000, "no such queue", code="unknown_queue", known=["a"]))
        conversation.send(result(conversation.request(), "still here"))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        with pytest.raises(CallFailed, match="no such queue") as caught:
            client.submit("b", 1)
        assert caught.value.code == "unknown_queue"
        assert caught.value.message == "no such queue"
        assert caught.value.data == {"code": "unknown_queue", "known": ["a"]}
        assert client.call("ping") == "still here"


@pytest.mark.parametrize(
    ("number", "code"),
    [(-32700, "invalid"), (-32600, "invalid"), (-32601, "invalid"), (-32602, "invalid"), (-32603, "internal")],
)
def test_the_codes_of_json_rpc_become_words_too(number: int, code: str) -> None:
    def serve(conversation: Conversation) -> None:
        conversation.send({"id": conversation.request()["id"], "error": {"code": number, "message": "no"}})

    with Answering(serve) as daemon, Client(daemon.path) as client:
        with pytest.raises(CallFailed) as caught:
            client.ping()
        assert (caught.value.code, caught.value.data) == (code, {})


def test_answers_may_overtake_each_other() -> None:
    def serve(conversation: Conversation) -> None:
        requests = [conversation.request() for _ in range(3)]
        conversation.send(*(result(request, request["params"]["n"]) for request in reversed(requests)))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        sent = {client.send("get", {"n": n}): n for n in range(3)}
        received = [client.receive() for _ in range(3)]
        assert [n for _, n in received] == [2, 1, 0]
        assert dict(received) == sent


def test_a_call_between_sends_gets_its_own_answer_and_loses_none() -> None:
    def serve(conversation: Conversation) -> None:
        first, second, call = (conversation.request() for _ in range(3))
        conversation.send(result(first, "first"), result(call, "call"), result(second, "second"))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        first, second = client.send("a"), client.send("b")
        assert client.call("c") == "call"
        assert client.receive() == (first, "first")
        assert client.receive() == (second, "second")


def test_a_refused_request_of_many_says_which_it_was() -> None:
    def serve(conversation: Conversation) -> None:
        one, two = conversation.request(), conversation.request()
        conversation.send(error(two["id"], -32000, "gone", code="not_found"), result(one, 1))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        one, two = client.send("get", {"id": "1"}), client.send("get", {"id": "2"})
        with pytest.raises(CallFailed) as caught:
            client.receive()
        assert caught.value.request == two
        assert client.receive() == (one, 1)


def test_receiving_without_having_sent_is_an_error_not_a_hang() -> None:
    with Answering(echo) as daemon, Client(daemon.path) as client, pytest.raises(ClientError, match="nothing was sent"):
        client.receive()


def test_pipelining_more_than_both_sockets_hold_does_not_deadlock() -> None:
    """The stand-in answers before it reads on, as the daemon does when a client has too many requests outstanding."""
    count, padding = 2000, "x" * 1000

    def serve(conversation: Conversation) -> None:
        for request in conversation.requests():
            conversation.send(result(request, padding))

    with Answering(serve) as daemon, Client(daemon.path, timeout=30) as client:
        sent = [client.send("get", {"padding": padding}) for _ in range(count)]
        assert [client.receive()[0] for _ in range(count)] == sent


@pytest.mark.parametrize("size", [0, 65535, 16 * 1024 * 1024])
def test_an_answer_may_be_as_large_as_the_protocol_allows(size: int) -> None:
    def serve(conversation: Conversation) -> None:
        conversation.send(result(conversation.request(), "x" * size))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        assert len(client.call("get")) == size


def test_a_request_may_be_larger_than_the_socket_takes_at_once() -> None:
    payload = "x" * 4_000_000
    with Answering(echo) as daemon, Client(daemon.path) as client:
        assert client.submit("q", payload)["params"]["payload"] == payload


def test_an_answer_may_come_byte_by_byte_and_two_at_once() -> None:
    def serve(conversation: Conversation) -> None:
        request = conversation.request()
        for byte in json.dumps(result(request, "ü€")).encode() + b"\n":
            conversation.connection.sendall(bytes([byte]))
        first, second = conversation.request(), conversation.request()
        conversation.send(result(first, 1), result(second, 2))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        assert client.call("ping") == "ü€"
        client.send("a")
        client.send("b")
        assert [client.receive()[1], client.receive()[1]] == [1, 2]


def test_notifications_are_passed_over() -> None:
    def serve(conversation: Conversation) -> None:
        request = conversation.request()
        conversation.send({"jsonrpc": "2.0", "method": "event", "params": {}}, result(request, "pong"))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        assert client.call("ping") == "pong"


def test_a_silent_daemon_is_a_timeout_and_its_late_answer_nobodys() -> None:
    asked_again = threading.Event()

    def serve(conversation: Conversation) -> None:
        late = conversation.request()
        assert asked_again.wait(10)
        conversation.send(result(late, "late"))
        conversation.send(result(conversation.request(), "in time"))

    with Answering(serve) as daemon, Client(daemon.path, timeout=SHORT) as client:
        with pytest.raises(ClientTimeout):
            client.ping()
        asked_again.set()
        assert client.call("ping", timeout=10) == "in time"


def test_a_daemon_that_does_not_read_is_a_timeout_and_the_next_call_is_whole() -> None:
    read_on = threading.Event()

    def serve(conversation: Conversation) -> None:
        assert read_on.wait(10)
        first, second = conversation.request(), conversation.request()
        assert len(first["params"]["payload"]) == 4_000_000
        conversation.send(result(second, second["method"]))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        with pytest.raises(ClientTimeout):
            client.call("submit", {"payload": "x" * 4_000_000}, timeout=SHORT)
        read_on.set()
        assert client.call("ping", timeout=10) == "ping"


def test_a_wait_outlasts_the_timeout_of_ordinary_calls() -> None:
    answer_now = threading.Event()

    def serve(conversation: Conversation) -> None:
        for request in conversation.requests():
            assert answer_now.wait(10)
            conversation.send(result(request, {"state": "done"}))

    with Answering(serve) as daemon, Client(daemon.path, timeout=SHORT) as client:
        threading.Timer(4 * SHORT, answer_now.set).start()
        assert client.wait("a", timeout_secs=10)["state"] == "done"
        assert client.wait("a")["state"] == "done"


@pytest.mark.parametrize("ask", [lambda c: c.drain(), lambda c: c.restart("p")])
def test_what_takes_as_long_as_it_takes_outlasts_the_timeout_of_ordinary_calls(ask: Callable[[Client], Any]) -> None:
    answer_now = threading.Event()

    def serve(conversation: Conversation) -> None:
        request = conversation.request()
        assert answer_now.wait(10)
        conversation.send(result(request, "over"))

    with Answering(serve) as daemon, Client(daemon.path, timeout=SHORT) as client:
        threading.Timer(4 * SHORT, answer_now.set).start()
        assert ask(client) == "over"


@pytest.mark.parametrize("last_words", [b"", b'{"jsonrpc":"2.0","id":1,"resu'])
def test_a_daemon_that_goes_away_is_said_so(last_words: bytes) -> None:
    def serve(conversation: Conversation) -> None:
        conversation.request()
        conversation.connection.sendall(last_words)

    with Answering(serve) as daemon, Client(daemon.path) as client:
        with pytest.raises(Disconnected):
            client.ping()
        with pytest.raises(Disconnected):
            client.ping()


def test_what_the_daemon_answered_before_it_left_is_not_lost() -> None:
    left = threading.Event()

    def serve(conversation: Conversation) -> None:
        conversation.send(result(conversation.request(), "last"))
        conversation.close()
        left.set()

    with Answering(serve) as daemon, Client(daemon.path) as client:
        first = client.send("ping")
        assert left.wait(10)
        client.send("ping")  # into a closed connection
        assert client.receive() == (first, "last")
        with pytest.raises(Disconnected):
            client.receive()


def test_why_a_line_was_refused_is_heard_even_while_still_writing_it() -> None:
    def serve(conversation: Conversation) -> None:
        conversation.connection.recv(1000)
        conversation.send(error(None, -32600, "the line is too long", code="too_large"))

    with Answering(serve) as daemon, Client(daemon.path) as client:
        with pytest.raises(CallFailed, match="too long") as caught:
            client.submit("q", "x" * 4_000_000)
        assert (caught.value.code, caught.value.request) == ("too_large", None)


@pytest.mark.parametrize("line", [b"hello\n", b"[]\n", b"\xff\n", b"[" * 100_000 + b"\n"])
def test_an_answer_that_is_none_is_an_error_of_the_clients(line: bytes) -> None:
    def serve(conversation: Conversation) -> None:
        conversation.request()
        conversation.connection.sendall(line)

    with Answering(serve) as daemon, Client(daemon.path) as client, pytest.raises(ClientError, match="answer"):
        client.ping()


@pytest.mark.parametrize("payload", [float("nan"), float("inf"), {1, 2}, "\ud800"])
def test_a_payload_that_json_cannot_hold_is_refused_here_and_nothing_is_sent(payload: object) -> None:
    with Answering(echo) as daemon, Client(daemon.path) as client:
        with pytest.raises((TypeError, ValueError)):
            client.submit("q", payload)
        assert client.ping()["method"] == "ping"


def in_place_of_an_answer(line: bytes) -> Callable[[Conversation], None]:
    def serve(conversation: Conversation) -> None:
        conversation.request()
        conversation.connection.sendall(line + b"\n")

    return serve


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("-7", -7),
        ("1" * 300, int("1" * 300)),
        ("1.50", 1.5),
        ("0.1000000000000000055", 0.1),
        ("1e400", math.inf),
        ("9" * 100_000, Decimal("9" * 100_000)),
        ("-" + "9" * 100_000, Decimal("-" + "9" * 100_000)),
    ],
)
def test_numbers_are_pythons_own_and_an_int_too_long_for_it_is_an_exact_decimal(written: str, read: object) -> None:
    serve = in_place_of_an_answer(b'{"id":1,"result":[%s]}' % written.encode())
    with Answering(serve) as daemon, Client(daemon.path) as client:
        (number,) = client.call("get")
    assert (number, type(number)) == (read, type(read))


def test_a_subclass_may_decode_numbers_its_own_way() -> None:
    class Exact(Client):
        def decode(self, text: str) -> Any:
            return json.loads(text, parse_float=Decimal)

    serve = in_place_of_an_answer(b'{"id":1,"result":[0.10,1e400]}')
    with Answering(serve) as daemon, Exact(daemon.path) as client:
        assert [str(number) for number in client.call("get")] == ["0.10", "1E+400"]


def test_params_may_be_json_text_which_is_sent_as_it_is() -> None:
    text = '{"payload": [1e400, 0.10, ' + "9" * 5000 + ', "ü"]}'

    def serve(conversation: Conversation) -> None:
        lines = conversation.connection.makefile("rb")
        for request, method in enumerate(("submit", "get"), 1):
            expected = f'{{"jsonrpc":"2.0","id":{request},"method":"{method}","params":{text}}}\n'
            assert lines.readline() == expected.encode()
            conversation.send({"id": request, "result": method})

    with Answering(serve) as daemon, Client(daemon.path) as client:
        assert client.call("submit", text) == "submit"
        sent = client.send("get", text)
        assert client.receive() == (sent, "get")


def test_nobody_listening_is_said_in_one_sentence(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.sock")
    with pytest.raises(NoDaemon) as caught:
        Client(missing)
    assert missing in str(caught.value)
    assert "No such file" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_dead_socket_file_is_no_daemon_either(tmp_path: Path) -> None:
    path = str(tmp_path / "dead.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with pytest.raises(NoDaemon, match="refused"):
        Client(path)


def test_a_path_longer_than_the_kernel_takes_is_no_daemon() -> None:
    with pytest.raises(NoDaemon, match="too long"):
        Client("/" + "x" * 200)


def test_a_daemon_that_takes_no_connection_is_a_timeout(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        with Client(path), pytest.raises(ClientTimeout, match="took no connection"):
            Client(path, timeout=SHORT)


def test_without_a_path_the_usual_places_are_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STOKER_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with Answering(echo) as daemon:
        (tmp_path / "stoker.sock").symlink_to(daemon.path)
        with Client() as client:
            assert client.ping()["method"] == "ping"


def test_a_copy_of_the_file_works_alone(tmp_path: Path) -> None:
    copy = tmp_path / "their_own_name.py"
    shutil.copy(protocol.client.__file__, copy)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from their_own_name import Client\n"
        "with Client(sys.argv[2]) as client: print(client.ping()['method'])\n"
        "heavy = {'trio', 'msgspec', 'asyncio', 'dataclasses', 'decimal', 'typing', 'inspect', 'protocol'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    with Answering(echo) as daemon:
        command = [sys.executable, "-I", "-S", "-c", script, str(tmp_path), daemon.path]
        assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout == "ping\n"
