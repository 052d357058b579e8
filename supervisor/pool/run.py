"""A run: one checkout of one job, from the moment it is given to a child until its outcome is on disk."""

from typing import TYPE_CHECKING

import msgspec
import trio

from protocol.worker import Reply, encode_brief_progress, encode_progress, encode_request
from supervisor.core.job import Outcome, Progress, Ready
from supervisor.core.shares import Share
from supervisor.core.verdict import Spent

if TYPE_CHECKING:
    from supervisor.pool.life import Life


class Run:
    """`started_at` is UTC microseconds, `timeout` the seconds the job itself may take. `claim_first`: it begins once
    its claim is on disk."""

    __slots__ = (
        "_settled",
        "attempt",
        "cancel",
        "claim_first",
        "home",
        "life",
        "outcome",
        "pid",
        "progress",
        "replaced",
        "row",
        "share",
        "since",
        "started_at",
        "timeout",
        "told",
        "waited_for",
    )

    def __init__(self, row: Ready, started_at: int, timeout: float, *, claim_first: bool = False) -> None:
        self.row = row
        self.attempt = row.attempt + 1
        self.started_at = started_at
        self.timeout = timeout
        self.claim_first = claim_first
        self.life: Life | None = None
        self.home: Life | None = None  # which it was, once the outcome is decided
        self.told = False  # its story is in the log
        self.share: Share | None = None  # of its queue in a pool that has several: what it is charged to
        self.since = 0  # of its checkout, in monotonic nanoseconds
        self.pid: int | None = None
        self.cancel = False
        self.replaced = False  # by a submit that was on disk right behind its outcome
        self.progress: Reply | None = None
        self.outcome: Outcome | None = None  # decided; from then on it only waits for the disk
        self.waited_for = False  # already when it was decided
        self._settled: trio.Event | None = None

    @property
    def id(self) -> str:
        return self.row.id

    def request(self) -> bytes:
        """The line that gives it to a worker."""
        row = self.row
        return encode_request(row.id, row.payload, row.queue, self.attempt, self.timeout)

    def stop(self) -> None:
        """End it as cancelled, unless its own end comes first."""
        self.cancel = True
        if self.life is not None:
            self.life.cancel(self)

    async def recorded(self) -> None:
        """Return when the outcome is on disk."""
        if self._settled is None:  # made late: hardly any run is waited for
            self._settled = trio.Event()
        await self._settled.wait()

    def settle(self) -> None:
        if self._settled is not None:
            self._settled.set()

    def progress_json(self) -> bytes | None:
        return None if self.progress is None else encode_progress(self.progress)

    def report(self, now: int) -> Progress:
        """How far it is, for the store. `now`: UTC microseconds."""
        assert self.progress is not None
        whole, brief = encode_progress(self.progress), encode_brief_progress(self.progress)
        return Progress(seq=self.row.seq, attempt=self.attempt, at=now, whole=whole, brief=brief)

    def spent(self) -> Spent:
        row = self.row
        return Spent(
            row.seq,
            self.attempt,
            row.max_attempts,
            row.charged,
            row.crashes,
            row.interruptions,
            self.started_at,
            self.pid,
            self.progress_json(),
            row.backoff,
        )

    def row_again(self, outcome: Outcome) -> Ready:
        """The pending row that the outcome left behind, for the look-ahead."""
        return msgspec.structs.replace(
            self.row,
            attempt=self.attempt,
            charged=outcome.charged,
            crashes=outcome.crashes,
            interruptions=outcome.interruptions,
            due_at=self.row.due_at if outcome.run_at is None else outcome.run_at,
        )
