"""A pool: N slots of one program, serving one or more queues."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import structlog
import trio

from protocol.control import PoolView, WorkerView
from supervisor.config.model import PoolConfig
from supervisor.core.respawn import SHORT_LIFE, failed_boot, respawn_delay
from supervisor.core.verdict import Verdict
from supervisor.pool import procfs
from supervisor.pool.cgroups import Cgroups
from supervisor.pool.child import Child
from supervisor.pool.deadlines import Deadlines
from supervisor.pool.ears import Ears
from supervisor.pool.launch import SpawnFailed, launch
from supervisor.pool.remains import Remains
from supervisor.pool.run import Run
from supervisor.pool.slot import Slot

if TYPE_CHECKING:
    from supervisor.pool.feeder import Feeder

log = structlog.get_logger("stoker.pool")


class Pool:
    """`idle` are the slots whose child waits for a job, the one used last at the end: it is the warmest."""

    def __init__(
        self,
        config: PoolConfig,
        feeder: Feeder,
        remains: Remains,
        environ: dict[str, str],
        cgroups: Cgroups | None = None,
    ) -> None:
        self.config = config
        self.name = config.name
        self.feeder = feeder
        self.deadlines = Deadlines()
        self.ears = Ears()
        self.slots = [Slot(self, number) for number in range(config.min)]
        self.deadlines.timed.extend(self.slots)
        self.idle: list[Slot] = []
        self.turn = 0  # the place among its queues from where the next job is looked for
        self.reason: str | None = None  # why it is degraded
        self.settled = trio.Event()  # has a worker, or is degraded
        self.spawned = 0
        self.crashes = 0
        self.jobs_done = 0
        self._remains = remains
        self._environ = environ
        self._cgroups = cgroups
        self._failures = 0  # failed boots in a row
        self._stopping = trio.Event()

    async def run(self) -> None:
        """Keep every slot filled; returns after `stop`, when the last tree is gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.deadlines.run)
            nursery.start_soon(self.ears.run)
            nursery.start_soon(self._stop_if_cancelled)
            async with trio.open_nursery() as lives:
                for slot in self.slots:
                    lives.start_soon(self._keep_filled_or_stop, slot)
            nursery.cancel_scope.cancel()
        self.ears.close()

    def stop(self) -> None:
        """Idle children are asked to go, the jobs of busy ones are released."""
        self._stopping.set()
        self.settled.set()  # as much as it ever will be
        for slot in self.slots:
            slot.stop()

    async def _stop_if_cancelled(self) -> None:
        """Lives are shielded, since a child must not outlive its slot: cancelling a pool means stopping it."""
        try:
            await trio.sleep_forever()
        finally:
            self.stop()

    # -- lives -----------------------------------------------------------------------------------------------------

    async def _keep_filled_or_stop(self, slot: Slot) -> None:
        """A bug in one life must end the daemon, loudly: its siblings are shielded, and would go on regardless."""
        try:
            await self._keep_filled(slot)
        except Exception:
            self.stop()
            raise

    async def _keep_filled(self, slot: Slot) -> None:
        while not self._stopping.is_set():
            child = self._spawn(slot)
            if child is not None:
                await self._live(slot, child)
            await self._pause_before_respawn(slot)

    def _spawn(self, slot: Slot) -> Child | None:
        slot.state = "starting"
        try:
            child = launch(self.config, slot.number, instance=self._remains.instance, environ=self._environ)
        except SpawnFailed as failed:
            self._boot_failed(failed.message)
            return None
        self.spawned += 1
        log.info("worker_started", pool=self.name, slot=slot.number, pid=child.pid)
        return child

    async def _live(self, slot: Slot, child: Child) -> None:
        try:
            record = self._remains.remember(child.pid)
        except OSError as error:
            # It serves on: its environment marks it too, and most trees die with the daemon.
            log.warning("worker_not_recorded", pool=self.name, pid=child.pid, error=os.strerror(error.errno or 0))
            record = None
        self.settled.set()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._prove, slot, child)
            exit = await slot.live(child)
            nursery.cancel_scope.cancel()
        if record is not None:
            self._remains.forget(record)
        log.info(
            "worker_exited",
            pool=self.name,
            slot=slot.number,
            pid=child.pid,
            exit=exit.words,
            jobs_done=slot.jobs_done,
            age=round(time.monotonic() - child.started, 3),
        )

    async def _prove(self, slot: Slot, child: Child) -> None:
        """A child that stays idle long enough has booted, as far as one can see from outside."""
        await trio.sleep(SHORT_LIFE)
        if slot.state == "idle" and slot.child is child:
            self.answered()

    async def _pause_before_respawn(self, slot: Slot) -> None:
        # Always a checkpoint: a program that cannot be started must not keep the loop from everything else.
        await trio.lowlevel.checkpoint()
        delay = respawn_delay(self._failures, random.random())
        if delay:
            slot.state = "waiting"
            with trio.move_on_after(delay):
                await self._stopping.wait()

    # -- what the slots report -------------------------------------------------------------------------------------

    def checkout(self) -> Run | None:
        return None if self._stopping.is_set() else self.feeder.checkout(self)

    def finished(self, run: Run, verdict: Verdict) -> None:
        self.feeder.finished(run, verdict)

    def now_idle(self, slot: Slot) -> None:
        self.idle.append(slot)

    def not_idle(self, slot: Slot) -> None:
        if slot in self.idle:
            self.idle.remove(slot)

    def answered(self) -> None:
        """The program works."""
        self._failures = 0
        if self.reason is not None:
            self.reason = None
            log.info("pool_recovered", pool=self.name)

    def child_failed(self, slot: Slot, what: str, *, answered: bool, took_job: bool, unread: bool) -> None:
        """A child's life ended by its own fault or death."""
        self.crashes += 1
        assert slot.child is not None
        lived = time.monotonic() - slot.child.started
        if failed_boot(answered=answered, took_job=took_job, unread=unread, lived=lived, failures=self._failures):
            command = " ".join(self.config.command)
            stderr = slot.last_words()
            said = f"; its stderr ends: {stderr}" if stderr else ""
            self._boot_failed(f"{what} (command: {command}){said}")

    def _boot_failed(self, reason: str) -> None:
        self._failures += 1
        if self.reason is None:
            log.error("pool_degraded", pool=self.name, reason=reason)
        self.reason = reason
        self.settled.set()

    # -- views -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        if self._stopping.is_set():
            return "stopping"
        if self.reason is not None:
            return "degraded"
        return "ready" if self.settled.is_set() else "starting"

    def view(self) -> PoolView:
        return PoolView(
            pool=self.name,
            state=self.state,
            reason=self.reason,
            generation=1,
            restarting=False,
            size=len(self.slots),
            min=self.config.min,
            max=self.config.max,
            idle=len(self.idle),
            busy=sum(slot.run is not None for slot in self.slots),
            spawned=self.spawned,
            crashes=self.crashes,
            recycled=0,
            jobs_done=self.jobs_done,
            queues=list(self.config.queues),
        )

    def workers(self) -> list[WorkerView]:
        now = time.monotonic()
        return [_worker_view(self.name, slot, now) for slot in self.slots]


def _worker_view(pool: str, slot: Slot, now: float) -> WorkerView:
    child = slot.child
    return WorkerView(
        pool=pool,
        slot=slot.number,
        generation=1,
        pid=child.pid if child else None,
        state=slot.state,
        job=slot.run.id if slot.run else None,
        jobs_done=slot.jobs_done,
        rss=procfs.rss(child.pid) if child else None,
        age_secs=round(now - child.started, 3) if child else None,
    )
