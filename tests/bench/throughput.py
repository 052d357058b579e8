"""Many jobs: how fast they are taken in, and how fast they are worked off."""

from collections.abc import Iterator

from tests.bench.daemon import Daemon
from tests.bench.figures import MICROS, Figure, ceiling, rate, ratio, ratios
from tests.bench.jobs import check_done, drain, fill, pause
from tests.bench.references import blocking_round_trips, spawn_rate, spawn_rate_of_many, trio_round_trips
from tests.bench.setting import WORKERS, Setting

# Groups, and how many of them a client has under way.
_WAYS = ((1000, 4), (1000, 1), (100, 4), (100, 1), (1, 64))


def measure_submits(setting: Setting) -> Iterator[Figure]:
    sizes = setting.sizes
    with Daemon(setting.new_folder("submit")) as daemon, daemon.connect() as wire:
        pause(wire)
        speeds: dict[tuple[int, int], list[float]] = {way: [] for way in _WAYS}
        for _ in range(sizes.rounds):
            for (group, ahead), samples in speeds.items():
                count = sizes.submit // (1 if group > 1 else 5)
                took, jobs = fill(wire, count, group=group, ahead=ahead)
                assert len(set(jobs)) == count
                samples.append(count / took)
    for (group, ahead), samples in speeds.items():
        name = f"submit_many of {group}" if group > 1 else "submit_many of a single job"
        goal = 80_000 if (group, ahead) == (1000, 4) else None
        yield rate(f"{name}, {ahead} under way", samples, goal=goal)


def measure_drain(setting: Setting) -> Iterator[Figure]:
    """Each round beside its own references, because machines drift."""
    sizes = setting.sizes
    drained, cpu, bare, plain, spawned, spawned_many = [], [], [], [], [], []
    with Daemon(setting.new_folder("drain")) as daemon, daemon.connect() as wire:
        for _ in range(sizes.rounds):
            bare.append(trio_round_trips(sizes.reference_secs))
            pause(wire)
            _, jobs = fill(wire, sizes.drain)
            before = daemon.cpu()
            drained.append(len(jobs) / drain(wire, jobs[-1]))
            cpu.append((daemon.cpu() - before) / len(jobs) * MICROS)
            check_done(wire, jobs)
            plain.append(blocking_round_trips(sizes.reference_secs))
            spawned.append(spawn_rate(sizes.spawns))
            spawned_many.append(spawn_rate_of_many(sizes.spawns * 2))
        daemon.stop()
    yield rate("bare pipe ping-pong, one child", plain, unit="trips/s")
    yield rate(f"bare trio ping-pong, {WORKERS} children", bare, unit="trips/s")
    yield rate("python3 spawned for each job, one at a time", spawned)
    yield rate(f"python3 spawned for each job, {WORKERS} at a time", spawned_many)
    yield rate("drain, one job in flight per child", drained, goal=20_000)
    yield ceiling("drain, processor time of the daemon for each job", cpu, "µs")
    yield ratio("drain / bare trio ping-pong", ratios(drained, bare), at_least=0.25)
    yield ratio("drain / python3 spawned for each job", ratios(drained, spawned), at_least=1000)
