"""One child's life in a slot: what it is given, what it says, and how it ends.

The conversation is driven by what the child says: the pool's ears hear its replies, and whoever has a job for an idle
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

from protocol.worker import Reply
from supervisor.config.model import PoolConfig
from supervisor.config.quantities import format_duration
from supervisor.core.blame import Ending, Exit, Why, blame, failed_life
from supervisor.core.recycle import Limits, due
from supervisor.core.respawn import SHORT_LIFE
from supervisor.core.verdict import Verdict
from supervisor.pool.boot import Boot
from supervisor.pool.child import Child, describe_exit
from supervisor.pool.conversation import Broken, Conversation, verdict_of
from supervisor.pool.ending import end_tree
from supervisor.pool.outgoing import Outgoing
from supervisor.pool.reasons import in_full, killed_for_memory, patience
from supervisor.pool.run import Run
from supervisor.pool.stderr import StderrLog

if TYPE_CHECKING:
    from supervisor.pool.slot import Slot

log = structlog.get_logger("stoker.pool")

CHUNK = 65536
PIPE_CHUNKS = 16  # a full pipe of the largest size
CHATTER = 250  # replies in one chunk: progress that nobody could follow
CLOSED_GRACE = 0.1  # seconds for a child that closed its end to exit by itself, so that its exit code is its own

NO_LIMITS = Limits()


class Life:
    """`state`: starting, idle, busy or ending. It lives by the
    configuration it was started with, and `boot` is told whether it comes up. `limits`: when it is to be replaced."""

    def __init__(
        self, slot: Slot, child: Child, config: PoolConfig, generation: int, boot: Boot, limits: Limits
    ) -> None:
        self.slot = slot
        self.pool = slot.pool
        self.number = slot.number
        self.child = child
        self.config = config
        self.generation = generation
        self.boot = boot
        self.limits = NO_LIMITS if limits == NO_LIMITS else limits
        self.state = "starting"
        self.run: Run | None = None
        self.reserved: Run | None = None  # what it is to have once the claim is on disk
        self.ready = trio.Event()  # it may be given work
        self.ready_at = child.started  # monotonic
        self.idle_since = float("inf")  # monotonic
        self.deadline = float("inf")  # monotonic; of the run in hand, or of the start
        self._allowed = 0.0  # seconds that the run in hand has
        self.jobs_done = 0
        self._answered = False
        self._booted = False  # no job of its waits for the program to start
        self._dead = False  # it may still have said something
        self._retires: Ending | None = None  # how it ends, once it has no job
        self._leaves: Ending | None = None  # the same, and nobody takes its place
        self._unread = False  # when it ended, the request in hand had not been touched
        self._late = False  # what ended it belonged to the job before
        self._ending: Ending | None = None
        self._over = trio.Event()
        self._conversation = Conversation(
            config.max_line,
            self._nothing_read,
            channel=config.channel,
            ready=config.ready,
            require_id=config.require_id,
        )
        self._stderr = StderrLog(self, slot.budget)
        self._outgoing = Outgoing(child, deaf=self._deaf, written=self._written)

    # -- from start to end -----------------------------------------------------------------------------------------

    async def live(self) -> Exit:
        """From a started child to its tree's end; the attempt in hand has been judged when this returns."""
        child = self.child
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_exit, child)
                nursery.start_soon(self._outgoing.run)
                nursery.start_soon(self._stderr.follow, child)
                self.pool.ears.listen(child.replies, partial(self._overhear, child))
                self.slot.catch_up(self)
                if self._ending is None:
                    self._begin()
                await self._over.wait()
                self.state = "ending"
                self.deadline = float("inf")
                await self._end(child)
                nursery.cancel_scope.cancel()
        exit = Exit(*describe_exit(child.reap()))
        self._judge(exit)
        child.close()
        return exit

    def _begin(self) -> None:
        """Give it work now, or when it has said that it is ready. Where there is reason to doubt (a restart, a place
        whose last worker came to nothing) no job is risked before it has lived for a moment."""
        pool = self.pool
        if self.config.ready:
            self.deadline = self.child.started + self.config.boot_timeout
        elif pool.rolling is not None or self.slot.trial is not None or pool.health.fails(self.number):
            self.deadline = self.child.started + SHORT_LIFE
        else:
            self._start_serving()
            return
        pool.deadlines.note(self.deadline)

    def _start_serving(self) -> None:
        self.deadline = float("inf")
        self.ready_at = time.monotonic()
        self.ready.set()
        self._free()

    async def _end(self, child: Child) -> None:
        """End the whole tree."""
        assert self._ending is not None
        if self._ending.why.perhaps_exiting:
            with trio.move_on_after(CLOSED_GRACE):
                await child.dead.wait()
                self._ending = Ending(Why.EXITED)
        await end_tree(child, self._ending.why, self.config.kill_grace)
        await self._stderr.drain()
        if self._ending.why.by_itself and (oom := killed_for_memory(child, self.config)) is not None:
            self._ending = Ending(Why.OOM, oom)

    def _nothing_read(self) -> bool:
        """Whether all of the request in hand that the pipe took is in there still."""
        return self.run is not None and self._outgoing.untouched()

    def _judge(self, exit: Exit) -> None:
        ending = self._ending
        assert ending is not None
        run = self.run
        stderr = self._stderr.since_mark()
        words = failed_life(ending, exit, ready=self.ready.is_set() or not self.config.ready)
        if self.config.channel == "fd" and exit.code == 0 and not self._answered:
            words += ' (with channel = "fd" requests come on file descriptor 3, and stdin is empty)'
        reason = in_full(words, self.config.command, stderr)
        if not ending.why.on_request:
            # What it says out of turn before it ever answered is the program's fault, though a job may pay for it.
            took_job = run is not None and ending.why not in (Why.GARBAGE, Why.EXTRA)
            self.pool.child_failed(self, reason, answered=self._answered, took_job=took_job, unread=self._unread)
        self.boot.fail(reason)  # unless it has come up
        if run is not None:
            begun = not self._nothing_read()
            self._finish(blame(ending, exit, unread=self._unread, late=self._late, stderr=stderr, begun=begun))

    # -- being given work ------------------------------------------------------------------------------------------

    def fit(self) -> bool:
        """Whether the idle child can be given work now; one that has spoken or died is ended instead."""
        child = self.child
        if self._ending is not None:
            return False
        if not child.silent():
            self._hear(child)
            if self._ending is None and not child.silent():
                self.end(Why.EXITED)  # without a word
        broken = self._conversation.unfinished()
        if broken is not None:
            self.end(broken.why, broken.text)
        return self._ending is None

    def take(self, run: Run) -> None:
        """Give it a job that was checked out: now, or when its claim is on disk."""
        if run.claim_first:
            self.reserved = run
            run.life = self
            self.state = "busy"
            self.idle_since = float("inf")
        else:
            self.start(run)

    def begin(self, run: Run) -> None:
        """The claim of the job it is kept for is on disk."""
        self.reserved = None
        self.start(run)

    def let_go(self) -> None:
        """The job it was kept for does not come."""
        self.reserved = None
        self._free()

    def start(self, run: Run) -> None:
        """Write the request."""
        assert self.run is None
        request = run.request()
        self.run = run
        self._conversation.request(run.row.id)
        run.life = self
        run.pid = self.child.pid
        self.state = "busy"
        self.idle_since = float("inf")
        self._stderr.mark()
        first = 0.0 if self._booted or self.config.ready else self.config.boot_timeout
        self._booted = True
        self._allowed = run.timeout + first
        self.deadline = time.monotonic() + self._allowed
        self.pool.deadlines.note(self.deadline)
        self._outgoing.send(request)
        self.pool.feeder.chronicle.began(run, self)

    def _written(self) -> None:
        if self.run is None:  # it answered before it had read the whole request
            self.deadline = float("inf")
            self._free()

    def _deaf(self) -> None:
        """Nobody can read the request any more: the child has died, which is noticed as such, or closed its stdin."""
        if not self.child.silent():
            self._hear(self.child)
        self.end(Why.DEAF, "stdin" if self.config.channel == "stdio" else "file descriptor 3")

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
            if self._dead:
                self.end(Why.EXITED)
            else:
                self.end(Why.CLOSED, "stdout" if self.config.channel == "stdio" else "file descriptor 4")
            return None
        plain = self._conversation.hear_plain(data)
        if plain is None:
            return self._hear_closely(data)
        self._answer(plain)
        self._free()
        return 1

    def _hear_closely(self, data: bytes) -> int:
        final = ready = False
        steps = self._conversation.hear(data)
        for step in steps:
            if isinstance(step, Broken):
                self._late = step.late
                self.end(step.why, step.text)
            elif step.status == "progress":
                self._progress(step)
            elif step.status == "ready":
                ready = True
            else:
                final = True
                self._answer(step)
        # When all of it has been heard: a job that is given out now has nothing to do with any of it.
        if ready and self._ending is None:
            self._says_ready()
        if final and self.run is None:
            self._free()
        return len(steps)

    def _says_ready(self) -> None:
        """What was asked for, or just polite: the program has booted in any case."""
        self._booted = True  # so that the next job needs no time to boot
        self.boot.succeed()
        if not self.ready.is_set():
            self._start_serving()

    def _progress(self, reply: Reply) -> None:
        assert self.run is not None
        self.run.progress = reply
        self.pool.feeder.progressing[self.run.id] = self.run
        if reply.recycle:
            self._retires = Ending(Why.RECYCLE, "it asked for it")

    def _answer(self, reply: Reply) -> None:
        if not self._answered:
            self._answered = True
            self.boot.succeed()
        if reply.recycle:
            self._retires = Ending(Why.RECYCLE, "it asked for it")
        self.jobs_done += 1
        self.pool.jobs_done += 1
        assert self.run is not None
        self._stderr.job_ends()
        self._finish(verdict_of(reply, self._stderr.since_mark, len(memoryview(self.run.row.payload))))
        self.pool.answered(self.number)

    # -- ending ----------------------------------------------------------------------------------------------------

    def end(self, why: Why, text: str = "") -> None:
        """This child's life is over; only the first reason counts."""
        if self._ending is not None:
            return
        self._ending = Ending(why, text)
        self._unread = self._nothing_read()
        self._over.set()
        self.pool.ears.ignore(self.child.replies)
        self.pool.not_idle(self)
        if why is Why.RECYCLE:
            self.pool.recycled += 1
            log.info("worker_recycled", pool=self.pool.name, slot=self.number, pid=self.child.pid, reason=text)
        elif why is not Why.EXITED and not (why.polite or why.perhaps_exiting):
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
        if self._ending is not None:
            return
        if not self.ready.is_set():
            self._hear(child)
            if self.ready.is_set() or self._ending is not None:
                return
            if not self.config.ready:
                self.boot.succeed()
                self._start_serving()
            else:
                self.end(Why.NOT_READY, format_duration(self.config.boot_timeout))
            return
        if run is None:
            self.end(
                Why.EXTRA, "the worker answered without having read its request, and did not read the rest in time"
            )
            return
        self._hear(child)
        if self.run is run:
            self.end(Why.TIMEOUT, patience(self._allowed, run.timeout, silent=self._conversation.mute))

    def cancel(self, run: Run) -> None:
        """Somebody cancelled the job: end the child, unless it has answered already."""
        run.cancel = True
        if self.run is run and self._ending is None:
            self._hear(self.child)
        if self.run is run:
            self.end(Why.CANCEL)

    def stop(self) -> None:
        """The daemon stops: an idle child is asked to go, a busy one's job is released."""
        if self.run is not None and self._ending is None:
            self._hear(self.child)
        self.end(Why.STOP if self.run is None else Why.RELEASE)

    def retire(self, reason: str) -> None:
        """It is to be replaced as soon as it has no job, that is now if it has none."""
        self._retires = Ending(Why.RECYCLE, reason)
        self._go_if_free(self._retires)

    def leave(self, reason: str) -> None:
        """As `retire`, but its place is given up."""
        self._leaves = Ending(Why.STOP, reason)
        self._go_if_free(self._leaves)

    def stay(self) -> None:
        """Its place is kept after all, if it is not too late."""
        self._leaves = None

    def _go_if_free(self, ending: Ending) -> None:
        if self.run is None and self.reserved is None and not self._outgoing.pending:
            self.end(ending.why, ending.text)

    def over_memory(self, text: str) -> None:
        """It is ended for its memory; what it has said until now still counts."""
        run = self.run
        self._retires = Ending(Why.RECYCLE, text)  # should it have answered, it is given nothing more
        self._hear(self.child)
        if self.run is run:
            self.end(Why.OOM, text)

    def past_limit(self, now: float, rss: int | None) -> str | None:
        """Which limit of its life is reached, in words."""
        limits = self.limits
        if limits is NO_LIMITS:
            return None
        idle = max(0.0, now - self.idle_since)
        return due(limits, jobs_done=self.jobs_done, age=now - self.child.started, idle=idle, rss=rss)

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
        """Ready for the next job, which may be there already; or between two jobs, and to be replaced."""
        if self._dead or self._ending is not None or self._outgoing.pending:
            return
        if self._retires is None and self.jobs_done and self.limits is not NO_LIMITS:
            reason = self.past_limit(time.monotonic(), None)
            self._retires = None if reason is None else Ending(Why.RECYCLE, reason)
        rolling = self.pool.rolling
        retires = self._leaves or self._retires or (rolling.calls_in(self) if rolling is not None else None)
        if retires is not None:
            self.end(retires.why, retires.text)
            return
        run = None if self.slot.held else self.pool.checkout()
        if run is not None:
            self.take(run)
            return
        self.state = "idle"
        if not self.slot.held:
            self.idle_since = time.monotonic()
            self.pool.now_idle(self)

    def _finish(self, verdict: Verdict) -> None:
        run, self.run = self.run, None
        assert run is not None
        if not self._outgoing.pending:
            self.deadline = float("inf")
        self.pool.finished(run, verdict)
