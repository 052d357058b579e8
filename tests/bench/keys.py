"""Limits by key: what many keys cost, and what a blocked one costs the others."""

import time
from collections.abc import Iterator

from tests.bench.daemon import Daemon
from tests.bench.figures import MS, Figure, ceiling, percentile, rate, ratio, ratios
from tests.bench.jobs import check_done, drain, fill, pause, resume
from tests.bench.latency import single_job
from tests.bench.setting import Setting
from tests.bench.wire import Wire

_KEYS = 1000
_BITE = 50_000  # jobs submitted at once
_SLOWER = 0.9
_DELAY = 50.0  # ms
_PLENTY = {"rate_per_key": "1000000/s", "burst_per_key": 1_000_000, "concurrency_per_key": 1000}
_ONE_AN_HOUR = {"rate_per_key": "1/h"}


def measure(setting: Setting) -> Iterator[Figure]:
    yield from _many_keys(setting)
    yield from _blocked(setting)


def _many_keys(setting: Setting) -> Iterator[Figure]:
    """Two daemons that take turns: machines drift."""
    sizes = setting.sizes
    drained: dict[str, list[float]] = {"without": [], "with": []}
    with (
        Daemon(setting.new_folder("plain")) as plain,
        Daemon(setting.new_folder("keys"), limits=_PLENTY) as keyed,
        plain.connect() as wire,
        keyed.connect() as other,
    ):
        for _ in range(sizes.rounds):
            drained["without"].append(_drain(wire, sizes.drain, 0))
            drained["with"].append(_drain(other, sizes.drain, _KEYS))
    yield rate("drain, a queue without keys", drained["without"])
    yield rate(f"drain, {_KEYS:,} keys, rate and concurrency of each", drained["with"])
    yield ratio("drain, with keys / without", ratios(drained["with"], drained["without"]), at_least=_SLOWER)


def _drain(wire: Wire, count: int, keys: int) -> float:
    pause(wire)
    _, jobs = fill(wire, count, keys=keys)
    took = drain(wire, jobs[-1])
    check_done(wire, jobs)
    return count / took


def _blocked(setting: Setting) -> Iterator[Figure]:
    sizes = setting.sizes
    with Daemon(setting.new_folder("blocked"), limits=_ONE_AN_HOUR) as daemon:
        with daemon.connect() as wire:
            before = [_other(wire, number) for number in range(sizes.latency)]
            for start in range(0, sizes.many, _BITE):
                fill(wire, min(_BITE, sizes.many - start), first=start, keys=1)
            behind = [_other(wire, number) for number in range(sizes.latency)]
        yield ceiling("submit -> result, no job waits, p50", [percentile(before, 50)], "ms")
        name = f"behind {sizes.many:,} jobs of a blocked key"
        yield ceiling(f"submit -> result, {name}, p50", [percentile(behind, 50)], "ms")
        yield ceiling(f"submit -> result, {name}, p99", [percentile(behind, 99)], "ms")
        yield ceiling(f"submit -> result, {name}, the longest", [max(behind)], "ms", goal=_DELAY)
        found = [_found_anew(daemon, number) for number in range(sizes.rounds)]
        yield ceiling("resume -> result, waiting behind them since before a kill -9", found, "ms", goal=_DELAY)


def _other(wire: Wire, number: int) -> float:
    """Milliseconds. Its job has no key of the blocked kind."""
    return single_job(wire, number, concurrency_key=f"other {number}")[1] * MS


def _found_anew(daemon: Daemon, number: int) -> float:
    """Milliseconds until a job is done that no daemon has in memory, from the moment when it may begin."""
    with daemon.connect() as wire:
        pause(wire)
        _, [job] = fill(wire, 1, first=number, concurrency_key="other")
    daemon.kill()
    daemon.launch()
    with daemon.connect() as wire:
        daemon.until_idle(wire)
        start = time.perf_counter()
        resume(wire)
        wire.call("wait", {"id": job})
        return (time.perf_counter() - start) * MS
