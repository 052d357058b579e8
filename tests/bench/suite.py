"""All measurements, by name, in the order in which they run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from tests.bench import backlog, batches, disk, events, keys, latency, mapping, purge, throughput
from tests.bench.figures import Figure
from tests.bench.report import Report
from tests.bench.setting import Setting


class Part(NamedTuple):
    title: str
    measure: Callable[[Setting], Iterator[Figure]]


PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "disk": Part("What a sync costs, and how many there are", disk.measure),
        "latency": Part("One job at a time", latency.measure),
        "submit": Part("Submits to a paused queue, one connection", throughput.measure_submits),
        "drain": Part("Working off a full queue", throughput.measure_drain),
        "events": Part("What the journal of events costs", events.measure),
        "backlog": Part("With many jobs waiting", backlog.measure),
        "keys": Part("Limits by key", keys.measure),
        "map": Part("A file of lines through a command", mapping.measure),
        "batch": Part("Batches", batches.measure),
        "purge": Part("Purging a queue while another is served", purge.measure),
    }
)


def run(names: Sequence[str], setting: Setting, report: Report) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        report.part(PARTS[name].title)
        for figure in PARTS[name].measure(setting):
            report.figure(figure)
            figures.append(figure)
    report.end(figures)
    return figures
