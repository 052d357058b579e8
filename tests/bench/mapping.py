"""`stoker map`: a file through warm workers, beside a bare pipe to one of them and a worker started for each line.

All are timed as a person would, from the command's start to its end.
"""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

from tests.bench.figures import MS, Figure, ceiling, rate, ratio, ratios
from tests.bench.lines import Lines, ping_pong, streamed, with_parallel, with_xargs
from tests.bench.setting import ECHO_PLAINLY, WORKERS, Setting

_OF_THE_PIPE = 0.5
_TIMES_SPAWNING = 500.0
_LOOK = 0.05  # seconds
_HIGHEST = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_SPAWNERS = {
    f"parallel -j{WORKERS}, a python3 for each line": (with_parallel, "parallel"),
    f"xargs -P{WORKERS}, a python3 for each line": (with_xargs, "findutils"),
}


class _Run(NamedTuple):
    seconds: float
    memory: float  # MB at the highest, of stoker alone


def measure(setting: Setting) -> Iterator[Figure]:
    """Each round beside its own references, because machines drift."""
    sizes = setting.sizes
    folder = setting.new_folder("map")
    output = folder / "output"
    many, few, one = (Lines.make(folder, count) for count in (sizes.lines, sizes.spawned_lines, 1))
    piped, poured, boots, memory = [], [], [], []
    mapped: dict[int, list[float]] = {1: [], WORKERS: []}
    spawned: dict[str, list[float]] = {name: [] for name in _SPAWNERS}
    for _ in range(sizes.rounds):
        piped.append(many.count / ping_pong(many, output))
        many.check_replies(output)
        for workers, samples in mapped.items():
            run = _stoker_map(many, output, workers)
            many.check_results(output)
            samples.append(many.count / run.seconds)
            memory.append(run.memory)
        poured.append(many.count / streamed(many, output))
        many.check_replies(output)
        for name, (spawn, _) in _SPAWNERS.items():
            if (seconds := spawn(few, output, WORKERS)) is not None:
                few.check_replies(output)
                spawned[name].append(few.count / seconds)
        boots.append(_stoker_map(one, output, 1).seconds * MS)
        one.check_results(output)
    yield rate("bare pipe, one worker, a line at a time", piped, unit="lines/s")
    yield rate("bare pipe, one worker, worker < in > out", poured, unit="lines/s")
    for workers, samples in mapped.items():
        yield rate(f"stoker map -w{workers}", samples, unit="lines/s")
    yield ceiling("stoker map -w1 of a single line", boots, "ms")
    yield ceiling("memory of stoker map at the highest", memory, "MB")
    yield ratio("stoker map -w1 / bare pipe", ratios(mapped[1], piped), at_least=_OF_THE_PIPE)
    for name, samples in spawned.items():
        yield from _compare(name, samples, mapped[WORKERS])


def _compare(name: str, spawned: list[float], mapped: list[float]) -> Iterator[Figure]:
    short = name.partition(",")[0]
    if not spawned:
        _, package = _SPAWNERS[name]
        note = f"not installed: Debian's package {package}"
        yield Figure(name=name, value=None, unit="lines/s", note=note)
        yield Figure(name=f"stoker map -w{WORKERS} / {short}", value=None, unit="x", goal=_TIMES_SPAWNING, note=note)
        return
    yield rate(name, spawned, unit="lines/s")
    yield ratio(f"stoker map -w{WORKERS} / {short}", ratios(mapped, spawned), at_least=_TIMES_SPAWNING)


def _stoker_map(lines: Lines, output: Path, workers: int) -> _Run:
    command = [sys.executable, "-m", "supervisor", "map", f"-w{workers}", "--", *ECHO_PLAINLY]
    with lines.inputs.open("rb") as file, output.open("wb") as to:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=file, stdout=to)
        memory = _Memory(process.pid)
        process.wait()
        seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"stoker map ended with exit code {process.returncode}")
    return _Run(seconds, memory.highest())


class _Memory:
    """Looks now and then: what the kernel tells of a child that has ended includes who it was before its exec."""

    def __init__(self, pid: int) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self._highest = 0.0
        self._over = Event()
        self._thread = Thread(target=self._watch)
        self._thread.start()

    def highest(self) -> float:
        """MB, once the process has ended."""
        self._over.set()
        self._thread.join()
        return self._highest

    def _watch(self) -> None:
        while not self._over.wait(_LOOK):
            with suppress(OSError):
                found = _HIGHEST.search(self._status.read_text())
                self._highest = int(found[1]) * 1024 / 1e6 if found else self._highest
