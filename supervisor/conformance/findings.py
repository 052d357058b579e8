"""What a trial comes to."""

from typing import Literal

import msgspec

from supervisor.errors import StokerError

Level = Literal["ok", "warn", "fail", "skip"]
Figures = dict[str, float]

NOT_TRIED = "not tried, since "  # so begins what is said of a trial that another one makes pointless


class Passed(msgspec.Struct, frozen=True):
    """`found`: what was seen, for people; `figures`: what was measured, for programs."""

    found: str
    figures: Figures = {}


class Warned(msgspec.Struct, frozen=True):
    """Nothing that the daemon could not live with. `kind` is a stable word."""

    kind: str
    found: str
    figures: Figures = {}


class NotTried(msgspec.Struct, frozen=True):
    reason: str


Outcome = Passed | Warned | NotTried


class Fault(StokerError):
    """The worker did what the protocol does not allow. `kind` is a stable word, the message says what it did."""

    code = "fault"

    def __init__(self, kind: str, did: str, figures: Figures | None = None) -> None:
        super().__init__(did)
        self.kind = kind
        self.figures = figures or {}
        self.did = did
        self.given = ""  # what it was given when it did that

    @property
    def message(self) -> str:
        return f"given {self.given}: {self.did}" if self.given else self.did


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One trial's line of the report. `wants`, `cause` and `stderr` are there where something is wrong."""

    trial: str
    level: Level
    kind: str | None = None
    found: str
    wants: str | None = None
    cause: str | None = None
    stderr: str | None = None
    figures: Figures = {}
    secs: float = 0.0
