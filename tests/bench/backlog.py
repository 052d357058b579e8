"""A million jobs: what they cost in memory and in speed, and how soon work goes on after a kill."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

from tests.bench.daemon import Daemon
from tests.bench.figures import Figure, ceiling, rate, ratio, ratios
from tests.bench.jobs import WrongResult, check_count, check_done, drain, fill, finished, pause, resume, settle
from tests.bench.setting import Setting
from tests.bench.wire import Wire

_FUTURE = 86400.0  # seconds
_BITE = 50_000  # jobs submitted at once; the requests of a million would fill our own memory
_LOOK = 0.001  # seconds between two looks
_IDLE_MB, _MORE_MB = 50.0, 40.0
_BACK_IN = 1.0  # seconds
_SLOWER = 0.85


class Backlog:
    """A paused daemon with so many jobs waiting; slices are put behind, and taken off its front."""

    def __init__(self, name: str, daemon: Daemon, wire: Wire) -> None:
        self.name = name
        self.daemon = daemon
        self.submitted: list[float] = []  # jobs/s
        self.drained: list[float] = []
        self._wire = wire
        self._order: list[str] = []  # ids of the due jobs, in the order in which they are worked off
        self._later = 0  # submitted for another day
        self._checked = 0  # so many from the front were found done
        self._before = finished(wire)
        pause(wire)

    def grow(self, due: int, later: int = 0) -> None:
        for bite in _bites(later):
            fill(self._wire, bite, delay_secs=_FUTURE)
            self._later += bite
        for bite in _bites(due):
            self._fill(bite)

    def measure(self, count: int) -> None:
        self.submitted.append(count / self._fill(count))
        done = finished(self._wire) - self._before
        took = drain(self._wire, self._order[done + count - 1])
        self.drained.append(count / took)
        pause(self._wire)
        self._check(self._wire, count, attempt=1)

    def back_after_kill(self) -> float:
        """Seconds from the start of the next daemon, its workers' boot included, until a first job is done and on
        disk. A job that the kill interrupted keeps its place, so the first one is among those checked."""
        took = _back_after_kill(self.daemon)
        with self.daemon.connect() as wire:
            self._check(wire, _answered(wire), attempt=None)
        return took

    def _fill(self, count: int) -> float:
        took, jobs = fill(self._wire, count, first=len(self._order))
        self._order += jobs
        return took

    def _check(self, wire: Wire, at_least: int, attempt: int | None) -> None:
        """No job is gone, and those done since the last check, so many at least, have each its own result."""
        done = finished(wire) - self._before
        if done < self._checked + at_least:
            raise WrongResult(f"{at_least} jobs were seen to end, and {done - self._checked} are done")
        check_count(wire, self._before + self._later + len(self._order))
        check_done(wire, self._order[self._checked : done], first=self._checked, attempt=attempt)
        self._checked = done


def _bites(count: int) -> Iterator[int]:
    for start in range(0, count, _BITE):
        yield min(_BITE, count - start)


def measure(setting: Setting) -> Iterator[Figure]:
    sizes = setting.sizes
    with ExitStack() as stack:

        def backlog(name: str) -> Backlog:
            daemon = stack.enter_context(Daemon(setting.new_folder("backlog")))
            return Backlog(name, daemon, stack.enter_context(daemon.connect()))

        few, many, later = (
            backlog(f"{count:,} {kind}")
            for count, kind in ((sizes.few, "pending"), (sizes.many, "pending"), (sizes.many, "future"))
        )
        idle = many.daemon.memory()
        yield ceiling("memory of an idle daemon", [idle], "MB", goal=_IDLE_MB)
        few.grow(sizes.few)
        many.grow(sizes.many)
        highest = many.daemon.memory("VmHWM") - idle
        more = many.daemon.memory() - idle
        yield ceiling(f"more, {many.name}", [more], "MB", goal=_MORE_MB, note=f"{highest:.0f} MB at the highest")
        later.grow(sizes.few, later=sizes.many)
        # Taking turns: machines drift.
        for _ in range(sizes.rounds):
            for one in (few, many, later):
                one.measure(sizes.slice)
        yield from _compare(few, (many, later))
        back = [many.back_after_kill() for _ in range(sizes.rounds)]
        yield ceiling(f"kill -9 to first job done, {many.name}", back, "s", goal=_BACK_IN)


def _compare(few: Backlog, others: tuple[Backlog, ...]) -> Iterator[Figure]:
    yield rate(f"submit, {few.name}", few.submitted)
    yield rate(f"drain, {few.name}", few.drained)
    for one in others:
        yield rate(f"submit, {one.name}", one.submitted)
        yield ratio(f"submit, {one.name} / {few.name}", ratios(one.submitted, few.submitted), at_least=_SLOWER)
        yield rate(f"drain, {one.name}", one.drained)
        yield ratio(f"drain, {one.name} / {few.name}", ratios(one.drained, few.drained), at_least=_SLOWER)


def _back_after_kill(daemon: Daemon) -> float:
    with daemon.connect() as wire:
        before = _answered(wire)
        resume(wire)
        while _answered(wire) == before:
            time.sleep(_LOOK)
    daemon.kill()
    start = time.perf_counter()
    daemon.launch()
    with daemon.connect() as wire:
        while not _answered(wire):
            time.sleep(_LOOK)
        settle(wire)
        took = time.perf_counter() - start
        pause(wire)
    return took


def _answered(wire: Wire) -> int:
    """By the workers of this daemon."""
    return int(wire.call("pools")["pools"][0]["jobs_done"])
