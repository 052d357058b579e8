"""The chaos run: a real daemon, its four pools, and everything that happens to them."""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.pool import procfs
from tests.chaos import cgroup
from tests.chaos.leftovers import Before, leftovers
from tests.chaos.load import Author
from tests.chaos.moves import Mover
from tests.chaos.outside import Burners, own_cpu, workers_cpu
from tests.chaos.pools import HEALTHY, QUEUE, configured, daemon, troubles
from tests.chaos.probe import Probe
from tests.chaos.script import Scripts
from tests.chaos.tally import Tally
from tests.crash.house import House, until
from tests.e2e.daemon import BUGS

LIMIT = re.compile(r".*\((max_\w+): .*")  # in the reason why a worker was recycled
AUTHORS = 6  # for each pool
BURNERS = 8  # about as many processes as there are workers of the three pools
SETTLING = 1.0  # seconds at the beginning of a slice that are not measured


class Plan(NamedTuple):
    """It ends with the slice in which `seconds` of chaos or `jobs` are reached. A slice of chaos is followed by one of
    `calm` seconds, in which the same load is burnt beside idle pools; `rate`: jobs a second."""

    seed: int = 1
    seconds: float = 600.0
    jobs: int = 200_000
    slice: float = 20.0
    calm: float = 10.0
    rate: float = 330.0
    healthy_rate: float = 100.0
    cancelled: float = 0.03  # of the jobs
    parts: tuple[str, ...] = ()


class NoCgroup(Exception):
    """The machine, or who we are, allows none."""


class Slice(NamedTuple):
    """`load`: processors in use by workers and clients, or by the burners; `daemon`: by the daemon itself. Latencies
    of the healthy pool in seconds."""

    load: float
    daemon: float
    latencies: list[float]


class Result(NamedTuple):
    plan: Plan
    tally: Tally
    chaos: list[Slice]
    calm: list[Slice]
    pools: dict[str, dict[str, Any]]  # from `pools`, by name
    events: dict[str, int]  # of the log, by name
    recycled: dict[str, int]  # workers, by the limit that they had reached
    memory: list[int]  # bytes of the daemon, after each slice of chaos
    healthy: int  # jobs
    seconds: float
    left: list[str]


class Chaos:
    """One run, in a folder of its own; `close` ends whatever is left of it."""

    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None] = print) -> None:
        self._say = say
        self.plan = plan
        self.tally = Tally()
        self._folder = folder
        self._runs = folder / "runs"
        self._temporary = folder / "tmp"
        for place in (self._runs, self._temporary):
            place.mkdir()
        self._pools = troubles(plan.parts)
        self._cgroup = cgroup.make() if "cgroup" in plan.parts else None
        if "cgroup" in plan.parts and self._cgroup is None:
            raise NoCgroup("no cgroup v2 can be made here: leave the part out")
        self._house = House(folder, configured(plan.parts, self._runs), queue=QUEUE, daemon=daemon(self._cgroup))
        self._daemon = self._house.start(env={"TMPDIR": str(self._temporary)})
        self._authors: list[Author] = []
        self._memory: list[int] = []

    def close(self) -> None:
        for author in self._authors:
            author.stop()
        self._house.close()
        if self._cgroup is not None:
            cgroup.remove(self._cgroup)

    def run(self) -> Result:
        self._daemon.wait_until_up()
        before = self._warm_up()
        began = time.monotonic()
        with Probe(self._house.socket, self.plan.healthy_rate, self._folder) as probe:
            spans = self._slices()
            for author in self._authors:
                author.stop()
                author.join()
            self._until_all_have_ended()
        seconds = time.monotonic() - began
        latencies = probe.latencies()
        with self._house.client() as client:
            pools = {pool["pool"]: pool for pool in client.pools()}
        sizes = {HEALTHY: 2, **{pool.name: pool.smallest for pool in self._pools}}
        left = [*leftovers(self._house, self._daemon, before, sizes, self.tally, (self._temporary, self._runs))]
        if self._cgroup is not None:
            left += [f"a cgroup, or a process in one: {name}" for name in cgroup.found_in(self._cgroup)]
        events, recycled = self._events()
        left += [f"the log has {events[name]} of {name}" for name in sorted(BUGS) if events[name]]
        return Result(
            plan=self.plan,
            tally=self.tally,
            chaos=[span.measured(latencies) for span in spans if span.chaotic],
            calm=[span.measured(latencies) for span in spans if not span.chaotic],
            pools=pools,
            events=events,
            recycled=recycled,
            memory=self._memory,
            healthy=len(latencies),
            seconds=seconds,
            left=left,
        )

    def _warm_up(self) -> Before:
        """Until everything is there that is made when it is first needed; what there is then."""
        with self._house.client() as client:
            jobs = client.submit_many([{"queue": HEALTHY, "payload": number} for number in range(100)])
            client.wait_all([job["id"] for job in jobs])
            client.list(full=True)
            client.status()
            until(lambda: all(pool["idle"] == pool["size"] for pool in client.pools()), "all workers")
            # The healthy pool's workers live as long as the run, or the processor time of theirs is counted wrong.
            self._steady = {worker["pid"] for worker in client.workers(HEALTHY)}
            until(lambda: client.status()["connections"] == 1, "the end of all other connections")
            return Before.of(self._house, self._daemon, clients=1)

    # -- slices ----------------------------------------------------------------------------------------------------

    def _slices(self) -> list["Span"]:
        self._start_authors()
        spans: list[Span] = []
        while not self._enough(spans):
            spans.append(self._slice_of_chaos(len(spans)))
            if self.plan.calm and not self.tally.hopeless:
                spans.append(self._slice_of_calm(spans[-1].load))
            self._say(f"{len(self.tally.endings)} jobs of the chaotic pools, {len(self.tally.troubles)} troubles")
        return spans

    def _enough(self, spans: Sequence["Span"]) -> bool:
        chaos = [span.until - span.since for span in spans if span.chaotic]
        jobs = len(self.tally.endings) + sum(chaos) * self.plan.healthy_rate
        return sum(chaos) >= self.plan.seconds or jobs >= self.plan.jobs or self.tally.hopeless

    def _start_authors(self) -> None:
        rate = (self.plan.rate - self.plan.healthy_rate) / (len(self._pools) * AUTHORS)
        for pool in self._pools:
            for number in range(AUTHORS):
                author = f"{pool.name}-{number}"
                scripts = Scripts(author, self.plan.seed, pool.parts, cancelled=self.plan.cancelled)
                one = Author(
                    self._house.client, pool.name, scripts, self.tally, self._runs, rate=rate, tides=pool.tides
                )
                self._authors.append(one)
                one.rest()
                one.start()

    def _slice_of_chaos(self, number: int) -> "Span":
        mover = Mover(self._house.client, self._pools, self.tally, f"{self.plan.seed}.{number}")
        if "rolling" in self.plan.parts:
            mover.start()
        for author in self._authors:
            author.go_on()
        span = self._measured(self.plan.slice, chaotic=True)
        if "rolling" in self.plan.parts:
            mover.stop()
            mover.join()
        for author in self._authors:
            author.rest()
        until(lambda: all(author.idle for author in self._authors), "the end of every author's batch")
        self._memory.append(procfs.rss(self._daemon.pid) or 0)
        return span

    def _slice_of_calm(self, load: float) -> "Span":
        self._until_all_have_ended()
        burners = Burners(load, BURNERS, self.plan.seed)
        try:
            span = self._measured(self.plan.calm, chaotic=False)
        finally:
            burnt = burners.stop()
        return span._replace(load=burnt)

    def _measured(self, seconds: float, *, chaotic: bool) -> "Span":
        time.sleep(SETTLING)
        since, daemon, others = time.monotonic(), own_cpu(self._daemon.pid), self._others_cpu()
        while time.monotonic() < since + seconds and not self.tally.hopeless:
            time.sleep(0.1)
        until = time.monotonic()
        daemon, others = own_cpu(self._daemon.pid) - daemon, self._others_cpu() - others
        return Span(chaotic, since, until, others / (until - since), daemon / (until - since))

    def _others_cpu(self) -> float:
        """Workers and clients of the chaotic pools."""
        return workers_cpu(self._daemon.pid, without=self._steady) + time.process_time()

    def _until_all_have_ended(self) -> None:
        with self._house.client() as client:
            names = [pool.name for pool in self._pools]
            until(
                lambda: (
                    not any(client.list(queue=name, state=["pending", "running"], limit=1)["total"] for name in names)
                ),
                "the end of all jobs",
            )

    def _events(self) -> tuple[Counter[str], Counter[str]]:
        """Of the log: events by name, and the limits for which workers were recycled. It may be too big to be held."""
        counts: Counter[str] = Counter()
        recycled: Counter[str] = Counter()
        with (self._folder / f"log.{self._daemon.number}").open("rb") as log:
            for row in log:
                event = json.loads(row)
                counts[event["event"]] += 1
                if event["event"] == "worker_recycled":
                    recycled[LIMIT.sub(r"\1", event["reason"])] += 1
        return counts, recycled


class Span(NamedTuple):
    """A slice, before its latencies are known. `since` and `until` are monotonic."""

    chaotic: bool
    since: float
    until: float
    load: float
    daemon: float

    def measured(self, latencies: Sequence[tuple[float, float]]) -> Slice:
        mine = [took for began, took in latencies if self.since <= began < self.until]
        return Slice(self.load, self.daemon, mine)
