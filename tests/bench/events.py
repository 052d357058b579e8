"""What the journal costs: the same drain without it, with it, and with a subscriber who sleeps or listens meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from tests.bench.daemon import Daemon
from tests.bench.figures import MICROS, Figure, ceiling, rate, ratio, ratios
from tests.bench.jobs import WrongResult, check_done, drain, fill, pause
from tests.bench.setting import Setting
from tests.bench.wire import Wire, request, result

_TOLD = 3  # events of a job that goes well
_AWAKE = 1000  # events that a subscriber reads before it falls asleep


class _Told(msgspec.Struct):
    """A notification, as much of it as is counted."""

    method: str
    params: dict[str, object]


_decode = msgspec.json.Decoder(_Told).decode


class Subscriber:
    """Hears of so many events, and checks that they are those that follow each other in the journal. In a thread of its
    own between `start` and `end`, with a sleep of `sleep` seconds after the first ones."""

    def __init__(self, daemon: Daemon, count: int, sleep: float) -> None:
        self._wire = daemon.connect()
        result(self._wire.ask(request("subscribe", {"last": 0})))
        self._count = count
        self._sleep = sleep
        self._lines: list[bytes] = []
        self._thread = threading.Thread(target=self._listen)

    def start(self) -> None:
        self._thread.start()

    def end(self, expected: list[str]) -> None:
        """`expected`: the cursors of these events, read page by page."""
        self._thread.join()
        self._wire.close()
        heard = [_decode(line) for line in self._lines]
        if {one.method for one in heard} != {"event"}:
            raise WrongResult("a subscriber was told of more than events")
        if [one.params["cursor"] for one in heard] != expected:
            raise WrongResult(f"{len(expected)} events happened, and a subscriber heard of {len(heard)} or of others")

    def _listen(self) -> None:
        while len(self._lines) < self._count:
            self._lines.append(self._wire.receive())
            if len(self._lines) == _AWAKE:
                time.sleep(self._sleep)


def measure(setting: Setting) -> Iterator[Figure]:
    """Round by round side by side, because machines drift."""
    sizes = setting.sizes
    speeds: dict[str, list[float]] = {"without": [], "with": [], "asleep": [], "awake": []}
    cpu: dict[str, list[float]] = {name: [] for name in speeds}
    with ExitStack() as stack:
        quiet = stack.enter_context(Daemon(setting.new_folder("quiet"), events=False))
        told = stack.enter_context(Daemon(setting.new_folder("told")))
        for _ in range(sizes.rounds):
            for name, daemon in (("without", quiet), ("with", told), ("asleep", told), ("awake", told)):
                sleep = {"asleep": sizes.sleep, "awake": 0.0}.get(name)
                speed, cost = _drained(daemon, sizes.drain, sleep)
                speeds[name].append(speed)
                cpu[name].append(cost)
    yield rate("drain, events = false", speeds["without"])
    yield rate("drain, events = true", speeds["with"])
    yield rate("drain, and a subscriber sleeps", speeds["asleep"])
    yield rate("drain, and a subscriber listens", speeds["awake"])
    for name in speeds:
        yield ceiling(f"processor time of the daemon for each job, {name}", cpu[name], "µs")
    yield ratio("with the journal / without", ratios(speeds["with"], speeds["without"]), at_least=0.9)
    yield ratio("while a subscriber sleeps / with none", ratios(speeds["asleep"], speeds["with"]), at_least=0.95)
    yield ratio("while a subscriber listens / with none", ratios(speeds["awake"], speeds["with"]), at_least=0.8)


def _drained(daemon: Daemon, count: int, sleep: float | None) -> tuple[float, float]:
    """Jobs a second, and the daemon's microseconds for each. `sleep`: of a subscriber; None: there is none."""
    with daemon.connect() as wire:
        pause(wire)
        place = wire.call("events", {"last": 0})["next"]
        subscriber = None if sleep is None else Subscriber(daemon, _TOLD * count, sleep)
        if subscriber is not None:
            subscriber.start()
        _, jobs = fill(wire, count)
        before = daemon.cpu()
        speed = count / drain(wire, jobs[-1])
        cost = (daemon.cpu() - before) / count * MICROS
        check_done(wire, jobs)
        if subscriber is not None:
            subscriber.end(list(_cursors(wire, place)))
    return speed, cost


def _cursors(wire: Wire, place: str) -> Iterator[str]:
    more = True
    while more:
        page = wire.call("events", {"since": place, "limit": 1000})
        place, more = page["next"], page["more"]
        yield from (event["cursor"] for event in page["events"])
