"""What the journal costs: the same drain with it and without."""

from collections.abc import Iterator

from tests.bench.daemon import Daemon
from tests.bench.figures import MICROS, Figure, ceiling, rate, ratio, ratios
from tests.bench.jobs import check_done, drain, fill, pause
from tests.bench.setting import Setting
from tests.bench.wire import Wire


def measure(setting: Setting) -> Iterator[Figure]:
    """Round by round side by side, because machines drift."""
    sizes = setting.sizes
    with (
        Daemon(setting.new_folder("quiet"), events=False) as quiet,
        Daemon(setting.new_folder("told")) as told,
        quiet.connect() as quiet_wire,
        told.connect() as told_wire,
    ):
        off, on, cpu_off, cpu_on = [], [], [], []
        for _ in range(sizes.rounds):
            speed, cpu = _drained(quiet, quiet_wire, sizes.drain)
            off.append(speed)
            cpu_off.append(cpu)
            speed, cpu = _drained(told, told_wire, sizes.drain)
            on.append(speed)
            cpu_on.append(cpu)
    yield rate("drain, events = false", off)
    yield rate("drain, events = true", on)
    yield ceiling("processor time of the daemon for each job, without", cpu_off, "µs")
    yield ceiling("processor time of the daemon for each job, with", cpu_on, "µs")
    yield ratio("drain with the journal / without", ratios(on, off), at_least=0.9)


def _drained(daemon: Daemon, wire: Wire, count: int) -> tuple[float, float]:
    """Jobs a second, and the daemon's microseconds for each."""
    pause(wire)
    _, jobs = fill(wire, count)
    before = daemon.cpu()
    speed = count / drain(wire, jobs[-1])
    cpu = (daemon.cpu() - before) / count * MICROS
    check_done(wire, jobs)
    return speed, cpu
