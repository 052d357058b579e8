"""What a sync costs here, and that every answer was preceded by one."""

from collections.abc import Iterator

from supervisor.store.sqlite.opening import create, open_writer
from tests.bench.daemon import QUEUE, Daemon, can_count_syncs
from tests.bench.figures import MS, Figure, ceiling, percentile
from tests.bench.jobs import drain, fill, finished, pause, payload, resume
from tests.bench.references import append_latencies, overwrite_latencies
from tests.bench.setting import Setting

FULL = 2


def measure(setting: Setting) -> Iterator[Figure]:
    folder = setting.new_folder("disk")
    for name, probe in (("append", append_latencies), ("overwrite", overwrite_latencies)):
        rounds = [probe(folder / f"{name}-{number}", setting.sizes.syncs) for number in range(setting.sizes.rounds)]
        for percent in (50, 99):
            samples = [percentile(one, percent) * MS for one in rounds]
            yield ceiling(f"write + fdatasync, {name}, p{percent}", samples, "ms")
    yield _synchronous(setting)
    if can_count_syncs():
        yield from _count(setting)
    else:
        yield Figure(name="syncs for each job", value=None, unit="", note="strace is missing, too old, or not allowed")


def _synchronous(setting: Setting) -> Figure:
    """As the daemon opens its store, read back."""
    path = setting.new_folder("pragma") / "stoker.db"
    create(path)
    connection = open_writer(path, synchronous="FULL", vfs=None)
    found = float(connection.pragma("synchronous"))
    connection.close()
    return Figure(name="PRAGMA synchronous, read back", value=found, unit="", goal=FULL, note="2 is FULL")


def _count(setting: Setting) -> Iterator[Figure]:
    count = setting.sizes.counted
    with Daemon(setting.new_folder("syncs"), count_syncs=True) as daemon, daemon.connect() as wire:
        pause(wire)
        before = daemon.syncs()
        for number in range(count):
            wire.call("submit", {"queue": QUEUE, "payload": payload(number)})
        yield _each("syncs for each submit, one at a time", daemon.syncs() - before, count, goal=1.0)
        resume(wire)
        finished(wire)
        before = daemon.syncs()
        for number in range(count):
            job = wire.call("submit", {"queue": QUEUE, "payload": payload(number)})
            wire.call("wait", {"id": job["id"]})
        yield _each("syncs for each submit and its result", daemon.syncs() - before, count, goal=2.0)
        pause(wire)
        _, jobs = fill(wire, setting.sizes.slice)
        before = daemon.syncs()
        drain(wire, jobs[-1])
        yield _each("syncs for each job of a drain", daemon.syncs() - before, len(jobs))


def _each(name: str, syncs: int, jobs: int, goal: float | None = None) -> Figure:
    return Figure(name=name, value=syncs / jobs, unit="", goal=goal, note=f"{syncs} for {jobs}")
