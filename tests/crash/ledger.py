"""What clients were told: the promises that a crash must not break."""

from typing import Any, NamedTuple

View = dict[str, Any]  # a job, as the protocol shows it


class Answer(NamedTuple):
    """`daemon` is the number of the one that gave it, `at` when it had arrived, in nanoseconds of CLOCK_MONOTONIC."""

    result: Any
    daemon: int
    at: int


class Accepted(NamedTuple):
    """A submit's answer about one job. `first`: nobody had asked for this key before, so the job must be new."""

    id: str
    created: bool
    same: bool
    daemon: int
    key: str | None
    first: bool


class Ended(NamedTuple):
    """A job that somebody was told is final."""

    view: View
    daemon: int
    at: int

    @property
    def id(self) -> str:
        return str(self.view["id"])


class Ledger:
    """Written by every client at once: each entry is one append."""

    def __init__(self) -> None:
        self.accepted: list[Accepted] = []
        self.ended: list[Ended] = []
        self.batches: dict[str, int] = {}  # every tag that was submitted, answered or not, and how many jobs had it
        self.keys: set[str] = set()  # every key that was submitted until there was an answer
        self.retried: set[str] = set()  # every job that was retried, answered or not
        self.lost = 0  # requests that a daemon died with
        self.troubles: list[str] = []  # what no client should ever meet

    def accept(self, answer: Answer, rows: list[View], keys: list[str | None], *, first: bool) -> list[str]:
        """Note the answer of a submit; returns the ids."""
        for row, key in zip(rows, keys, strict=True):
            same = bool(row.get("same", True))
            self.accepted.append(Accepted(row["id"], row["created"], same, answer.daemon, key, first))
        return [row["id"] for row in rows]

    def end(self, answer: Answer, views: list[View]) -> None:
        self.ended += [Ended(view, answer.daemon, answer.at) for view in views]
