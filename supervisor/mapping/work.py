"""The lines as a pool's source of jobs: from the input to a worker, and from there to the answers.

A worker's reply leads straight to the next request: what the feed has read ahead is taken without a task switch, and
an answer is only handed over. Where a worker had to be left idle, news of lines, of room, or of an attempt that may
begin again bring it its job.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from supervisor.config.model import QueueConfig
from supervisor.core.job import State
from supervisor.core.verdict import End, Verdict, judge
from supervisor.mapping.again import Again
from supervisor.mapping.answers import Answers
from supervisor.mapping.feed import Feed
from supervisor.mapping.ids import line_id
from supervisor.mapping.row import Row, row
from supervisor.pool.chronicle import Chronicle
from supervisor.pool.run import Run

if TYPE_CHECKING:
    from supervisor.pool.pool import Pool


class Work:
    """`policy` says what becomes of attempts that fail, `timeout` is a line's in seconds, `stem` begins the ids.
    `done` is called once, when every line of the input is answered."""

    def __init__(
        self,
        feed: Feed,
        answers: Answers,
        policy: QueueConfig,
        timeout: float,
        *,
        stem: str,
        done: Callable[[], None],
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.stopped = False
        self.progressing: dict[str, Run] = {}
        self.chronicle = Chronicle()
        self.again = Again(self.wake)
        self.open = 0  # lines that were taken from the feed and have no answer
        self._feed = feed
        self._answers = answers
        self._policy = policy
        self._timeout = timeout
        self._stem = stem
        self._done: Callable[[], None] | None = done
        self._jitter = jitter
        self._pool: Pool | None = None
        feed.on_line = self.wake
        answers.on_room = self.wake

    # -- what a pool asks ------------------------------------------------------------------------------------------

    def serve(self, pool: Pool) -> None:
        """This is the one that does the work."""
        self._pool = pool

    def unserve(self, pool: Pool) -> None:
        self._pool = None

    def waiting(self, pool: Pool) -> int:
        """Nobody asks but a pool that grows and shrinks, and this one does not."""
        return 0

    def checkout(self, pool: Pool) -> Run | None:
        """The next line, a repeated one before a new one."""
        if self.stopped:
            return None
        next_row = self.again.take() if self.again else None
        if next_row is None:
            next_row = self._next_row()
            if next_row is None:
                self._look_for_end()
                return None
        pool.begun += 1
        return Run(next_row, time.time_ns() // 1000, self._timeout)

    def finished(self, run: Run, verdict: Verdict) -> None:
        """Answer the line, or keep it for another attempt."""
        done = run.row
        assert isinstance(done, Row)
        if self.progressing:  # nobody looks at it
            self.progressing.clear()
        if verdict.end is End.OK:
            assert verdict.result is not None
            self._answers.passed(done.line, verdict.result)
        elif not self._gives_up(run, done, verdict):
            return
        self.open -= 1
        if not self.open:
            self._look_for_end()

    # -- from the input --------------------------------------------------------------------------------------------

    def _next_row(self) -> Row | None:
        feed, answers = self._feed, self._answers
        while answers.room and not (self.again and self.again.full):
            line = feed.take()
            if line is None:
                break
            answers.expect(line)
            if line.payload is not None:
                self.open += 1
                return row(line, line_id(self._stem, line.number))
            answers.refused(line)
        return None

    def wake(self) -> None:
        """There may be something for those who are idle."""
        pool = self._pool
        if pool is None or self.stopped:
            return
        while pool.idle:
            life = pool.idle.pop()
            if not life.fit():
                continue
            run = self.checkout(pool)
            if run is None:
                pool.idle.append(life)
                break
            life.take(run)
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self._done is not None and not self.open and self._feed.ended:
            done, self._done = self._done, None
            done()

    # -- what did not pass -----------------------------------------------------------------------------------------

    def _gives_up(self, run: Run, done: Row, verdict: Verdict) -> bool:
        """Whether the line has its answer now."""
        now = time.time_ns() // 1000
        outcome = judge(run.spent(), verdict, self._policy, cancel=False, now=now, jitter=self._jitter())
        if outcome.state is not State.PENDING:
            assert outcome.error is not None
            self._answers.failed(done.line, outcome.error)
            return True
        wait = 0 if outcome.run_at is None else outcome.run_at - now
        next_row = run.row_again(outcome)
        assert isinstance(next_row, Row)
        self.again.add(next_row, time.monotonic_ns() + 1000 * wait)
        return False
