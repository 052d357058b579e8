"""A rolling restart: a new generation of a pool's workers takes over from the old one, place by place.

The first new worker comes up in a spare place, beside all the old ones: if it does not, nothing has changed. From then
on the spare stands in for the place whose old worker has gone and whose new one is not up yet, so that the pool never
has fewer workers than before, and every number is in the end where it was. An old worker goes between two jobs.

One that is part of something larger stops when the first new worker is up, which gets no job yet, until it is told to
go on or to give up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import structlog
import trio

from supervisor.config.model import PoolConfig
from supervisor.core.blame import Ending, Why
from supervisor.errors import RestartFailed
from supervisor.pool.boot import Boot

if TYPE_CHECKING:
    from supervisor.pool.life import Life
    from supervisor.pool.pool import Pool
    from supervisor.pool.slot import Slot

log = structlog.get_logger("stoker.pool")

TRIES = 3  # boots of one place, once the program has come up in another
REASON = "the pool is restarted"


class Restarted(NamedTuple):
    generation: int
    replaced: int


class Rolling:
    """One restart of `pool`, to run with `config` from then on. `waits`: only once `go_on` is called."""

    def __init__(self, pool: Pool, config: PoolConfig, *, waits: bool = False) -> None:
        self._pool = pool
        self._config = config
        self._waits = waits
        self._tried = trio.Event()
        self._may_go_on = trio.Event()
        self._spare: Slot | None = None
        self._refusal: str | None = None
        self._generation = pool.generation + 1
        self._replaced = 0
        self._up: set[Slot] = set()
        self._taken: tuple[Slot, Boot] | None = None
        self._calling = False
        self._news = trio.Event()
        self._over = trio.Event()
        self._failure: RestartFailed | None = None

    async def result(self) -> Restarted:
        """Wait for the end. Raises RestartFailed."""
        await self._over.wait()
        if self._failure is not None:
            raise self._failure
        return Restarted(self._generation, self._replaced)

    async def tried(self) -> RestartFailed | None:
        """Wait until the first new worker is up; or why there is none."""
        await self._tried.wait()
        return self._failure

    def go_on(self) -> None:
        """Take over what has been tried; the old workers go from now on. Where the new ones are for other queues, they
        go all at once: what they know to do may not be what comes."""
        pool, spare = self._pool, self._spare
        assert spare is not None
        for former in pool.spares - {spare}:
            former.leave("its successor is up")
        other_queues = set(self._config.queues) != set(pool.config.queues)
        pool.take_over(self._config, self._generation)
        if other_queues:
            for slot in pool.slots:
                if slot is not spare:
                    slot.replace(REASON)
        spare.release()
        self._may_go_on.set()

    def give_up(self, reason: str) -> None:
        """Instead of `go_on`, or before it is known whether there will be one: nothing has changed."""
        self._refusal = reason
        self._may_go_on.set()
        if self._spare is not None:
            self._spare.leave("its restart was given up")

    @property
    def failed(self) -> bool:
        return self._failure is not None

    async def over(self) -> None:
        """Wait for the end, whatever it is."""
        await self._over.wait()

    async def run(self) -> None:
        """The restart itself. It does not raise: whoever is interested asks for the result."""
        pool = self._pool
        log.info("restart_started", pool=pool.name, generation=self._generation)
        try:
            await self._roll()
            log.info("restart_done", pool=pool.name, generation=self._generation, replaced=self._replaced)
        except RestartFailed as failure:
            self._failure = failure
            log.error("restart_failed", pool=pool.name, generation=self._generation, reason=failure.message)
        finally:
            pool.rolling = None
            pool.dismiss_spares()
            self._tried.set()
            self._over.set()

    def calls_in(self, life: Life) -> Ending | None:
        """A life is between two jobs: is it its turn?"""
        if not self._calling or life.generation >= self._generation or life.slot.leaving:
            return None
        self._calling = False
        self._taken = (life.slot, life.slot.coming)
        self._news.set()
        return Ending(Why.RECYCLE, REASON)

    def look_again(self) -> None:
        """A worker has started, or a place is gone."""
        self._news.set()

    async def _roll(self) -> None:
        pool = self._pool
        await self._former_spares_gone()
        others = bool(pool.slots)
        if self._refusal is not None or pool.stopping.is_set():
            raise self._failed(f"the restart was given up: {self._refusal}")
        self._spare = spare = pool.add_spare(self._config, held=self._waits)
        failure = await spare.coming.failure()
        if self._refusal is not None:
            raise self._failed(f"the restart was given up: {self._refusal}")
        if failure is not None:
            serving = "the old workers serve on" if others and pool.health.reason is None else "nothing has changed"
            raise self._failed(f"the restart was given up, and {serving}: the first new one did not come up: {failure}")
        self._tried.set()
        if not self._waits:
            self.go_on()
        await self._may_go_on.wait()
        if self._refusal is not None:
            raise self._failed(f"the restart was given up: {self._refusal}")
        while (turn := await self._next_turn()) is not None:
            await self._until_up(*turn)
            self._up.add(turn[0])
            self._replaced += 1
        if pool.stopping.is_set():
            raise self._failed("")

    async def _former_spares_gone(self) -> None:
        """Those of earlier restarts that have a job still: no more than one of them at a time lives beside the pool."""
        while any(spare.leaving for spare in self._pool.spares) and not self._pool.stopping.is_set():
            self._news = trio.Event()
            await self._news.wait()

    async def _next_turn(self) -> tuple[Slot, Boot] | None:
        """The next place whose old worker goes or has gone, and the boot of its new one; None: there is none left."""
        while missing := [slot for slot in self._pool.slots if self._is_missing(slot)]:
            for slot in missing:
                if slot.life is not None and slot.generation == self._generation:
                    return slot, slot.life.boot  # its old worker has died
                if slot.run is None:
                    boot = slot.coming
                    slot.replace(REASON)
                    return slot, boot
            self._taken, self._calling, self._news = None, True, trio.Event()
            await self._news.wait()
            self._calling = False
            if self._taken is not None:
                return self._taken
        return None

    def _is_missing(self, slot: Slot) -> bool:
        return not (slot in self._up or slot.leaving or slot in self._pool.spares)

    async def _until_up(self, slot: Slot, boot: Boot) -> None:
        for _ in range(TRIES):
            failure = await boot.failure()
            if failure is None:
                self._pool.proven(slot.number)
            if failure is None or slot.leaving:
                return
            boot = slot.coming
        raise self._failed(
            f"the restart was given up after {self._replaced} workers: that of slot {slot.number} does not come up: "
            f"{failure}; the other workers serve on, and one in a spare place stands in for it"
        )

    def _failed(self, text: str) -> RestartFailed:
        pool = self._pool
        if pool.stopping.is_set():
            text = "the restart was given up, since the daemon stops"
        return RestartFailed(f'pool "{pool.name}": {text}', generation=pool.generation, replaced=self._replaced)
