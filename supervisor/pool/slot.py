"""One place in a pool: a child's life after the other's, and the pause between two that failed."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import structlog
import trio

from supervisor.config.model import PoolConfig
from supervisor.core.recycle import draw
from supervisor.pool.boot import Boot
from supervisor.pool.child import Child
from supervisor.pool.launch import SpawnFailed
from supervisor.pool.life import Life
from supervisor.pool.run import Run
from supervisor.pool.stderr import Budget

if TYPE_CHECKING:
    from supervisor.pool.pool import Pool

log = structlog.get_logger("stoker.pool")

# One start at a time, and none that is not wanted any more when its turn comes.
_LAUNCHING = trio.Lock()


class Slot:
    """`number` is what its children see as STOKER_SLOT. `coming` will be decided by the next child to be started.
    `trial`: a configuration that is tried here; its failure is nobody's but the slot's, which then gives up. `held`:
    its worker is given nothing before `release`."""

    def __init__(self, pool: Pool, number: int, trial: PoolConfig | None = None, *, held: bool = False) -> None:
        self.pool = pool
        self.number = number
        self.trial = trial
        self.held = held
        self.life: Life | None = None
        self.budget = Budget()
        self.coming = Boot()
        self.leaving = False
        self._outdated: str | None = None  # why the child that is being started is to be replaced
        self._pausing = False
        self._hurry = trio.Event()

    @property
    def state(self) -> str:
        """starting, idle, busy, ending or waiting (for the respawn backoff)."""
        if self.life is not None:
            return self.life.state
        return "waiting" if self._pausing else "starting"

    @property
    def child(self) -> Child | None:
        return self.life.child if self.life else None

    @property
    def run(self) -> Run | None:
        """What its child has, or is about to have."""
        return self.life.run or self.life.reserved if self.life else None

    @property
    def generation(self) -> int:
        """Of its child; 0 while it has none."""
        return self.life.generation if self.life else 0

    # -- from outside ----------------------------------------------------------------------------------------------

    def replace(self, reason: str) -> None:
        """Start a child anew: now, or when this one's job is done."""
        self._hurry.set()
        self._outdated = reason
        if self.life is not None:
            self.life.retire(reason)

    def leave(self, reason: str) -> None:
        """Give the place up: now, or when its job is done."""
        self.leaving = True
        self._hurry.set()
        if self.life is not None:
            self.life.leave(reason)

    def stay(self) -> bool:
        """Take `leave` back; False when it is too late."""
        if self.life is None or self.life.state == "ending":
            return False
        self.leaving = False
        self.life.stay()
        return True

    def release(self) -> None:
        """What was tried here is the pool's now."""
        self.trial, held, self.held = None, self.held, False
        if held and self.life is not None and self.life.state == "idle":
            self.life.let_go()

    def hurry(self) -> None:
        """Do not wait for the respawn any longer."""
        self._hurry.set()

    def stop(self) -> None:
        self._hurry.set()
        if self.life is not None:
            self.life.stop()

    def catch_up(self, life: Life) -> None:
        """Do to a child that has just been started what was asked for meanwhile."""
        if self.pool.stopping.is_set():
            life.child.signal(signal.SIGKILL)  # it has done nothing yet that would take an end of its own
            life.stop()
        elif self.leaving:
            life.leave("its place was given up")
        elif self._outdated is not None:
            life.retire(self._outdated)

    # -- one life after the other ----------------------------------------------------------------------------------

    async def keep_filled(self) -> None:
        """Until the pool stops, the place is given up, or the trial has failed."""
        pool = self.pool
        while not pool.stopping.is_set() and not self.leaving:
            boot, self.coming = self.coming, Boot()
            async with _LAUNCHING:
                if pool.stopping.is_set() or self.leaving:
                    boot.fail("its place was given up")
                    break
                life = await self._start(boot)
            if life is not None:
                await self._live(life)
            if self.trial is not None:
                break
            if pool.feeder.stopped:  # nothing is given out any more, so nobody is needed
                await self._hurry.wait()
            await self._pause()
        self.coming.fail("its place was given up")
        if not pool.stopping.is_set():
            pool.answered(self.number)  # the place is gone, and what was wrong with it

    async def _start(self, boot: Boot) -> Life | None:
        self._outdated = None
        pool, config = self.pool, self.trial or self.pool.config
        generation = pool.generation + (self.trial is not None)
        try:
            child = await pool.launcher.start(config, self.number)
        except SpawnFailed as failed:
            boot.fail(failed.message)
            if self.trial is None:
                pool.boot_failed(self.number, failed.message, 0.0)
            return None
        pool.spawned += 1
        log.info("worker_started", pool=pool.name, slot=self.number, pid=child.pid, generation=generation)
        return Life(self, child, config, generation, boot, draw(config, random.random))

    async def _live(self, life: Life) -> None:
        pool, child = self.pool, life.child
        self.life = life
        pool.begins(life)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._prove, life)
            exit = await life.live()
            nursery.cancel_scope.cancel()
        self.life = None
        pool.ends(life)
        await pool.launcher.clear(child)
        log.info(
            "worker_exited",
            pool=pool.name,
            slot=self.number,
            pid=child.pid,
            exit=exit.words,
            jobs_done=life.jobs_done,
            age=round(time.monotonic() - child.started, 3),
        )

    async def _prove(self, life: Life) -> None:
        """A child that stays idle long enough has booted, as far as one can see from outside."""
        await life.ready.wait()
        self.pool.settled.set()
        await trio.sleep(self.pool.health.proof(self.number))
        if life.state == "idle":
            life.boot.succeed()
            self.pool.proven(self.number)

    async def _pause(self) -> None:
        # Always a checkpoint: a program that cannot be started must not keep the loop from everything else.
        await trio.lowlevel.checkpoint()
        delay = self.pool.health.delay(self.number, random.random())
        if delay:
            self._pausing = True
            with trio.move_on_after(delay):
                await self._hurry.wait()
            self._pausing = False
        self._hurry = trio.Event()
