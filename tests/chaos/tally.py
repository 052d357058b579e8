"""What happened in a chaos run, counted by all its threads together."""

import threading
from collections import Counter
from typing import Any

from tests.chaos.check import Diary
from tests.chaos.model import final_part
from tests.chaos.script import Script

Job = dict[str, Any]
ENOUGH = 20  # troubles


class Tally:
    """`endings` has (state, finished_at, attempt) of each job by its id, as they were when first seen."""

    def __init__(self) -> None:
        self.behaviours: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.cancels: Counter[str] = Counter()
        self.moves: Counter[str] = Counter()  # restarts and resizes
        self.releases = 0  # attempts that were taken back, uncharged
        self.endings: dict[str, tuple[str, str, int]] = {}
        self.children: list[str] = []  # left behind by workers: "pid start time"
        self.troubles: list[str] = []
        self._given_up = False
        self._lock = threading.Lock()

    def ended(self, script: Script, job: Job, diary: Diary) -> None:
        error = job["error"] or {}
        with self._lock:
            self.endings[job["id"]] = (job["state"], job["finished_at"], job["attempt"])
            self.outcomes[f"{job['state']} {error['cause']}" if job["state"] == "failed" else job["state"]] += 1
            if script.cancel_after is not None:
                self.cancels["in time" if job["state"] == "cancelled" else "too late"] += 1
            for step in script.steps[: diary.runs]:
                self.behaviours[_name(step)] += 1
            self.releases += max(0, job["attempt"] - diary.runs)
            self.children += diary.children

    def moved(self, what: str) -> None:
        with self._lock:
            self.moves[what] += 1

    def trouble(self, *words: str) -> None:
        with self._lock:
            self.troubles += words

    def give_up(self, words: str) -> None:
        """It makes no sense to go on."""
        self.trouble(words)
        self._given_up = True

    @property
    def hopeless(self) -> bool:
        return self._given_up or len(self.troubles) >= ENOUGH


def _name(step: dict[str, Any]) -> str:
    if step["do"] == "fork":
        return f"{'hide' if step['hidden'] else 'fork'}, then {final_part(step)['do']}"
    return "error for good" if step["do"] == "error" and not step["retry"] else step["do"].replace("_", " ")
