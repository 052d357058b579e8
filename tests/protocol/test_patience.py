"""A patient client, and a daemon that is restarted."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocol.client import Client, ClientTimeout, Disconnected, NoDaemon
from supervisor.cli.verbatim import VerbatimClient
from tests.protocol.answering import Answering, Conversation, result

LONG = 20.0  # seconds; none of these tests needs them
SHORT = 0.2

Heard = list[dict[str, Any]]


def forgetful(heard: Heard, times: int) -> Callable[[Conversation], None]:
    """Hears a request and goes, so many times; after that it answers."""

    def serve(conversation: Conversation) -> None:
        for request in conversation.requests():
            heard.append(request)
            if len(heard) <= times:
                return
            conversation.send(result(request, {"id": "a", "jobs": [{"id": "a"}]}))

    return serve


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.get("a"),
        lambda c: c.wait("a"),
        lambda c: c.wait("a", LONG),
        lambda c: c.submit("q", 1, client="x", key="1"),
        lambda c: c.submit_many([{"queue": "q", "payload": 1, "client": "x", "key": "1"}]),
        lambda c: c.call("cancel", {"id": "a"}, again=True),
    ],
)
def test_what_may_be_heard_twice_is_asked_again_when_the_daemon_goes(ask: Callable[[Client], Any]) -> None:
    heard: Heard = []
    with Answering(forgetful(heard, 2)) as daemon, Client(daemon.path, patience=LONG) as client:
        assert ask(client)
    assert len(heard) == 3
    assert all(request["params"] == heard[0]["params"] for request in heard)


@pytest.mark.parametrize(
    "ask",
    [
        lambda c: c.submit("q", 1),
        lambda c: c.submit("q", 1, key=None),
        lambda c: c.submit_many([{"queue": "q", "key": "1", "client": "x"}, {"queue": "q"}]),
        lambda c: c.cancel("a"),
        lambda c: c.call("get", {"id": "a"}, again=False),
    ],
)
def test_what_may_have_been_heard_once_and_not_be_heard_twice_is_left_to_the_caller(
    ask: Callable[[Client], Any],
) -> None:
    heard: Heard = []
    with Answering(forgetful(heard, 1)) as daemon, Client(daemon.path, patience=LONG) as client:
        with pytest.raises(Disconnected) as caught:
            ask(client)
        assert not caught.value.unheard
        assert client.get("b")["id"] == "a"  # and it goes on with the next daemon
    assert len(heard) == 2


def leaves_once(conversation: Conversation, before: threading.Event) -> None:
    if not before.is_set():
        before.set()
        return
    for request in conversation.requests():
        conversation.send(result(request, {"id": request["params"].get("payload")}))


@pytest.mark.parametrize("payload", [1, "x" * 4_000_000])
def test_what_was_not_heard_is_asked_again_whatever_it_is(payload: Any) -> None:
    left = threading.Event()
    with (
        Answering(lambda conversation: leaves_once(conversation, left)) as daemon,
        Client(daemon.path, patience=LONG) as client,
    ):
        assert left.wait(LONG)
        gone(client)
        assert client.submit("q", payload) == {"id": payload}


def gone(client: Client) -> None:
    """Returns when the daemon has closed the connection."""
    assert client._poll.poll(LONG * 1000)


def test_without_patience_the_error_says_that_it_was_not_heard() -> None:
    left = threading.Event()
    with Answering(lambda conversation: leaves_once(conversation, left)) as daemon, Client(daemon.path) as client:
        gone(client)
        for _ in range(2):
            with pytest.raises(Disconnected) as caught:
                client.submit("q", 1)
            assert caught.value.unheard


def test_answers_to_what_was_sent_before_are_not_given_up() -> None:
    def serve(conversation: Conversation) -> None:
        conversation.request()

    with Answering(serve) as daemon, Client(daemon.path, patience=LONG) as client:
        client.send("wait", {"id": "a"})
        with pytest.raises(Disconnected) as caught:
            client.get("b")
        assert not caught.value.unheard


def test_a_daemon_that_is_not_back_in_time_is_told_as_one_that_went_away() -> None:
    daemon = Answering(lambda conversation: None)
    with daemon:
        client = Client(daemon.path, patience=SHORT)
        gone(client)
    began = time.monotonic()
    with client, pytest.raises(Disconnected):
        client.get("a")
    assert SHORT <= time.monotonic() - began < LONG


def test_it_is_not_looked_for_longer_than_the_call_may_take() -> None:
    with Answering(forgetful([], 1000)) as daemon, Client(daemon.path, timeout=SHORT, patience=LONG) as client:
        began = time.monotonic()
        with pytest.raises((Disconnected, ClientTimeout)):
            client.get("a")
        assert time.monotonic() - began < LONG


@pytest.mark.parametrize("there", [True, False])
def test_a_daemon_that_is_not_there_yet_is_waited_for(tmp_path: Path, there: bool) -> None:
    """Its socket file may be that of the last one, at which nobody listens."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as late, socket.socket(socket.AF_UNIX) as first:
        if there:
            first.bind(str(path))

        def begin() -> None:
            path.unlink(missing_ok=True)
            late.bind(str(path))
            late.listen()

        timer = threading.Timer(SHORT, begin)
        timer.start()
        Client(str(path), patience=LONG).close()
        timer.join()


def test_a_socket_that_will_not_come_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    began = time.monotonic()
    with pytest.raises(NoDaemon):
        Client(str(tmp_path / "file" / "s"), patience=LONG)
    assert time.monotonic() - began < LONG / 2


@pytest.mark.parametrize(("options", "times"), [({"client": "x", "key": "1"}, 3), ({}, 1)])
def test_a_payload_that_is_text_is_submitted_again_with_its_key(options: dict[str, str], times: int) -> None:
    heard: Heard = []
    with Answering(forgetful(heard, 2)) as daemon, VerbatimClient(daemon.path, patience=LONG) as client:
        try:
            client.submit_text("q", "1", options)
        except Disconnected:
            assert times == 1
    assert len(heard) == times
