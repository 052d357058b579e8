"""Other queues, and other policies of queues, for a feeder at work.

A queue that is configured no more keeps its line: its jobs that run come to their ends in it, and whatever else it had
is in the store. Where a queue begins to limit keys, its jobs that run are known by theirs first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from supervisor.config.model import QueueConfig
from supervisor.pool.feeder import Feeder
from supervisor.pool.line import Line
from supervisor.pool.run import Run


def begin_to_limit_keys(feeder: Feeder, queues: Sequence[QueueConfig]) -> list[str]:
    """Those of the queues that limit keys now, and did not while some of their jobs were read."""
    return [
        queue.name
        for queue in queues
        if queue.keyed and (line := feeder.lines.get(queue.name)) is not None and not line.policy.keyed
    ]


@contextmanager
def held(feeder: Feeder, queues: Sequence[str]) -> Iterator[None]:
    """None of their jobs begins meanwhile."""
    for name in queues:
        feeder.sweep(name)
    try:
        yield
    finally:
        for name in queues:
            feeder.swept(name)


def running(feeder: Feeder, queue: str) -> list[Run]:
    """Those that hold a place in their queue's limits: the attempt is not over."""
    return [run for run in feeder.running.values() if run.row.queue == queue and run.outcome is None]


def tell_lanes(feeder: Feeder, lanes: Mapping[int, str]) -> None:
    """Of jobs that are checked out, by their seq."""
    for run in feeder.running.values():
        lane = lanes.get(run.row.seq)
        if lane is not None:
            run.row = msgspec.structs.replace(run.row, lane=lane)


def revise_queues(feeder: Feeder, queues: Sequence[QueueConfig], paused: Collection[str]) -> None:
    """From now on these are the queues; `paused` says of new ones whether somebody paused them once."""
    lines = feeder.lines
    for queue in queues:
        line = lines.get(queue.name)
        if line is None:
            line = lines[queue.name] = Line(queue)
            line.pause(queue.name in paused)
            continue
        if not line.configured:
            line.return_to()
        if line.policy != queue:
            line.revise(queue, [run.row for run in running(feeder, queue.name)])
    names = {queue.name for queue in queues}
    for line in lines.values():
        if line.configured and line.name not in names:
            line.retire()
