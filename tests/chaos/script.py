"""What the workers of the chaos run do to their jobs: drawn by a seeded generator, one script for each job."""

from collections.abc import Callable, Collection
from random import Random
from typing import Any, NamedTuple

from tests.chaos.model import Ending, Policy, predict

Step = dict[str, Any]
Make = Callable[[Random], Step]

POLICY = Policy(max_attempts=4, max_crashes=2)
LONGEST = 12  # steps; then it ends well
HANG_SECS = 0.5  # what a job may take that is going to hang; all others have half a minute
LIFE_OF_A_GRANDCHILD = 5  # seconds, if nobody ends it before


class Kind(NamedTuple):
    """`weight`: of a thousand runs about so many do this. `part`: only in pools that have this, else in all."""

    weight: float
    make: Make
    part: str = ""


def plain(name: str, **members: Any) -> Make:
    return lambda chance: {"do": name, **members}


def fork(*then: Step, hidden: bool = False) -> Make:
    def make(chance: Random) -> Step:
        life = {"session": chance.random() < 0.5, "hidden": hidden, "secs": LIFE_OF_A_GRANDCHILD}
        return {"do": "fork", **life, "then": chance.choice(then)}

    return make


def flood(chance: Random) -> Step:
    return {"do": "flood", "bytes": chance.choice([20_000, 300_000]), "width": chance.choice([2, 100, 10_000])}


FATAL = Kind(5, plain("error", message="never do this again", retry=False))
CRASHES = (
    Kind(10, lambda chance: {"do": "leave_early", "code": chance.randrange(256)}),
    Kind(12, lambda chance: {"do": "crash", "signal": chance.choice(["SIGSEGV", "SIGKILL", "SIGABRT", "SIGTERM"])}),
    Kind(5, lambda chance: {"do": "close", "all": chance.random() < 0.5}),
    Kind(6, plain("gobble", bytes=10_000_000, times=60), "memory"),
)
FAULTS = (
    Kind(20, plain("error", message="not this time", retry=True)),
    Kind(6, plain("desync")),
    Kind(6, plain("garbage")),
    Kind(5, plain("oversize", bytes=70_000)),
    Kind(6, plain("no_id"), "require_id"),
)
KINDS = (
    Kind(600, plain("done")),
    Kind(60, lambda chance: {"do": "slow", "secs": round(chance.uniform(0.005, 0.05), 3)}),
    Kind(30, lambda chance: {"do": "progress", "lines": chance.choice([1, 3, 50])}),
    Kind(20, lambda chance: {"do": "throttle", "secs": round(chance.uniform(0, 0.05), 3)}),
    Kind(5, flood),
    Kind(30, plain("leak", bytes=15_000_000)),
    Kind(5, plain("second")),
    Kind(6, plain("twice")),
    Kind(5, lambda chance: {"do": "chatter", "secs": chance.choice([0, 0.003])}),
    Kind(5, plain("deaf")),
    Kind(8, plain("leave")),
    Kind(8, plain("recycle")),
    Kind(10, fork({"do": "done"}, {"do": "leave_early", "code": 9})),
    Kind(4, fork({"do": "done"}, {"do": "leave_early", "code": 9}, hidden=True), "cgroup"),
    Kind(10, plain("stray"), "fd"),
    FATAL,
    *CRASHES,
    *FAULTS,
)
HANGS = (
    Kind(1, plain("half")),
    Kind(1, lambda chance: {"do": "hang_on", "deaf": chance.random() < 0.5}),
    Kind(1, fork({"do": "hang_on", "deaf": False}, {"do": "hang_on", "deaf": True})),
    Kind(1, fork({"do": "hang_on", "deaf": True}, hidden=True), "cgroup"),
)


class Fate(NamedTuple):
    """Of a thousand jobs about `weight` have nothing but these kinds of runs."""

    weight: float
    kinds: tuple[Kind, ...]
    policy: Policy = POLICY
    timeout: float | None = None


FATES = (
    Fate(960, KINDS),
    Fate(20, CRASHES),
    Fate(10, FAULTS),
    # All its runs hang, or a slow machine could make one that should not have hung look as if it had.
    Fate(10, HANGS, POLICY._replace(max_attempts=2), HANG_SECS),
)


class Script(NamedTuple):
    key: str
    steps: list[Step]
    fate: Fate
    ending: Ending
    cancel_after: float | None  # seconds after it was submitted

    def job(self, queue: str) -> dict[str, Any]:
        """As `submit` takes it."""
        job = {"queue": queue, "payload": {"key": self.key, "steps": self.steps}}
        if self.fate.timeout is not None:
            job |= {"timeout_secs": self.fate.timeout}
        return job | {"max_attempts": self.fate.policy.max_attempts}


class Scripts:
    """The jobs of one author, always the same for the same seed. `parts`: what the pool they are for has."""

    def __init__(self, author: str, seed: int, parts: Collection[str], *, cancelled: float) -> None:
        self._author = author
        self._chance = Random(f"{seed} {author}")
        self._parts = parts
        self._cancelled = cancelled
        self._count = 0

    def next(self) -> Script:
        chance, self._count = self._chance, self._count + 1
        [fate] = chance.choices(FATES, [fate.weight for fate in FATES])
        able = [kind for kind in fate.kinds if not kind.part or kind.part in self._parts]
        steps: list[Step] = []
        while (ending := predict(steps, fate.policy)) is None:
            [kind] = chance.choices(able, [kind.weight for kind in able])
            steps.append(kind.make(chance) if len(steps) < LONGEST else plain("done")(chance))
        cancel_after = chance.choice([0, 0.005, 0.05, 0.3]) if chance.random() < self._cancelled else None
        return Script(f"{self._author}-{self._count}", steps, fate, ending, cancel_after)
