"""What a script of misbehaviour must come to, by the protocol's word alone: nothing of stoker is imported here."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Step = Mapping[str, Any]

# A run either answers, and whatever it does to itself after that is no job's concern, or it has one of these causes.
ANSWERS = frozenset(
    ("done", "slow", "progress", "flood", "stray", "leak", "second", "twice", "chatter", "deaf", "leave", "recycle")
)
CAUSES = {
    "error": "error",
    "desync": "desync",
    "no_id": "garbage",
    "garbage": "garbage",
    "oversize": "oversize",
    "half": "timeout",
    "hang_on": "timeout",
    "leave_early": "exited",
    "crash": "exited",
    "close": "exited",
    "gobble": "oom",
}
KILLS = ("exited", "oom")


class Policy(NamedTuple):
    max_attempts: int
    max_crashes: int


class Ending(NamedTuple):
    """`runs`: how many of its steps were begun; `failures`: the causes of its charged attempts, in order. `cause` is
    that of its error, None for a job that is done."""

    state: str
    cause: str | None
    charged: int
    crashes: int
    failures: tuple[str, ...]
    runs: int


def final_part(step: Step) -> Step:
    """Of a fork: what is done after it."""
    return final_part({**step, **step["then"]}) if step["do"] == "fork" else step


def predict(steps: Sequence[Step], policy: Policy) -> Ending | None:
    """None: it goes on after the last of these steps."""
    failures: list[str] = []
    crashes = 0
    for runs, step in enumerate(map(final_part, steps), 1):
        if step["do"] in ANSWERS:
            return Ending("done", None, len(failures), crashes, tuple(failures), runs)
        if step["do"] == "throttle":
            continue
        cause = CAUSES[step["do"]]
        killed = cause in KILLS
        crashes += killed
        poison = killed and crashes >= policy.max_crashes
        failures.append("poison" if poison else cause)
        if poison or len(failures) >= policy.max_attempts or not step.get("retry", True):
            return Ending("failed", failures[-1], len(failures), crashes, tuple(failures), runs)
    return None
