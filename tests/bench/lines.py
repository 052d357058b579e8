"""A file of lines, and what others than stoker make of it: the same worker on a bare pipe, or started for each."""

import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.bench.jobs import WrongResult, payload
from tests.bench.setting import ECHO_PLAINLY
from tests.bench.wire import encode

_CHUNK = 65536
_ID = "0199f3c2-0000-7000-8000-{:012}"

# Its one line is an argument; a worker reads it from its stdin, so there has to be a shell in between.
_HAND_OVER = f'printf "%s\\n" "$1" | {shlex.join(ECHO_PLAINLY)}'


class _Reply(msgspec.Struct):
    id: str
    result: msgspec.Raw


_reply = msgspec.json.Decoder(_Reply).decode


class Lines(NamedTuple):
    """`inputs`: payloads, for stoker. `requests`: the same as the worker wants to read them, for those who are not."""

    count: int
    inputs: Path
    requests: Path

    @classmethod
    def make(cls, folder: Path, count: int) -> "Lines":
        lines = cls(count, folder / f"{count}.jsonl", folder / f"{count}.requests")
        numbers = range(count)
        lines.inputs.write_bytes(b"".join(encode(payload(number)) + b"\n" for number in numbers))
        lines.requests.write_bytes(b"".join(_request(number) for number in numbers))
        return lines

    def check_results(self, output: Path) -> None:
        """The worker answers with its payload: these are the input, byte for byte. Raises WrongResult."""
        if output.read_bytes() != self.inputs.read_bytes():
            raise WrongResult(f"{output} is not what the worker makes of {self.inputs}")

    def check_replies(self, output: Path) -> None:
        """The same of a worker's own words, in any order. Raises WrongResult."""
        replies = sorted(map(_reply, output.read_bytes().splitlines()), key=lambda reply: reply.id)
        if b"".join(bytes(reply.result) + b"\n" for reply in replies) != self.inputs.read_bytes():
            raise WrongResult(f"{output} is not what the worker makes of {self.requests}")


def _request(number: int) -> bytes:
    return encode({"id": _ID.format(number), "payload": payload(number), "queue": "echo", "attempt": 1}) + b"\n"


def ping_pong(lines: Lines, output: Path) -> float:
    """Seconds of a blocking program that hands one worker a line, waits for the answer, and goes on to the next; from
    the worker's start to its end, as all that follow."""
    requests = lines.requests.read_bytes().splitlines(keepends=True)
    start = time.perf_counter()
    with output.open("wb") as file, subprocess.Popen(ECHO_PLAINLY, stdin=-1, stdout=-1, bufsize=0) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        there, back = worker.stdin.fileno(), worker.stdout.fileno()
        for request in requests:
            os.write(there, request)
            file.write(os.read(back, _CHUNK))  # a whole line: it is shorter than a pipe's atomic write
        worker.stdin.close()
    return time.perf_counter() - start


def streamed(lines: Lines, output: Path) -> float:
    """Seconds of `worker < requests > output`: nobody waits for an answer, and nobody notices a wrong one."""
    return _redirected(ECHO_PLAINLY, lines, output)


def with_parallel(lines: Lines, output: Path, workers: int) -> float | None:
    """Seconds of GNU parallel, which starts a worker for each line, so many at a time; None where there is none."""
    if shutil.which("parallel") is None:
        return None
    command = ["parallel", "--will-cite", f"-j{workers}", "--keep-order", "--pipe", "-N1", *ECHO_PLAINLY]
    return _redirected(command, lines, output, PARALLEL_HOME=str(output.parent))


def with_xargs(lines: Lines, output: Path, workers: int) -> float | None:
    """The same with `xargs -P`."""
    if shutil.which("xargs") is None:
        return None
    return _redirected(["xargs", f"-P{workers}", "-d\\n", "-n1", "sh", "-c", _HAND_OVER, "sh"], lines, output)


def _redirected(command: Sequence[str], lines: Lines, output: Path, **env: str) -> float:
    with lines.requests.open("rb") as requests, output.open("wb") as file:
        start = time.perf_counter()
        subprocess.run(command, stdin=requests, stdout=file, env={**os.environ, **env}, check=True)
        return time.perf_counter() - start
