"""Purging a queue while another one is served: how fast it is, and what the other's clients notice."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.bench.daemon import Daemon
from tests.bench.figures import MS, Figure, ceiling, percentile, rate
from tests.bench.jobs import WrongResult, fill, pause
from tests.bench.latency import single_job
from tests.bench.setting import Setting
from tests.bench.wire import Wire

_QUEUE = "purged"
_BITE = 50_000  # jobs submitted at once
_STALL = 50.0  # ms


def measure(setting: Setting) -> Iterator[Figure]:
    sizes = setting.sizes
    with Daemon(setting.new_folder("purge"), beside=_QUEUE) as daemon, daemon.connect() as wire:
        pause(wire, _QUEUE)
        for start in range(0, sizes.many, _BITE):
            fill(wire, min(_BITE, sizes.many - start), queue=_QUEUE)
        before = [single_job(wire, number)[1] * MS for number in range(sizes.latency)]
        with daemon.connect() as other:
            took, meanwhile = _purge(wire, other, sizes.many)
    yield rate(f"purge, {sizes.many:,} pending", [sizes.many / took])
    for percent in (50, 99):
        yield ceiling(f"submit -> result in another queue before, p{percent}", [percentile(before, percent)], "ms")
    for percent in (50, 99):
        note = f"of {len(meanwhile):,} jobs"
        yield ceiling(f"submit -> result meanwhile, p{percent}", [percentile(meanwhile, percent)], "ms", note=note)
    yield ceiling("submit -> result meanwhile, the longest", [max(meanwhile)], "ms", goal=_STALL, note=_before(before))


def _before(latencies: list[float]) -> str:
    return f"{max(latencies):.1f} ms before"


def _purge(wire: Wire, other: Wire, count: int) -> tuple[float, list[float]]:
    """The seconds it took, and the milliseconds of each job of the other queue meanwhile, one after the other."""
    meanwhile: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        start = time.perf_counter()
        purging = pool.submit(other.call, "purge", {"queue": _QUEUE})
        while not purging.done() or not meanwhile:
            meanwhile.append(single_job(wire, len(meanwhile))[1] * MS)
        took = time.perf_counter() - start
    answer = purging.result()
    if answer["changed"] != count:
        raise WrongResult(f"{count} jobs were to be purged, and the answer is {answer}")
    return took, meanwhile
