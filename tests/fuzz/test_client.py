"""The client trusts its daemon, but not with its life."""

import contextlib
import socket
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from protocol.client import Client, ClientError
from tests.fuzz.strategies import chunks, damaged, dumped, objects, text, values

errors = objects([("code", st.integers(-32768, -32000)), ("message", text), ("data", objects([("code", text)]))])
answers = objects([("jsonrpc", st.just("2.0")), ("id", st.just(1)), ("result", values), ("error", errors)])
LINES = damaged(answers.map(dumped)) | st.binary(max_size=60)


@given(st.data(), st.lists(LINES, max_size=3))
def test_whatever_answers_come_only_the_clients_own_errors_are_raised(data: st.DataObject, said: list[bytes]) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs, mock.patch("protocol.client._connect", return_value=ours), Client("unused", timeout=10) as client:
        for chunk in data.draw(chunks(b"\n".join(said) + b"\n")):
            theirs.sendall(chunk)
        theirs.shutdown(socket.SHUT_WR)
        for _ in range(len(said) + 1):
            with contextlib.suppress(ClientError):
                client.call("ping")
