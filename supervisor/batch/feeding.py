"""From a batch's lines to jobs in its queue, never more of them than its window."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import trio
import uuid_utils

from supervisor.batch.source import Chunk
from supervisor.batch.surroundings import CLIENT, Surroundings
from supervisor.batch.tracking import Ending, Sent, Step, Tracking
from supervisor.batch.words import Status
from supervisor.core.job import NewJob
from supervisor.core.keys import NO_KEYS
from supervisor.core.window import MOST_BYTES, MOST_JOBS, window
from supervisor.errors import QueueFull, StoreUnavailable
from supervisor.lines.ranges import Ranges
from supervisor.store.port import Submitted

GROUP = 250  # jobs in one submit: a few milliseconds of the store's time
UNWRITTEN = 10_000  # records; then nothing is handed over until the disk has come along
_FEW = 3 / 4  # of the window: with so many under way more are handed over

CANCELLED = "the batch was cancelled before this line began"


class Feeding:
    """`skip`: lines that are answered, or in the store, from the beginning. `sharers` says among how many batches its
    queue is shared. `rested` is told when nothing of it can begin before some attempt is due again: `resting`."""

    def __init__(
        self,
        around: Surroundings,
        status: Status,
        tracking: Tracking,
        skip: Ranges,
        chunks: trio.MemoryReceiveChannel[Chunk],
        sharers: Callable[[], int],
        rested: Callable[[], None],
    ) -> None:
        self.waiting: str | None = None
        self.resting = False
        self._around = around
        self._batch = status
        self._tracking = tracking
        self._skip = skip
        self._chunks = chunks
        self._sharers = sharers
        self._rested = rested
        self._steps: deque[Step] = deque()
        self._cancelled = trio.Event()
        self._group = GROUP
        self._counted = 0  # ends that the pace has heard of

    def cancel(self) -> None:
        """From now on no line becomes a job any more."""
        self._cancelled.set()
        self._tracking.room.set()

    async def run(self) -> None:
        """Until every line was handed over, or answered here."""
        async for chunk in self._chunks:
            self._tracking.skip(chunk.blanks)
            self._steps.extend(chunk.steps)
            while self._next_is_new():
                if self._cancelled.is_set():
                    await self._end_jobs()
                    await self._answer_cancelled()
                else:
                    await self._hand_over()
        self._tracking.end_of_input()
        await self._see_off()

    def _next_is_new(self) -> bool:
        """Pass over the next lines as far as they are known. Never ahead of others: the place in the file moves, and
        what is before it will not be read again."""
        while self._steps and self._steps[0].line.number in self._skip:
            self._tracking.pass_over(self._steps.popleft())
        return bool(self._steps)

    # -- jobs --------------------------------------------------------------------------------------------------------

    async def _hand_over(self) -> None:
        """Some of the lines, or what there is to wait for first."""
        self.waiting = self._around.obstacle(self._batch.queue)
        if self.waiting is not None:
            await self._wait(self._around.poll)
            return
        room = self._room()
        self._rest(room <= 0)
        if room <= 0:
            self.waiting = self._around.standstill(self._batch.queue)
            await self._wait(self._around.poll)
            return
        steps = self._next(room)
        if not self._refuse(steps):
            await self._submit(steps)

    def _room(self) -> int:
        """How many jobs may be handed over now."""
        tracking = self._tracking
        if tracking.unwritten >= UNWRITTEN or len(tracking.sent) >= MOST_JOBS:
            return 0
        line = self._around.line(self._batch.queue)
        assert line is not None
        sharers = self._sharers()
        if tracking.size * sharers >= MOST_BYTES:
            return 0
        workers = sum(pool.config.max for pool in line.pools)
        pace = self._around.pace(self._batch.queue)
        pace.add(tracking.ended - self._counted)
        self._counted = tracking.ended
        most = window(pace.per_second(time.monotonic()), workers, sharers, line.policy.max_pending)
        if tracking.under_way > most * _FEW:
            return 0
        return min(most - tracking.under_way, MOST_JOBS - len(tracking.sent), self._group)

    def _next(self, room: int) -> list[Step]:
        """Lines of the same kind, jobs or none, as many as fit."""
        left = MOST_BYTES // self._sharers() - self._tracking.size
        steps: list[Step] = []
        while self._steps and len(steps) < room and left > 0:
            line = self._steps[0].line
            payload = line.payload
            if steps and ((payload is None) != (steps[0].line.payload is None) or line.number in self._skip):
                break
            left -= len(payload or b"")
            steps.append(self._steps.popleft())
        return steps

    def _refuse(self, steps: Sequence[Step]) -> bool:
        """Answer lines that are no payload."""
        if steps[0].line.payload is not None:
            return False
        self._tracking.take(steps)
        self._tracking.answer([_refused(step) for step in steps])
        return True

    async def _submit(self, steps: list[Step]) -> None:
        jobs = self._jobs(steps)
        size = sum(len(job.payload) for job in jobs)
        try:
            self._tracking.take(steps)
            self._around.room.take(size)
            await self._around.committer.submit(jobs, self._around.now(), partial(self._submitted, steps, jobs))
        except (QueueFull, StoreUnavailable) as refusal:
            self._tracking.untake(steps)
            self._steps.extendleft(reversed(steps))
            # Fewer of them may find room, where others keep a queue nearly full.
            self._group = max(1, self._group // 2) if isinstance(refusal, QueueFull) else GROUP
            self.waiting = refusal.message
            await self._wait(self._around.poll)
        else:
            self._group = min(GROUP, 2 * self._group)

    def _jobs(self, steps: Sequence[Step]) -> list[NewJob]:
        batch, now = self._batch, self._around.now()
        line = self._around.line(batch.queue)
        lane = NO_KEYS if line is not None and line.policy.keyed else None
        client = CLIENT + batch.id
        return [
            NewJob(
                id=str(uuid_utils.uuid7()),
                queue=batch.queue,
                payload=step.line.payload or b"null",
                created_at=now,
                run_at=now,
                priority=batch.priority,
                timeout=batch.timeout,
                max_attempts=batch.max_attempts,
                client=client,
                key=str(step.line.number),
                name=batch.name,
                tags=tuple(batch.tags),
                lane=lane,
            )
            for step in steps
        ]

    def _submitted(self, steps: Sequence[Step], jobs: Sequence[NewJob], answers: list[Submitted]) -> None:
        """They are on disk. Whoever collects them is known before any of them can begin, so that no end is missed."""
        tracking, waiters = self._tracking, self._around.feeder.waiters
        for step, answer in zip(steps, answers, strict=True):
            line = step.line
            tracking.send(answer.id, Sent(line.number, line.custom_id, len(line.payload or b"")))
            waiters.collect(answer.id, tracking.heard)
            if answer.state.final:  # it had been handed over before, and nobody knew
                tracking.met(answer.id)
        self._around.feeder.submitted(jobs, answers)

    def _rest(self, full: bool) -> None:
        """`full`: no line can be handed over now."""
        tracking = self._tracking
        rested, self.resting = self.resting, full and bool(tracking.sent) and not tracking.under_way
        if self.resting and not rested:
            self._rested()

    async def _wait(self, longest: float) -> None:
        """For a job to end, and no longer than that."""
        if not self._cancelled.is_set():
            self._tracking.room = trio.Event()
        with trio.move_on_after(longest):
            await self._tracking.room.wait()

    # -- a batch that is cancelled -------------------------------------------------------------------------------------

    async def _see_off(self) -> None:
        """All was handed over: what is left is to wait for its end, or to bring it about."""
        tracking = self._tracking
        while tracking.sent:
            if self._cancelled.is_set():
                await self._end_jobs()
                return
            self.waiting = self._around.standstill(self._batch.queue)
            self._rest(True)
            await self._wait(self._around.poll)
        self.waiting = None

    async def _end_jobs(self) -> None:
        """None of its jobs runs or waits when this returns, and all have been heard of."""
        tracking, around = self._tracking, self._around
        while tracking.sent:
            try:
                await around.sweep(CLIENT + self._batch.id)
                await around.committer.settle()
                self.waiting = None
            except StoreUnavailable as reason:
                self.waiting = reason.message
            if tracking.sent:  # somebody has had one run once more, or the store fails
                await trio.sleep(around.poll)

    async def _answer_cancelled(self) -> None:
        """A chunk of lines that will never be jobs."""
        while self._tracking.unwritten >= UNWRITTEN:
            await self._tracking.written.wait()
        steps: list[Step] = []
        while self._steps and self._steps[0].line.number not in self._skip:
            steps.append(self._steps.popleft())
        self._tracking.take(steps)
        self._tracking.answer([_refused(step) if step.line.payload is None else _cancelled(step) for step in steps])


def _refused(step: Step) -> Ending:
    line = step.line
    return Ending(line.number, line.custom_id, cause=line.cause, message=line.complaint)


def _cancelled(step: Step) -> Ending:
    return Ending(step.line.number, step.line.custom_id, cause="cancelled", message=CANCELLED)
