"""What a pool asks of whoever gives its workers jobs: the feeder of a daemon, or lines of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from supervisor.core.verdict import Verdict
from supervisor.pool.run import Run

if TYPE_CHECKING:
    from supervisor.pool.life import Life
    from supervisor.pool.pool import Pool


class Teller(Protocol):
    def began(self, run: Run, life: Life) -> None:
        """The worker has been given the job."""


class Source(Protocol):
    """`stopped`: nothing is given out any more, so no worker that ends is replaced. `progressing` has, by id, the
    jobs whose workers said how far they are: the pool adds to it, the source takes away."""

    stopped: bool
    progressing: dict[str, Run]

    @property
    def chronicle(self) -> Teller: ...

    def serve(self, pool: Pool) -> None:
        """It is to be given jobs of its queues from now on, and of no others."""

    def unserve(self, pool: Pool) -> None:
        """It is to be given none any more."""

    def waiting(self, pool: Pool) -> int:
        """Jobs that this pool could begin now, as far as they are known."""

    def checkout(self, pool: Pool) -> Run | None:
        """The next job for an idle worker. None: there is none now; where one comes later, it is for the source to
        bring it to a worker that is idle."""

    def finished(self, run: Run, verdict: Verdict) -> None:
        """A worker is done with a job, or done for; called once for each that was checked out."""
