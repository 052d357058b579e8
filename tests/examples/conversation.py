"""A worker spawned for real, spoken to over its pipes as the daemon does."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from protocol.framing import Lines
from protocol.worker import Reply, decode_reply, encode_request

PATIENCE_SECS = 20.0
MAX_LINE = 16 * 1024 * 1024


class Conversation:
    """`with Conversation(argv) as worker: worker.ask(job_id, payload)`; leaving kills what still runs."""

    def __init__(self, argv: Sequence[str], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=None if env is None else {**os.environ, **env},
            cwd=cwd,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._lines = Lines(MAX_LINE)
        self._read: list[bytes] = []

    def send(self, job_id: str, payload: Any, *, attempt: int = 1) -> None:
        raw = payload if isinstance(payload, bytes) else msgspec.json.encode(payload)
        request = memoryview(encode_request(job_id, raw, "examples", attempt, 60.0))
        while request:
            request = request[self._stdin.write(request) :]

    def receive(self) -> Reply:
        """The next line, progress included; AssertionError when none comes in time or the worker is gone."""
        return decode_reply(self.line())

    def ask(self, job_id: str, payload: Any, *, attempt: int = 1) -> Reply:
        """Send, and return the final reply, whose id is checked."""
        self.send(job_id, payload, attempt=attempt)
        while (reply := self.receive()).status == "progress":
            assert reply.id == job_id
        assert reply.id == job_id
        return reply

    def line(self) -> bytes:
        deadline = time.monotonic() + PATIENCE_SECS
        while not self._read:
            chunk = self._chunk(deadline)
            assert chunk, f"the worker ended its output (exit code {self.exit_code()})"
            self._read += self._lines.feed(chunk)
        return self._read.pop(0)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def exit_code(self) -> int:
        """Once it has exited on its own; negative: the signal."""
        return self._process.wait(PATIENCE_SECS)

    def finish(self) -> int:
        """Close stdin; the exit code. AssertionError when the worker writes anything more."""
        self._stdin.close()
        rest = self._chunk(time.monotonic() + PATIENCE_SECS)
        assert not self._read, "replies were left unread"
        assert rest == b"", f"output after the last reply: {rest!r}"
        return self.exit_code()

    def _chunk(self, deadline: float) -> bytes:
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self._stdout], [], [], left)
        assert ready, f"nothing from the worker for {PATIENCE_SECS:g} s"
        return os.read(self._stdout.fileno(), 65536)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._stdin.close()
        self._stdout.close()


def result(reply: Reply) -> Any:
    assert reply.status == "ok", reply
    return msgspec.json.decode(reply.result)
