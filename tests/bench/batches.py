"""A batch through the daemon: how fast, beside the plain drain of the same run; and what a large one costs others."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from tests.bench.daemon import QUEUE, Daemon
from tests.bench.figures import MS, Figure, ceiling, percentile, rate, ratio, ratios
from tests.bench.jobs import WrongResult, check_done, drain, fill, pause, payload
from tests.bench.latency import single_job
from tests.bench.lines import Lines
from tests.bench.setting import Setting
from tests.bench.wire import Wire

_BESIDE = "batch"  # a queue of the same workers
_LOOK = 0.002  # seconds between two looks
_PATIENCE = 600.0  # seconds without a line more
_OF_THE_DRAIN = 0.5
_FIRST = 1.0  # seconds
_MORE_MB = 40.0


class _Record(msgspec.Struct):
    line: int
    result: dict[str, int]


_record = msgspec.json.Decoder(_Record).decode


def measure(setting: Setting) -> Iterator[Figure]:
    sizes = setting.sizes
    folder = setting.new_folder("batch")
    with Daemon(folder, beside=_BESIDE) as daemon, daemon.connect() as wire:
        yield from _speed(wire, Lines.make(folder, sizes.drain), sizes.rounds)
    folder = setting.new_folder("batch")
    with Daemon(folder, beside=_BESIDE) as daemon, daemon.connect() as wire:
        yield from _large(daemon, wire, Lines.make(folder, sizes.many), sizes.latency)


def _speed(wire: Wire, lines: Lines, rounds: int) -> Iterator[Figure]:
    """Round by round side by side, because machines drift."""
    plain, submitted, batched = [], [], []
    for _ in range(rounds):
        pause(wire)
        took, jobs = fill(wire, lines.count)
        seconds = drain(wire, jobs[-1])
        plain.append(lines.count / seconds)
        submitted.append(lines.count / (took + seconds))
        check_done(wire, jobs)
        start = time.perf_counter()
        batch = _finished(wire, _submit(wire, lines, QUEUE))
        batched.append(lines.count / (time.perf_counter() - start))
        _check(wire, batch, lines.count)
    yield rate(f"drain of {lines.count:,} jobs", plain)
    yield rate("the same with their submits, 1000 at a time", submitted)
    yield rate(f"batch of {lines.count:,} lines, from submit to end", batched, unit="lines/s")
    yield ratio("batch / drain", ratios(batched, plain), at_least=_OF_THE_DRAIN)


def _large(daemon: Daemon, wire: Wire, lines: Lines, alone: int) -> Iterator[Figure]:
    before = [single_job(wire, number)[1] * MS for number in range(alone)]
    memory = daemon.memory()
    start = time.perf_counter()
    batch = _submit(wire, lines, _BESIDE)
    answered = time.perf_counter() - start
    while not _done(batch := _get(wire, batch["id"])):
        time.sleep(_LOOK)
    first = time.perf_counter() - start
    meanwhile = _meanwhile(daemon, wire, batch["id"])
    took = time.perf_counter() - start
    more = daemon.memory("VmHWM") - memory
    _check(wire, _get(wire, batch["id"]), lines.count)
    yield rate(f"batch of {lines.count:,} lines, others beside it", [lines.count / took], unit="lines/s")
    yield ceiling("submit -> answer", [answered], "s")
    yield ceiling("submit -> first line done", [first], "s", goal=_FIRST)
    yield ceiling("more memory of the daemon at the highest", [more], "MB", goal=_MORE_MB)
    for percent in (50, 99):
        yield ceiling(f"submit -> result in another queue before, p{percent}", [percentile(before, percent)], "ms")
    for percent in (50, 99):
        note = f"of {len(meanwhile):,} jobs"
        yield ceiling(f"submit -> result meanwhile, p{percent}", [percentile(meanwhile, percent)], "ms", note=note)
    yield ceiling("submit -> result meanwhile, the longest", [max(meanwhile)], "ms")


def _meanwhile(daemon: Daemon, wire: Wire, batch: str) -> list[float]:
    """Milliseconds of each job of the other queue, one after the other, until the batch is at its end."""
    latencies: list[float] = []
    with daemon.connect() as other, ThreadPoolExecutor(1) as pool:
        finishing = pool.submit(_finished, other, _get(other, batch))
        while not finishing.done() or not latencies:
            latencies.append(single_job(wire, len(latencies))[1] * MS)
        finishing.result()
    return latencies


def _submit(wire: Wire, lines: Lines, queue: str) -> dict[str, Any]:
    batch: dict[str, Any] = wire.call("batch_submit", {"queue": queue, "path": str(lines.inputs)})
    return batch


def _get(wire: Wire, batch: str) -> dict[str, Any]:
    found: dict[str, Any] = wire.call("batch_get", {"id": batch})
    return found


def _done(batch: dict[str, Any]) -> int:
    return int(batch["counts"]["completed"])


def _finished(wire: Wire, batch: dict[str, Any]) -> dict[str, Any]:
    """The batch at its end. Raises WrongResult where nothing moves any more."""
    done, deadline = _done(batch), time.monotonic() + _PATIENCE
    while batch["finished_at"] is None:
        time.sleep(_LOOK)
        batch = _get(wire, batch["id"])
        if _done(batch) > done:
            done, deadline = _done(batch), time.monotonic() + _PATIENCE
        elif time.monotonic() > deadline:
            raise WrongResult(f"a batch stands still: {batch}")
    return batch


def _check(wire: Wire, batch: dict[str, Any], count: int) -> None:
    """Each line has one record, with the result that is its own; then the batch is deleted. Raises WrongResult."""
    if (batch["state"], batch["counts"]["total"], _done(batch)) != ("completed", count, count):
        raise WrongResult(f"{count} lines were to be completed, and the batch is {batch}")
    records = map(_record, (Path(batch["folder"]) / "output.jsonl").read_bytes().splitlines())
    found = sorted((record.line, record.result["n"]) for record in records)
    if found != [(number + 1, payload(number)["n"]) for number in range(count)]:
        raise WrongResult(f"the {count} lines of a batch are not answered once each with what is theirs")
    wire.call("batch_delete", {"id": batch["id"]})
