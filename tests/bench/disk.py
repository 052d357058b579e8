"""What a sync costs here, and that every answer was preceded by one."""

from collections.abc import Iterator

from supervisor.store.sqlite import open_sqlite
from tests.bench.daemon import QUEUE, Daemon, can_count_syncs
from tests.bench.figures import MS, Figure, ceiling, percentile
from tests.bench.jobs import check_done, drain, fill, pause, payload, resume
from tests.bench.references import append_latencies, overwrite_latencies
from tests.bench.setting import Setting
from tests.bench.wire import Wire

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
    store = open_sqlite(setting.new_folder("pragma") / "stoker.db")
    # Each connection has its own: another one to the same file would answer with SQLite's default, which is FULL too.
    found = float(store._connection.pragma("synchronous"))
    store.close()
    return Figure(name="PRAGMA synchronous, read back", value=found, unit="", goal=FULL, note="2 is FULL")


def _count(setting: Setting) -> Iterator[Figure]:
    count = setting.sizes.counted
    with Daemon(setting.new_folder("syncs"), count_syncs=True) as daemon, daemon.connect() as wire:
        pause(wire)
        before = daemon.syncs()
        jobs = [_submit(wire, number) for number in range(count)]
        yield _each("syncs for each submit, one at a time", daemon.syncs() - before, count, goal=1.0)
        resume(wire)
        check_done(wire, jobs)
        before = daemon.syncs()
        jobs = []
        for number in range(count):
            jobs.append(_submit(wire, number))
            wire.call("wait", {"id": jobs[-1]})
        yield _each("syncs for each submit and its result", daemon.syncs() - before, count, goal=2.0)
        check_done(wire, jobs)
        pause(wire)
        _, jobs = fill(wire, setting.sizes.slice)
        before = daemon.syncs()
        drain(wire, jobs[-1])
        yield _each("syncs for each job of a drain", daemon.syncs() - before, len(jobs))
        check_done(wire, jobs)


def _submit(wire: Wire, number: int) -> str:
    """The id."""
    job: str = wire.call("submit", {"queue": QUEUE, "payload": payload(number)})["id"]
    return job


def _each(name: str, syncs: int, jobs: int, goal: float | None = None) -> Figure:
    return Figure(name=name, value=syncs / jobs, unit="", goal=goal, note=f"{syncs} for {jobs}")
