"""A connection that costs the measuring side as little as possible: it shares the cores with what it measures.

Requests are encoded before the clock starts, and answers are decoded after it has stopped.
"""

import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

_CHUNK = 1024 * 1024
_PATIENCE = 120.0  # seconds without a byte

encode = msgspec.json.encode


class Refused(Exception):
    """The daemon said no."""


def request(method: str, params: object, number: int = 0) -> bytes:
    return encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + b"\n"


def result(line: bytes) -> Any:
    return _result(msgspec.json.decode(line))


def _result(answer: dict[str, Any]) -> Any:
    if "result" not in answer:
        raise Refused(answer["error"]["message"])
    return answer["result"]


class Wire:
    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE)
        try:
            self._socket.connect(str(path))
        except BaseException:
            self._socket.close()
            raise
        self._buffer = bytearray()
        self._scanned = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, line: bytes) -> None:
        self._socket.sendall(line)

    def receive(self) -> bytes:
        """The next answer."""
        while (end := self._buffer.find(b"\n", self._scanned)) < 0:
            self._scanned = len(self._buffer)
            chunk = self._socket.recv(_CHUNK)
            if not chunk:
                raise ConnectionError("the daemon closed the connection")
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._scanned = 0
        return line

    def ask(self, line: bytes) -> bytes:
        self._socket.sendall(line)
        return self.receive()

    def ask_all(self, lines: Sequence[bytes], ahead: int) -> list[bytes]:
        """The answers, in their order of arrival; up to `ahead` requests are under way at any time."""
        answers = []
        for number, line in enumerate(lines):
            if number >= ahead:
                answers.append(self.receive())
            self.send(line)
        answers += [self.receive() for _ in range(len(lines) - len(answers))]
        return answers

    def call(self, method: str, params: object = None) -> Any:
        return result(self.ask(request(method, {} if params is None else params)))


def submits(queue: str, payloads: Iterable[object], group: int, keys: int = 0, **options: object) -> list[bytes]:
    """submit_many requests of `group` jobs each, by turns with so many keys (0: without)."""
    jobs: list[dict[str, object]] = [{"queue": queue, "payload": payload, **options} for payload in payloads]
    for number, job in enumerate(jobs if keys else ()):
        job["rate_key"] = job["concurrency_key"] = f"key-{number % keys}"
    return [
        request("submit_many", {"jobs": jobs[start : start + group]}, start) for start in range(0, len(jobs), group)
    ]


def ids(answers: Iterable[bytes]) -> list[str]:
    """The job ids that these submits were answered with, in the order of the requests: answers may overtake."""
    in_order = sorted(map(msgspec.json.decode, answers), key=lambda answer: answer["id"])
    return [job["id"] for answer in in_order for job in _result(answer)["jobs"]]
