"""Jobs that have been kept long enough are deleted, in small steps between which everybody else has his turn."""

import time
from collections.abc import Callable, Sequence

import structlog
import trio

from supervisor.config.model import Config
from supervisor.core.retention import STEP_SECS, STEPS, Keep, keeps, next_step
from supervisor.errors import StoreUnavailable
from supervisor.pool.feeder import Feeder
from supervisor.store.committer import Committer
from supervisor.store.port import Store

log = structlog.get_logger("stoker.janitor")

# Seconds. What ends in them on a busy queue is there beside what is kept.
EVERY = 2.0


class Janitor:
    """`now` gives UTC microseconds."""

    def __init__(self, committer: Committer, feeder: Feeder, config: Config, *, now: Callable[[], int]) -> None:
        self._committer = committer
        self._feeder = feeder
        self._now = now
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """From the next sweep on."""
        self._of = {queue.name: queue.retention for queue in config.queues}
        self._others = config.retention

    async def run(self) -> None:
        while True:
            try:
                deleted = await self.sweep()
            except StoreUnavailable:
                pass  # it is said elsewhere, and nothing here is urgent
            else:
                if deleted:
                    log.info("jobs_swept", jobs=deleted)
            await trio.sleep(EVERY)

    async def sweep(self) -> int:
        """Delete everything that has been kept long enough; returns how many jobs that was."""
        # Queues of an older configuration too: what is left of them is kept as long as any other's.
        names = await self._committer.read(lambda store: store.queues())
        deleted, step = 0, STEPS[0]
        while self._keeps(names):
            gone, took = await self._step(names, step)
            deleted += gone
            if gone < step:
                break
            step = next_step(step, took)
            await trio.sleep(max(STEP_SECS, took))  # so that at least half of the store's time is for others
        return deleted

    def _keeps(self, names: Sequence[str]) -> list[Keep]:
        return keeps(names, self._of, self._others, self._now())

    async def _step(self, names: Sequence[str], step: int) -> tuple[int, float]:
        """How many were deleted, and for how many seconds the store was busy with it."""
        feeder = self._feeder
        # Who waits for a job, or is about to change it, is about to be answered: it is there for the next sweep too.
        spare = {*feeder.waiters, *feeder.held, *feeder.running}
        took = 0.0

        def delete(store: Store) -> list[str]:
            nonlocal took
            began = time.monotonic()
            # By the time that it is now, and not when the sweep began: what has ended since would seem to have ended in
            # the future, before the clock was set back, and that goes first.
            ids = store.outlived(self._keeps(names), spare=spare, limit=step)
            if ids:
                store.delete(ids, self._now())
            took = time.monotonic() - began
            return ids

        ids = await self._committer.write(delete, self._deleted)
        return len(ids), took

    def _deleted(self, ids: list[str]) -> None:
        for job_id in ids:
            self._feeder.waiters.gone(job_id)  # who came to wait meanwhile
