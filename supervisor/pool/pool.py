"""A pool: slots of one program, serving one or more queues."""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog
import trio

from protocol.control import PoolView, WorkerView
from supervisor.config.model import PoolConfig
from supervisor.core.respawn import LAST_DELAY, failed_boot
from supervisor.core.shares import least_workers
from supervisor.core.verdict import Verdict
from supervisor.errors import Conflict, Invalid
from supervisor.pool import views
from supervisor.pool.deadlines import Deadlines
from supervisor.pool.ears import Ears
from supervisor.pool.health import Health
from supervisor.pool.launcher import Launcher
from supervisor.pool.life import Life
from supervisor.pool.rolling import Restarted, Rolling
from supervisor.pool.run import Run
from supervisor.pool.sharing import Sharing
from supervisor.pool.sizing import Sizing
from supervisor.pool.slot import Slot
from supervisor.pool.watch import Watch

if TYPE_CHECKING:
    from supervisor.pool.source import Source

log = structlog.get_logger("stoker.pool")


class Pool:
    """`idle` are the lives that wait for a job, the one used last at the end: it is the warmest. `spares` are
    the places that a rolling restart has beside those that count: one, and rarely that of the restart before."""

    def __init__(self, config: PoolConfig, feeder: Source, launcher: Launcher) -> None:
        self.config = config
        self.name = config.name
        self.feeder = feeder
        self.launcher = launcher
        self.deadlines = Deadlines()
        self.ears = Ears()
        self.health = Health(config.name)
        self.sizing = Sizing(self, config.min, config.max)
        self.watch = Watch(self)
        self.slots: list[Slot] = []
        self.idle: list[Life] = []
        self.spares: set[Slot] = set()
        self.rolling: Rolling | None = None
        self.generation = 1
        self.sharing: Sharing | None = None  # of one with several queues
        self.settled = trio.Event()  # has a worker that can be given work, or is degraded
        self.stopping = trio.Event()
        self.leaving = False  # it is not the configuration's any more, and ends with its last job
        self.begun = 0  # jobs that its workers were given
        self.spawned = 0
        self.crashes = 0
        self.recycled = 0
        self.jobs_done = 0
        self._lives: trio.Nursery | None = None
        self._trial: Slot | None = None
        self._taken_on = trio.Event()
        self._taken_on.set()
        if config.min == 0:
            self.settled.set()

    async def run(self) -> None:
        """Keep every slot filled; returns after `stop`, when the last tree is gone."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.deadlines.run)
            nursery.start_soon(self.ears.run)
            nursery.start_soon(self.watch.run)
            async with trio.open_nursery() as self._lives:
                nursery.start_soon(self._fill)
                try:
                    await self.stopping.wait()
                finally:
                    # Lives are shielded, since a child must not outlive its slot: cancelling a pool means stopping it.
                    self.stop()
            nursery.cancel_scope.cancel()
        self.ears.close()

    async def _fill(self) -> None:
        if self._trial is not None:
            self._add(self._trial)
        await self._taken_on.wait()
        await self.sizing.run()

    def stop(self) -> None:
        """Idle children are asked to go, the jobs of busy ones are released."""
        self.stopping.set()
        self.settled.set()  # as much as it ever will be
        for slot in self.slots:
            slot.stop()

    # -- what an operator asks for ---------------------------------------------------------------------------------

    async def try_out(self) -> str | None:
        """Before `run`, and while that runs: whether the program of a new pool comes up, in the pool's first place.
        Why not, or None; that worker is given nothing, and there are no others, before `take_on`."""
        self._taken_on = trio.Event()
        self.generation = 0
        self._trial = Slot(self, 0, self.config, held=True)
        return await self._trial.coming.failure()

    def take_on(self) -> None:
        """What was tried is a pool like any other, and is fed."""
        assert self._trial is not None
        self.generation = 1
        self._taken_on.set()
        self.feeder.serve(self)
        self._trial.release()

    def dissolve(self) -> None:
        """It is given no job any more; each worker goes when it has none, and then `run` returns."""
        self.leaving = True
        self.feeder.unserve(self)
        self.sizing.low = self.sizing.high = 0
        for slot in self.slots:
            slot.leave("its pool is configured no more")
        self._end_if_left()

    def _end_if_left(self) -> None:
        if self.leaving and not self.slots and not self.stopping.is_set():
            self.stop()
            log.info("pool_removed", pool=self.name)

    async def restart(self, config: PoolConfig | None = None) -> Restarted:
        """Replace every worker by one of `config` (None: the same), and return when that has happened; it goes on when
        the caller does not wait for it. Raises Conflict where it cannot begin, RestartFailed where it was given up."""
        return await self.begin_restart(config or self.config).result()

    def begin_restart(self, config: PoolConfig, *, waits: bool = False) -> Rolling:
        """The same without waiting for it; `waits` as Rolling has it. Raises Conflict."""
        if self.stopping.is_set() or self.leaving or self._lives is None:
            raise Conflict(f'pool "{self.name}" does not run: there is nothing to restart')
        if self.rolling is not None:
            raise Conflict(f'pool "{self.name}" is being restarted already: `stoker workers` shows how far it is')
        self.rolling = rolling = Rolling(self, config, waits=waits)
        self._lives.start_soon(self._or_stop, rolling.run)
        return rolling

    def resize(self, low: int, high: int) -> None:
        """From now on between `low` and `high` workers. A worker too many goes when its job is done. Raises Invalid
        where what is reserved would leave a queue without any, and Conflict for a pool that is on its way out."""
        if self.leaving:
            raise Conflict(f'pool "{self.name}" is configured no more: its last jobs end, and it is gone')
        least = least_workers(self.config)
        if 0 < high < least:
            raise Invalid(
                f'max: found {high}, expected at least {least}, or 0: pool "{self.name}" keeps workers in reserve, and '
                "with fewer some of its queues would get none"
            )
        self.sizing.resize(low, high)
        if low == 0:
            self.settled.set()

    def kill(self) -> None:
        """At once, whatever grace they have left: somebody is in a hurry."""
        for slot in self.slots:
            if slot.child is not None:
                slot.child.signal(signal.SIGKILL)

    # -- slots -----------------------------------------------------------------------------------------------------

    def add_slot(self) -> None:
        """A place of the lowest free number. None below the upper bound may be free as long as a spare has it; when
        that goes, it is tried again."""
        number = self._free_number(0)
        if number < self.sizing.high:
            self._add(Slot(self, number))

    def add_spare(self, trial: PoolConfig, *, held: bool = False) -> Slot:
        """A place for the first of a new generation, of a number that is nobody's."""
        spare = Slot(self, self._free_number(max(self.sizing.high, self.config.max, trial.max)), trial, held=held)
        self.spares.add(spare)
        self._add(spare)
        return spare

    def take_over(self, config: PoolConfig, generation: int | None = None) -> None:
        """This is the pool's from now on: what was tried in a spare place, or what needs no trial."""
        too_small = 0 < self.sizing.high < least_workers(config)  # a resize that went by what was reserved before
        if too_small or (config.min, config.max) != (self.config.min, self.config.max):
            self.sizing.resize(config.min, config.max)
        before, self.config = self.config, config
        if generation is not None:
            self.generation = generation
        if _shares(config) != _shares(before):
            self.feeder.serve(self)
        self.sizing.poke()
        self.watch.poke()

    def _free_number(self, first: int) -> int:
        taken = {slot.number for slot in self.slots}
        return next(number for number in range(first, first + len(taken) + 1) if number not in taken)

    def _add(self, slot: Slot) -> None:
        assert self._lives is not None
        self.slots.append(slot)
        self._lives.start_soon(self._or_stop, slot.keep_filled, slot)

    async def _or_stop(self, run: Callable[[], Awaitable[None]], slot: Slot | None = None) -> None:
        """A bug in one life must end the daemon, loudly: its siblings are shielded, and would go on regardless."""
        try:
            await run()
        except Exception:
            self.stop()
            raise
        if slot is not None:
            self.slots.remove(slot)
            self.spares.discard(slot)
            self.news()
            self._end_if_left()

    def news(self) -> None:
        """Something has happened to a place."""
        self.sizing.poke()
        if self.rolling is not None:
            self.rolling.look_again()

    # -- what the slots report -------------------------------------------------------------------------------------

    def begins(self, life: Life) -> None:
        self.deadlines.timed.append(life)
        self.news()

    def ends(self, life: Life) -> None:
        self.deadlines.timed.remove(life)

    def checkout(self) -> Run | None:
        return None if self.stopping.is_set() or self.leaving else self.feeder.checkout(self)

    def give_one(self) -> bool:
        """An idle worker its next job. False: there is none for it, or nobody is idle."""
        while self.idle:
            life = self.idle.pop()
            if life.fit():
                run = self.feeder.checkout(self)
                if run is None:
                    self.idle.append(life)
                    return False
                life.take(run)
                return True
        return False

    def finished(self, run: Run, verdict: Verdict) -> None:
        self.feeder.finished(run, verdict)

    def now_idle(self, life: Life) -> None:
        self.idle.append(life)

    def not_idle(self, life: Life) -> None:
        if life in self.idle:
            self.idle.remove(life)

    def answered(self, place: int) -> None:
        """A job was answered: the program works."""
        if self.health.works(place):
            self._relieved()

    def proven(self, place: int) -> None:
        """A worker has lived for a while."""
        if self.health.proven(place):
            self._relieved()

    def _relieved(self) -> None:
        """What kept one place from having a worker may be over for the others too."""
        for slot in self.slots:
            slot.hurry()
        self.dismiss_spares()

    def dismiss_spares(self) -> None:
        """They stand in for places that have no worker, while a restart lasts or has failed."""
        if self.rolling is None and self.health.reason is None:
            for spare in self.spares:
                spare.leave("the restart is over")

    def child_failed(self, life: Life, reason: str, *, answered: bool, took_job: bool, unread: bool) -> None:
        """A child's life ended by its own fault or death."""
        self.crashes += 1
        if life.slot.trial is not None or answered:
            return
        place, lived = life.number, time.monotonic() - life.ready_at
        if lived >= LAST_DELAY:
            self.health.works(place)
        earlier = self.health.failures(place)
        if failed_boot(
            ready=life.ready.is_set(),
            answered=answered,
            took_job=took_job,
            unread=unread,
            lived=lived,
            failures=earlier,
        ):
            self.boot_failed(place, reason, lived)
        elif not took_job:
            self.health.died(place, lived)

    def misfit(self, life: Life, reason: str) -> None:
        """A worker is beyond a limit from the start: another one would be, too."""
        self.boot_failed(life.number, reason, time.monotonic() - life.ready_at)

    def boot_failed(self, place: int, reason: str, lived: float) -> None:
        self.health.failed(place, reason, lived)
        self.settled.set()
        self.news()

    # -- views -----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        if self.stopping.is_set() or self.leaving:
            return "stopping"
        if self.health.reason is not None:
            return "degraded"
        return "ready" if self.settled.is_set() else "starting"

    def view(self) -> PoolView:
        return views.pool_view(self)

    def workers(self) -> list[WorkerView]:
        return views.worker_views(self)


def _shares(config: PoolConfig) -> tuple[object, ...]:
    """What its queues are to have of it."""
    return config.queues, config.order, config.weight, config.reserve
