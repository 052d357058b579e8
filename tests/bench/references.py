"""What the same machine does at the same time without stoker: the bare parts it is made of, and what it replaces."""

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import trio

from tests.bench.setting import ECHO, ECHO_PLAINLY, WORKERS
from tests.bench.wire import encode

_CHUNK = 65536
_PAGE = 4096
_REQUEST = {"id": "0199f3c2-0000-7000-8000-000000000000", "payload": {"n": 1}, "queue": "echo", "attempt": 1}
LINE = encode(_REQUEST) + b"\n"


class EchoChild:
    """An echo worker on raw pipes."""

    def __init__(self, *, blocking: bool) -> None:
        self._process = subprocess.Popen(ECHO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.stdin = self._process.stdin.fileno()
        self.stdout = self._process.stdout.fileno()
        self.ask()  # until it has booted
        os.set_blocking(self.stdin, blocking)
        os.set_blocking(self.stdout, blocking)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate()

    def ask(self) -> None:
        os.write(self.stdin, LINE)
        assert os.read(self.stdout, _CHUNK).endswith(b"}\n")

    async def ask_trio(self) -> None:
        """Try first, wait second."""
        os.write(self.stdin, LINE)
        while True:
            try:
                assert os.read(self.stdout, _CHUNK).endswith(b"}\n")
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self.stdout)
            else:
                return


def trio_round_trips(seconds: float) -> float:
    """Round trips per second of a bare trio loop with one request in flight at each of the children."""
    with ExitStack() as stack:
        children = [stack.enter_context(EchoChild(blocking=False)) for _ in range(WORKERS)]
        return trio.run(_ping_pong, children, seconds)


async def _ping_pong(children: Sequence[EchoChild], seconds: float) -> float:
    trips = 0
    start = time.perf_counter()
    end = start + seconds

    async def play(child: EchoChild) -> None:
        nonlocal trips
        while time.perf_counter() < end:
            await child.ask_trio()
            trips += 1

    async with trio.open_nursery() as nursery:
        for child in children:
            nursery.start_soon(play, child)
    return trips / (time.perf_counter() - start)


def blocking_round_trips(seconds: float) -> float:
    """Round trips per second of a blocking program and one child."""
    trips = 0
    with EchoChild(blocking=True) as child:
        start = time.perf_counter()
        while (now := time.perf_counter()) < start + seconds:
            child.ask()
            trips += 1
    return trips / (now - start)


def spawn_rate(count: int) -> float:
    """Jobs per second, one after the other, of a `python3` that is started for each."""
    start = time.perf_counter()
    for _ in range(count):
        done = subprocess.run(ECHO_PLAINLY, input=LINE, stdout=subprocess.PIPE, check=True)
        assert done.stdout.endswith(b"}\n")
    return count / (time.perf_counter() - start)


def spawn_rate_of_many(count: int) -> float:
    """The same with as many at a time as stoker has workers."""
    start = time.perf_counter()
    running = [_spawn() for _ in range(min(WORKERS, count))]
    started = len(running)
    while running:
        process = running.pop(0)
        assert process.stdout is not None
        assert process.stdout.read().endswith(b"}\n")
        process.stdout.close()
        process.wait()
        if started < count:
            running.append(_spawn())
            started += 1
    return count / (time.perf_counter() - start)


def _spawn() -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(ECHO_PLAINLY, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(LINE)
    process.stdin.close()
    return process


class Log:
    """A file that is appended to, each time down to the disk."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._fd)

    def append(self, data: bytes) -> None:
        os.write(self._fd, data)
        os.fdatasync(self._fd)


def append_latencies(path: Path, count: int) -> list[float]:
    """Seconds that each of `count` appends of a page took, with its sync."""
    with Log(path) as log:
        return [_timed(lambda: log.append(b"x" * _PAGE)) for _ in range(count)]


def overwrite_latencies(path: Path, count: int) -> list[float]:
    """The same in place, over pages that the file already has: what a database's reused log does."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        os.write(fd, bytes(_PAGE * count))
        os.fsync(fd)
        places = iter(range(0, _PAGE * count, _PAGE))

        def overwrite() -> None:
            os.pwrite(fd, b"x" * _PAGE, next(places))
            os.fdatasync(fd)

        return [_timed(overwrite) for _ in range(count)]
    finally:
        os.close(fd)


def floor_latencies(path: Path, count: int) -> list[float]:
    """Seconds for each job of the least that a durable queue could do: a blocking program that logs the job, syncs,
    and asks one child."""
    with Log(path) as log, EchoChild(blocking=True) as child:

        def job() -> None:
            log.append(LINE)
            child.ask()

        return [_timed(job) for _ in range(count)]


def _timed(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
