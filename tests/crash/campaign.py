"""A house under load whose daemon is killed again and again, at planned moments and at any."""

import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from tests.crash.clients import Actor, Line, actors
from tests.crash.history import History, Life, read_disk
from tests.crash.house import PATIENCE, Daemon, House, until
from tests.crash.ledger import Ledger
from tests.crash.moments import BEFORE_RECOVERY, BOOT, RARE

ANY = "any"  # killed from outside, wherever it is
LATEST = (
    4.0  # seconds of load in which a moment must come; then the daemon is killed all the same, and it is tried again
)
LONGEST_CALM = 0.4  # seconds of load before a kill from outside
TRIES = 4  # for each planned kill


Cast = Callable[[Callable[[], Line], Ledger, threading.Event], list[Actor]]


class Campaign:
    """`boot`: moments that come once, at the start; `rare`: those that come some ten times a second or less. `cast`
    makes the clients."""

    boot: Collection[str] = BOOT
    rare: Collection[str] = RARE
    seldom = 10  # of so many of the rare ones, any may be the last
    cast: Cast = staticmethod(actors)

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.ledger = Ledger()
        self.lives: list[Life] = []
        self.hits: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._over = threading.Event()

    def run(self, plan: Iterable[str]) -> History:
        """Kill the daemon at every moment of the plan, in a random order, then let everything end in peace."""
        left = list(plan)
        self._random.shuffle(left)
        tries = TRIES * len(left)
        cast = self.cast(self._line, self.ledger, self._stopping)
        for actor in cast:
            actor.start()
        try:
            while left and not self._stopping.is_set():
                assert tries, f"these moments do not come: {left}"
                tries -= 1
                moment = left.pop()
                if self._kill_at(moment):
                    self.hits[moment] += 1
                else:
                    left.insert(self._random.randrange(len(left) + 1), moment)
            self._end_in_peace(cast)
        finally:
            self._stopping.set()
            self._over.set()
        return History(self.lives, self.ledger)

    def _line(self) -> Line:
        return Line(self.house.socket, lambda: len(self.house.daemons) - 1, self._over)

    def _kill_at(self, moment: str) -> bool:
        """One daemon's life; whether it ended at that moment."""
        if moment == ANY:
            daemon = self.house.start()
        else:
            daemon = self.house.start_until(moment, self._random.randint(1, self._occurrences(moment)))
        daemon.wait_until_up()
        if daemon.process.poll() is None:
            self._check_predecessors_are_gone()
        at_once = moment == ANY or moment in self.boot
        self._let_live(daemon, self._random.uniform(0, LONGEST_CALM) if at_once else LATEST)
        struck = daemon.has_struck()
        assert daemon.exit_code() == -signal.SIGKILL, f"the daemon exited by itself:\n{daemon.log()}"
        self._note(daemon, moment if struck else None)
        return struck or moment == ANY

    def _let_live(self, daemon: Daemon, seconds: float) -> None:
        try:
            daemon.process.wait(seconds)
        except subprocess.TimeoutExpired:
            daemon.signal(signal.SIGKILL)

    def _check_predecessors_are_gone(self) -> None:
        for earlier in self.house.daemons[:-1]:
            assert not earlier.processes(), f"daemon {earlier.number} is survived by its workers"

    def _note(self, daemon: Daemon, struck: str | None) -> None:
        started = daemon.events("starting")
        self.lives.append(
            Life(
                struck=struck,
                recovered=struck not in BEFORE_RECOVERY,
                leftovers=started[0]["processes_ended"] if started else 0,
                marks=[],
                disk=read_disk(self.house.state_dir, self.house.folder / "copy"),
            )
        )

    def _end_in_peace(self, cast: list[Actor]) -> None:
        daemon = self.house.started()
        self._stopping.set()
        for actor in cast:
            actor.join(PATIENCE)
        assert not self.ledger.troubles, "\n".join(self.ledger.troubles)
        assert not [actor for actor in cast if actor.is_alive()], "a client has not got its answers"
        with self.house.client() as client:
            until(lambda: not client.list(state=["pending", "running"], limit=1)["total"], "every job's end")
        daemon.signal(signal.SIGTERM)
        assert daemon.exit_code() == 0, daemon.log()
        self._note(daemon, None)
        # Workers of the dead may have written after their daemons' ends: only now is every side file whole.
        self.lives = [
            life._replace(marks=earlier.marks()) for life, earlier in zip(self.lives, self.house.daemons, strict=True)
        ]

    def _occurrences(self, moment: str) -> int:
        """Of so many, any may be the last."""
        return 1 if moment in self.boot else self.seldom if moment in self.rare else 60


def summary(campaign: Campaign, history: History, seconds: float) -> str:
    states = Counter(str(job.state) for job in history.last.values())
    runs = [run for runs in history.runs.values() for run in runs]
    return (
        f"{sum(campaign.hits.values())} kills in {seconds:.0f} s, {len(history.lives)} daemons; "
        f"{len(history.last)} jobs {dict(states)}, {len(runs)} runs, "
        f"{sum(not run.finished for run in runs)} of them cut short; "
        f"{history.ledger.lost} requests lost, "
        f"{sum(life.leftovers for life in history.lives)} leftovers ended; {dict(campaign.hits)}"
    )


def timed(campaign: Campaign, plan: Iterable[str]) -> tuple[History, str]:
    started = time.monotonic()
    history = campaign.run(plan)
    return history, summary(campaign, history, time.monotonic() - started)
