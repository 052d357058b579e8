"""One job at a time: from its submit to its result, as the client sees it, beside the floor."""

import time
from collections.abc import Iterator

from tests.bench.daemon import QUEUE, Daemon
from tests.bench.figures import MS, Figure, ceiling, percentile, ratios
from tests.bench.jobs import payload
from tests.bench.references import floor_latencies
from tests.bench.setting import Setting
from tests.bench.wire import Wire, request, result

_P50, _P99, _TIMES_FLOOR = 1.0, 2.5, 4.0


def measure(setting: Setting) -> Iterator[Figure]:
    sizes = setting.sizes
    folder = setting.new_folder("latency")
    floors: dict[int, list[float]] = {50: [], 99: []}
    jobs: dict[int, list[float]] = {50: [], 99: []}
    submits: dict[int, list[float]] = {50: [], 99: []}
    with Daemon(folder) as daemon, daemon.connect() as wire:
        for number in range(sizes.rounds):
            _note(floors, floor_latencies(folder / f"floor-{number}", sizes.latency))
            answered, ended = _single_jobs(wire, sizes.latency)
            _note(submits, answered)
            _note(jobs, ended)
    yield ceiling("floor (log, fdatasync, ask a child), p50", floors[50], "ms")
    yield ceiling("floor (log, fdatasync, ask a child), p99", floors[99], "ms")
    yield ceiling("submit -> answer, p50", submits[50], "ms")
    yield ceiling("submit -> answer, p99", submits[99], "ms")
    yield ceiling("submit -> result, p50", jobs[50], "ms", goal=_P50)
    yield ceiling("submit -> result, p99", jobs[99], "ms", goal=_P99)
    for percent in (50, 99):
        times = ratios(jobs[percent], floors[percent])
        yield ceiling(f"submit -> result / floor, p{percent}", times, "x", goal=_TIMES_FLOOR)


def _note(percentiles: dict[int, list[float]], seconds: list[float]) -> None:
    for percent, samples in percentiles.items():
        samples.append(percentile(seconds, percent) * MS)


def _single_jobs(wire: Wire, count: int) -> tuple[list[float], list[float]]:
    """Seconds until the submit was answered, and until the result was there."""
    answered, ended = [], []
    for number in range(count):
        one = single_job(wire, number)
        answered.append(one[0])
        ended.append(one[1])
    return answered, ended


def single_job(wire: Wire, number: int) -> tuple[float, float]:
    """Seconds until its submit was answered, and until its result was there."""
    asked = request("submit", {"queue": QUEUE, "payload": payload(number)})
    start = time.perf_counter()
    job = result(wire.ask(asked))
    middle = time.perf_counter()
    line = wire.ask(request("wait", {"id": job["id"]}))
    end = time.perf_counter()
    found = result(line)
    assert (found["state"], found["result"]) == ("done", payload(number)), found
    return middle - start, end - start
