"""Work that must not run twice: a job begins once its claim is on disk.

Then whatever a start finds running may have begun and is not begun again, and nothing else has. It costs each job a
sync before its start; meanwhile its child is kept for it. What comes in the meantime (a cancel, a pause, a reply
that throttles the queue, a stop) is looked at when the claim is on disk, and then the child never hears of the job.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from supervisor.core.job import Claim
from supervisor.core.verdict import End, Verdict
from supervisor.pool.run import Run
from supervisor.store.committer import Committer

if TYPE_CHECKING:
    from supervisor.pool.feeder import Feeder


class Claiming:
    """`now` gives UTC microseconds."""

    def __init__(self, feeder: Feeder, committer: Committer, now: Callable[[], int]) -> None:
        self._feeder = feeder
        self._committer = committer
        self._now = now

    def ask(self, claim: Claim, run: Run) -> None:
        self._committer.claim_first(claim, partial(self._answered, run), partial(self._failed, run))

    def _answered(self, run: Run, passed: bool) -> None:
        life = run.life
        assert life is not None
        if passed and self._is_wanted(run) and life.fit():
            life.begin(run)
            return
        if passed:
            self._feeder.finished(run, Verdict(End.RELEASED))
        else:  # it was ended while it stood in the look-ahead, which may know no better of others
            self._feeder.drop(run)
            self._feeder.reread([run.row.queue])
        life.let_go()

    def _failed(self, run: Run) -> None:
        """The store says so to whoever asks; it was as if nothing had been checked out."""
        life = run.life
        assert life is not None
        run.life = None
        self._feeder.drop(run)
        if not run.replaced:
            self._feeder.offer(run.row)
        life.let_go()

    def _is_wanted(self, run: Run) -> bool:
        """Whether it would be checked out still."""
        row, feeder = run.row, self._feeder
        expired = row.expires_at is not None and row.expires_at <= self._now()
        return not (run.cancel or expired or feeder.stopped or feeder.lines[row.queue].shut)
