"""A daemon that says what a test told it to: a thread with a Unix socket, speaking the control protocol."""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

Params = dict[str, Any]


class Refuse(Exception):
    """Answer with an error: `code` is the stable word, or a JSON-RPC number."""

    def __init__(self, code: str | int, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.data = data


class HangUp(Exception):
    """Close the connection in place of an answer."""


class Say(Exception):
    """Send these bytes in place of an answer."""


class LastWords(Exception):
    """Send these bytes, and close the connection."""


class Silence(Exception):
    """Never answer; go on reading."""


class ScriptedDaemon:
    """`answers`: method -> what to answer, or a function of the params that returns it or raises one of the above."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Any] = {}
        self.calls: list[tuple[str, Params]] = []
        self.lines: list[bytes] = []
        self._called = threading.Condition()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def on(self, method: str, answer: Any | Callable[[Params], Any]) -> None:
        self.answers[method] = answer

    def params(self, method: str) -> list[Params]:
        """Of every call of the method so far."""
        return [params for name, params in self.calls if name == method]

    def await_call(self, method: str, times: int = 1) -> None:
        """Return once the method was called so often; an AssertionError after 10 s."""
        with self._called:
            called = self._called.wait_for(lambda: len(self.params(method)) >= times, 10)
            assert called, f"{method} was not called {times} times"

    def close(self) -> None:
        for connection in (self._listener, *self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._converse, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as lines:
            for line in lines:
                self.lines.append(line)
                request = json.loads(line, parse_int=_integer)
                try:
                    answer = self._answer(request["method"], request["params"])
                except Silence:
                    continue
                except HangUp:
                    return
                except Say as said:
                    connection.sendall(said.args[0])
                    continue
                except LastWords as said:
                    connection.sendall(said.args[0])
                    return
                connection.sendall(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}).encode() + b"\n")

    def _answer(self, method: str, params: Params) -> dict[str, Any]:
        with self._called:
            self.calls.append((method, params))
            self._called.notify_all()
        answer = self.answers[method]
        try:
            return {"result": answer(params) if callable(answer) else answer}
        except Refuse as refusal:
            number = refusal.code if isinstance(refusal.code, int) else -32000
            data = {} if isinstance(refusal.code, int) else {"data": {"code": refusal.code, **refusal.data}}
            return {"error": {"code": number, "message": str(refusal), **data}}


def _integer(digits: str) -> int | str:
    """Python reads no longer ones."""
    return int(digits) if len(digits) <= 4300 else digits
