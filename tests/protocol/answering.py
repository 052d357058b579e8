"""A stand-in for the daemon: a Unix socket that a thread serves the way the test says."""

import json
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

Serve = Callable[["Conversation"], None]


class Conversation:
    """One accepted connection, seen from the daemon's side."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._lines = connection.makefile("rb")

    def requests(self) -> Iterator[dict[str, Any]]:
        """Each request, until the client closes."""
        for line in self._lines:
            yield json.loads(line)

    def request(self) -> dict[str, Any]:
        return next(self.requests())

    def send(self, *messages: Any) -> None:
        """All of them with one write."""
        self.connection.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in messages))

    def close(self) -> None:
        self._lines.close()
        self.connection.close()


class Answering:
    """Serves one connection after another with `serve`. What `serve` raises, leaving the block raises again."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="stoker-")
        self.path = str(Path(self._folder.name, "s"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # ends accept()
        self._thread.join(10)
        self._listener.close()
        self._folder.cleanup()
        assert not self._thread.is_alive(), "a conversation never ended: the client was left open"
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            conversation = Conversation(connection)
            try:
                self._serve(conversation)
            except BaseException as failure:
                self._failure = failure
            finally:
                conversation.close()


def result(request: dict[str, Any], value: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request["id"], "result": value}


def error(request_id: Any, number: int, message: str, /, **data: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": request_id, "error": {"code": number, "message": message, "data": data}}
