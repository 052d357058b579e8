"""Submitting payloads as the text they came in: a number too long or too exact for Python passes through unchanged."""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from protocol.client import Client


class VerbatimClient(Client):
    """A client that also takes payloads which are JSON text already, on one line each."""

    def submit_text(self, queue: str, payload: str, options: dict[str, Any]) -> dict[str, Any]:
        """As `submit`."""
        answer: dict[str, Any] = self._call_text("submit", _job(queue, payload, options))
        return answer

    def submit_texts(self, queue: str, payloads: Iterable[str], options: dict[str, Any]) -> list[dict[str, Any]]:
        """As `submit_many`, with the same queue and options for each."""
        jobs = ",".join(_job(queue, payload, options) for payload in payloads)
        answers: list[dict[str, Any]] = self._call_text("submit_many", f'{{"jobs":[{jobs}]}}')["jobs"]
        return answers

    def _call_text(self, method: str, params: str) -> Any:
        """`call` for parameters that are text, with no request of ours unanswered: the daemon then reads until it has
        all of it, and the socket may block meanwhile."""
        self._last_id += 1
        line = f'{{"jsonrpc":"2.0","id":{self._last_id},"method":"{method}","params":{params}}}\n'.encode()
        self._socket.setblocking(True)
        with suppress(ConnectionError):  # what it said before it left is still to be read
            self._socket.sendall(line)
        self._socket.setblocking(False)
        return self._answer(self._last_id, None)


def _job(queue: str, payload: str, options: dict[str, Any]) -> str:
    rest = json.dumps({"queue": queue, **options}, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f'{rest[:-1]},"payload":{payload}}}'
