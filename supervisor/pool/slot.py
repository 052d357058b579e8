"""One place in a pool: the life of a child, and after it the next child's.

The conversation is driven by what the child says: the pool's ears hear its stdout, and whoever has a job for an idle
child writes it straight into the pipe. So a reply leads to the next request without a task switch in between.

`_over` ends a life: the first to set an ending wins, and what the child says afterwards is ignored. The attempt in
hand is judged when the whole tree is gone, so a repeat never overlaps it.
"""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog
import trio

from protocol.worker import Reply, encode_request
from supervisor.core.blame import Ending, Exit, Why, blame, failed_life
from supervisor.core.verdict import Verdict
from supervisor.pool.child import Child, describe_exit
from supervisor.pool.conversation import Broken, Conversation, verdict_of
from supervisor.pool.ending import end_tree
from supervisor.pool.run import Run
from supervisor.pool.stderr import StderrLog

if TYPE_CHECKING:
    from supervisor.pool.pool import Pool

log = structlog.get_logger("stoker.pool")

CHUNK = 65536
PIPE_CHUNKS = 16  # a full pipe of the largest size
CHATTER = 250  # replies in one chunk: progress that nobody could follow
CLOSED_GRACE = 0.1  # seconds for a child that closed its stdout to exit by itself, so that its exit code is its own


class Slot:
    """`number` is what the child sees as STOKER_SLOT. `state`: starting, idle, busy, ending or waiting."""

    def __init__(self, pool: Pool, number: int) -> None:
        self.pool = pool
        self.number = number
        self.state = "starting"
        self.child: Child | None = None
        self.run: Run | None = None
        self.deadline = float("inf")  # monotonic; of the run in hand
        self.jobs_done = 0  # by this child
        self._answered = False
        self._took_job = False
        self._dead = False  # it may still have said something
        self._retires = False  # it has asked to be replaced after this job
        self._unread = False  # when it ended, the request in hand had not been touched
        self._late = False  # what ended it belonged to the job before
        self._ending: Ending | None = None
        self._over = trio.Event()
        self._conversation = Conversation(pool.config.max_line, self._nothing_read)
        self._stderr = StderrLog(self)
        self._request = 0  # bytes written of the request in hand
        self._rest = b""  # of the request that the pipe did not take
        self._writing = trio.Event()

    # -- a life ----------------------------------------------------------------------------------------------------

    async def live(self, child: Child) -> Exit:
        """From a started child to its tree's end; the attempt in hand has been judged when this returns."""
        self._begin(child)
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_exit, child)
                nursery.start_soon(self._write_rest, child)
                nursery.start_soon(self._stderr.follow, child)
                self.pool.ears.listen(child.replies, partial(self._overhear, child))
                self._free()
                await self._over.wait()
                self.state = "ending"
                self.deadline = float("inf")
                await self._end(child)
                nursery.cancel_scope.cancel()
        exit = Exit(*describe_exit(child.reap()))
        self._judge(exit)
        child.close()
        self.child = None
        return exit

    def _begin(self, child: Child) -> None:
        self.child = child
        self.state = "starting"
        self.jobs_done = 0
        self._answered = self._took_job = self._retires = self._unread = self._late = self._dead = False
        self._ending = None
        self._over = trio.Event()
        self._conversation = Conversation(self.pool.config.max_line, self._nothing_read)
        self._stderr = StderrLog(self)
        self._rest = b""

    async def _end(self, child: Child) -> None:
        """End the whole tree."""
        assert self._ending is not None
        if self._ending.why.perhaps_exiting:
            with trio.move_on_after(CLOSED_GRACE):
                await child.dead.wait()
                self._ending = Ending(Why.EXITED)
        await end_tree(child, self._ending.why, self.pool.config.kill_grace)
        await self._stderr.drain()

    def _nothing_read(self) -> bool:
        """Whether all of the request in hand that the pipe took is in there still."""
        return self.run is not None and self.child is not None and self.child.unread() >= self._request

    def _judge(self, exit: Exit) -> None:
        ending = self._ending
        assert ending is not None
        run = self.run
        if not ending.why.on_request:
            self.pool.child_failed(
                self,
                failed_life(ending, exit),
                answered=self._answered,
                took_job=run is not None,
                unread=self._unread,
            )
        if run is not None:
            verdict = blame(ending, exit, unread=self._unread, late=self._late, stderr=self._stderr.since_mark())
            self._finish(verdict)

    # -- being given work ------------------------------------------------------------------------------------------

    def fit(self) -> bool:
        """Whether the idle child can be given work now; one that has spoken or died is ended instead."""
        child = self.child
        if child is None or self._ending is not None:
            return False
        if child.silent():
            return True
        self._hear(child)
        if self._ending is None:
            # It has died without a word, or some unfinished word is there: not to be trusted in either case.
            self.end(Why.EXITED)
        return False

    def start(self, run: Run) -> None:
        """Write the request. What the pipe does not take at once, a task writes when there is room."""
        child = self.child
        assert child is not None
        assert self.run is None
        row = run.row
        request = encode_request(row.id, row.payload, row.queue, run.attempt, run.timeout)
        self.run = run
        self._conversation.request(row.id)
        run.slot = self
        run.pid = child.pid
        self.state = "busy"
        self._stderr.mark()
        first = 0.0 if self._took_job else self.pool.config.boot_timeout
        self._took_job = True
        self.deadline = time.monotonic() + run.timeout + first
        self.pool.deadlines.note(self.deadline)
        self._request = 0
        try:
            self._request = child.write(request)
        except BrokenPipeError:
            self._deaf()
            return
        if self._request < len(request):
            self._rest = request[self._request :]
            self._writing.set()

    async def _write_rest(self, child: Child) -> None:
        while True:
            await self._writing.wait()
            self._writing = trio.Event()
            rest = memoryview(self._rest)
            while rest:
                try:
                    await trio.lowlevel.wait_writable(child.requests)
                    count = child.write(rest)
                except BrokenPipeError:
                    self._deaf()
                    return
                except (OSError, trio.ClosedResourceError):  # it is being asked to go
                    return
                self._request += count
                rest = rest[count:]
            self._rest = b""
            if self.run is None:  # it answered before it had read the whole request
                self.deadline = float("inf")
                self._free()

    def _deaf(self) -> None:
        """Nobody can read the request any more: the child has died, which is noticed as such, or closed its stdin."""
        if self.child is not None and not self.child.silent():
            self._hear(self.child)
        self.end(Why.DEAF)

    # -- hearing ---------------------------------------------------------------------------------------------------

    def _hear(self, child: Child) -> None:
        """Act on what was said until now. A pipe holds at most a mebibyte, and what comes while that is read is not
        waited for: a child that never stops talking would keep us here."""
        for _ in range(PIPE_CHUNKS):
            if self._ending is not None or self._hear_chunk(child) is None:
                break

    def _overhear(self, child: Child) -> bool:
        """What the pool's ears call; True where the child says more than anybody wants to know."""
        return (self._hear_chunk(child) or 0) > CHATTER

    def _hear_chunk(self, child: Child) -> int | None:
        """Act on what can be read now; the number of replies it was, None when there is nothing (more)."""
        try:
            data = os.read(child.replies, CHUNK)
        except BlockingIOError:
            return None
        if not data:
            self.end(Why.EXITED if self._dead else Why.CLOSED)
            return None
        final = False
        steps = self._conversation.hear(data)
        for step in steps:
            if isinstance(step, Broken):
                self._late = step.late
                self.end(step.why, step.text)
            elif step.status == "progress":
                self._retires = self._retires or step.recycle
                self._progress(step)
            else:
                final = True
                self._answer(step)
        if final and self._ending is None:
            if self._retires:
                self.end(Why.RECYCLE)
            else:
                self._free()
        return len(steps)

    def _progress(self, reply: Reply) -> None:
        assert self.run is not None
        self.run.progress = reply

    def _answer(self, reply: Reply) -> None:
        self._answered = True
        self._retires = self._retires or reply.recycle
        self.jobs_done += 1
        self.pool.jobs_done += 1
        assert self.run is not None
        self._stderr.catch_up()
        self._finish(verdict_of(reply, self._stderr.since_mark, len(memoryview(self.run.row.payload))))
        self.pool.answered()

    # -- ending ----------------------------------------------------------------------------------------------------

    def end(self, why: Why, text: str = "") -> None:
        """This child's life is over; only the first reason counts."""
        if self._ending is not None or self.child is None:
            return
        self._ending = Ending(why, text)
        self._unread = self._nothing_read()
        self._over.set()
        self.pool.ears.ignore(self.child.replies)
        self.pool.not_idle(self)
        if why is not Why.EXITED and not (why.polite or why.perhaps_exiting):
            log.warning(
                "worker_ended",
                pool=self.pool.name,
                slot=self.number,
                pid=self.child.pid,
                why=why.value,
                detail=text,
                job=self.run.id if self.run else None,
            )

    def expire(self) -> None:
        """The deadline has passed: what the child has said until now still counts."""
        run, child = self.run, self.child
        if child is None or self._ending is not None:
            return
        if run is None:
            self.end(
                Why.EXTRA, "the worker answered without having read its request, and did not read the rest in time"
            )
            return
        self._hear(child)
        if self.run is run:
            self.end(Why.TIMEOUT, f"{run.timeout:g}")

    def cancel(self, run: Run) -> None:
        """Somebody cancelled the job: end the child, unless it has answered already."""
        run.cancel = True
        if self.run is run and self.child is not None and self._ending is None:
            self._hear(self.child)
        if self.run is run:
            self.end(Why.CANCEL)

    def stop(self) -> None:
        """The daemon stops: an idle child is asked to go, a busy one's job is released."""
        if self.child is not None and self.run is not None and self._ending is None:
            self._hear(self.child)
        self.end(Why.STOP if self.run is None else Why.RELEASE)

    async def _watch_exit(self, child: Child) -> None:
        await child.watch()
        # It may have answered and exited at once; and it is given nothing more.
        self.pool.not_idle(self)
        self._dead = True
        self._hear(child)
        self.end(Why.EXITED)

    def last_words(self) -> str | None:
        """The end of this child's stderr."""
        return self._stderr.since_mark()

    # -- handing on ------------------------------------------------------------------------------------------------

    def _free(self) -> None:
        """Ready for the next job, which may be there already."""
        if self._dead or self._ending is not None or self._rest:
            return
        run = self.pool.checkout()
        if run is not None:
            self.start(run)
        else:
            self.state = "idle"
            self.pool.now_idle(self)

    def _finish(self, verdict: Verdict) -> None:
        run, self.run = self.run, None
        assert run is not None
        if not self._rest:
            self.deadline = float("inf")
        self.pool.finished(run, verdict)
