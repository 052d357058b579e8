"""The lines as a pool's source of jobs: from the input to a worker, and from there to the answers.

A worker's reply leads straight to the next request, and between the two there is as little as can be: the next line
has been made a request beforehand, and the answer is only laid aside. Both are seen to while the workers work. Where a
worker had to be left idle, news of lines, of room, or of an attempt that may begin again bring it its job.
"""

from __future__ import annotations

import random
import time
from collections import deque
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

LAID_ASIDE = 64  # answers at most, while workers never leave a moment
AHEAD = 64  # requests made beforehand, at most; as many as there are workers, where these are fewer


class Prepared(Run):
    """An attempt whose request is made already."""

    __slots__ = ("_request",)

    def __init__(self, row: Row, timeout: float) -> None:
        super().__init__(row, time.time_ns() // 1000, timeout)
        self._request = super().request()

    def request(self) -> bytes:
        return self._request


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
        self._open = 0  # lines that were taken from the feed and have no answer
        self._ahead: deque[Prepared] = deque()
        self._most_ahead = 0
        self._passed: list[tuple[Run, bytes]] = []
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
        self._most_ahead = min(AHEAD, pool.config.max)

    def unserve(self, pool: Pool) -> None:
        self._pool = None

    def waiting(self, pool: Pool) -> int:
        """Nobody asks but a pool that grows and shrinks, and this one does not."""
        return 0

    def checkout(self, pool: Pool) -> Run | None:
        """The next line, a repeated one before a new one."""
        if self.stopped:
            return None
        repeated = self.again.take() if self.again else None
        if repeated is not None:
            return Run(repeated, time.time_ns() // 1000, self._timeout)
        if self._ahead:
            return self._ahead.popleft()
        if self._passed:
            self.settle()
        run = self._next()
        if run is None:
            self._look_for_end()
        return run

    def finished(self, run: Run, verdict: Verdict) -> None:
        """Answer the line, or keep it for another attempt."""
        if self.progressing:  # nobody looks at it
            self.progressing.clear()
        if verdict.end is End.OK:
            assert verdict.result is not None
            self._passed.append((run, verdict.result))
            if len(self._passed) >= LAID_ASIDE:
                self.settle()
        else:
            self._judge(run, verdict)

    # -- while the workers work ------------------------------------------------------------------------------------

    def meanwhile(self) -> None:
        """What was laid aside, and the requests to come."""
        if self._passed:
            self.settle()
        while len(self._ahead) < self._most_ahead and not self.stopped:
            run = self._next()
            if run is None:
                break
            self._ahead.append(run)
        if self._ahead and self._pool is not None and self._pool.idle:
            self.wake()

    def settle(self) -> None:
        """What was laid aside is answered: now and then, and when the last worker has gone."""
        passed, self._passed = self._passed, []
        self._open -= len(passed)
        answer = self._answers.passed
        for run, result in passed:
            answer(run.row.line, result)  # type: ignore[attr-defined]
        if not self._open:
            self._look_for_end()

    # -- from the input --------------------------------------------------------------------------------------------

    def _next(self) -> Prepared | None:
        feed, answers = self._feed, self._answers
        while answers.room and not (self.again and self.again.full):
            line = feed.take()
            if line is None:
                break
            answers.expect(line)
            if line.payload is not None:
                self._open += 1
                return Prepared(row(line, line_id(self._stem, line.number)), self._timeout)
            answers.refused(line)
        return None

    def wake(self) -> None:
        """There may be something for those who are idle."""
        pool = self._pool
        if pool is None or self.stopped:
            return
        while pool.give_one():
            pass
        self._look_for_end()

    def _look_for_end(self) -> None:
        if self._done is not None and not self._open and self._feed.ended:
            done, self._done = self._done, None
            done()

    # -- what did not pass -----------------------------------------------------------------------------------------

    def _judge(self, run: Run, verdict: Verdict) -> None:
        """Answer the line with what went wrong, or keep it for another attempt."""
        row, now = run.row, time.time_ns() // 1000
        assert isinstance(row, Row)
        outcome = judge(run.spent(), verdict, self._policy, cancel=False, now=now, jitter=self._jitter())
        if outcome.state is State.PENDING:
            wait = 0 if outcome.run_at is None else outcome.run_at - now
            repeated = run.row_again(outcome)
            assert isinstance(repeated, Row)
            self.again.add(repeated, time.monotonic_ns() + 1000 * wait)
            return
        assert outcome.error is not None
        self._answers.failed(row.line, outcome.error)
        self._open -= 1
        self._look_for_end()
