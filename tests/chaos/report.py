"""What a chaos run was, for a person to read, and in numbers for whoever keeps them."""

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.outside import percentile
from tests.chaos.run import Result, Slice

EVENTS = (
    *("worker_started", "worker_ended", "worker_recycled", "worker_exited", "worker_stderr", "worker_stderr_dropped"),
    *("pool_degraded", "pool_recovered", "pool_grown", "pool_shrunk", "pool_resized"),
    *("restart_started", "restart_done", "restart_failed"),
)
SHOWN = 10  # troubles, or things left


def ratio(result: Result) -> float:
    """How much longer the healthy pool's p99 is in the middle of chaos than beside the same load: the median over the
    pairs of slices. NaN without any."""
    pairs = zip(result.chaos, result.calm, strict=False)
    ratios = [percentile(one.latencies, 0.99) / percentile(other.latencies, 0.99) for one, other in pairs]
    return statistics.median(ratios) if ratios else float("nan")


def numbers(result: Result) -> dict[str, Any]:
    tally = result.tally
    return {
        "seed": result.plan.seed,
        "parts": list(result.plan.parts),
        "seconds": round(result.seconds, 1),
        "jobs": len(tally.endings) + result.healthy,
        "endings": dict(tally.outcomes),
        "behaviours": dict(tally.behaviours),
        "cancels": dict(tally.cancels),
        "moves": dict(tally.moves),
        "taken back": tally.releases,
        "pools": result.pools,
        "events": result.events,
        "recycled": result.recycled,
        "memory": result.memory,
        "chaos": [_slice(one) for one in result.chaos],
        "calm": [_slice(one) for one in result.calm],
        "ratio": ratio(result),
        "troubles": tally.troubles,
        "left": result.left,
    }


def _slice(one: Slice) -> dict[str, float]:
    tenths = {f"p{part:g}_ms": percentile(one.latencies, part / 100) * 1000 for part in (50, 99, 100)}
    return {"load": one.load, "daemon": one.daemon, "jobs": len(one.latencies), **tenths}


def text(result: Result) -> str:
    return "\n".join(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    tally, plan = result.tally, result.plan
    yield (
        f"chaos: seed {plan.seed}, {result.seconds:.0f} s, {len(tally.endings)} jobs of the chaotic pools and "
        f"{result.healthy} of the healthy one; with {', '.join(plan.parts) or 'no parts'}"
    )
    yield f"  runs:     {_counted(tally.behaviours)}"
    yield f"  endings:  {_counted(tally.outcomes)}"
    yield f"  cancels:  {_counted(tally.cancels)}; taken back uncharged: {tally.releases} attempts"
    yield f"  moves:    {_counted(tally.moves) or 'none'}"
    for name, pool in result.pools.items():
        kept = ("spawned", "crashes", "recycled", "jobs_done", "generation", "state")
        yield f"  pool {name}: " + ", ".join(f"{key} {pool[key]}" for key in kept if key in pool)
    yield f"  log:      {_counted({name: result.events.get(name, 0) for name in EVENTS})}"
    yield f"  recycled: {_counted(result.recycled) or 'none'}"
    yield f"  memory:   {' '.join(f'{size / 1e6:.1f}' for size in result.memory)} MB after each slice"
    yield from _latencies(result)
    for name, words in (("TROUBLE", tally.troubles), ("LEFT", result.left)):
        yield from (f"  {name}: {one}" for one in words[:SHOWN])
        if len(words) > SHOWN:
            yield f"  {name}: and {len(words) - SHOWN} more"


def _latencies(result: Result) -> Iterator[str]:
    yield "  healthy pool, submit to result:      load  daemon     p50     p99     max"
    for name, slices in (("in the middle of chaos", result.chaos), ("beside the same load", result.calm)):
        for one in slices:
            p50, p99, most = (percentile(one.latencies, part) * 1000 for part in (0.5, 0.99, 1))
            yield f"    {name:<30} {one.load:8.2f} {one.daemon:7.2f} {p50:7.2f} {p99:7.2f} {most:7.1f} ms"
    yield f"    p99, chaos to load: {ratio(result):.2f} (median of {min(len(result.chaos), len(result.calm))} pairs)"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(counts).most_common())
