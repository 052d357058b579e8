"""What a pool's keys say together about how several queues share it."""

from collections.abc import Mapping
from typing import Any

from supervisor.config.reading import Reading, join, shown


def check(reading: Reading, at: str, values: Mapping[str, Any], *, own: str) -> None:
    """`own`: the queue of a pool that names none."""
    queues: tuple[str, ...] = values.get("queues", (own,))
    weights, reserves = dict(values.get("weight", ())), dict(values.get("reserve", ()))
    for key, table in (("weight", weights), ("reserve", reserves)):
        for queue in table:
            if queue not in queues:
                known = ", ".join(map(shown, queues))
                reading.problem(
                    join(join(at, key), queue), f"found a queue that the pool does not serve, expected one of {known}"
                )
    if len(queues) == 1:
        for key, table in (("weight", weights), ("reserve", reserves)):
            if table.keys() == set(queues):
                _unused(reading, join(at, key), "the pool has one queue only", "several in queues")
    elif weights and values.get("order") == "strict":
        _unused(reading, join(at, "weight"), 'order is "strict"', 'order = "weight"')
    if reserves.keys() <= set(queues):
        _room(reading, join(at, "reserve"), queues, reserves, values.get("max", 1))


def _unused(reading: Reading, at: str, why: str, instead: str) -> None:
    reading.problem(at, f"found where {why}, expected {instead}: it has no effect")


def _room(reading: Reading, at: str, queues: tuple[str, ...], reserves: dict[str, int], most: int) -> None:
    """Every queue must be able to get a worker."""
    reserved = sum(reserves.values())
    if reserved > most:
        reading.problem(at, f"found {reserved} workers in all, expected at most the pool's {most}")
    elif reserved == most and (left := [queue for queue in queues if not reserves.get(queue)]):
        names = ", ".join(map(shown, left))
        found = "the pool's only worker" if most == 1 else f"all of the pool's {most} workers"
        reading.problem(at, f"found {found}, expected fewer: nothing would be left for {names}")
