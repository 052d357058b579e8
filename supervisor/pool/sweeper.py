"""Jobs that have been kept long enough are deleted, in small steps between which everybody else has his turn."""

from collections.abc import Callable, Collection, Sequence

import structlog
import trio

from supervisor.config.model import Config
from supervisor.core.retention import Keep, keeps
from supervisor.errors import StoreUnavailable
from supervisor.pool.feeder import Feeder
from supervisor.store.committer import Committer
from supervisor.store.port import Store

log = structlog.get_logger("stoker.sweeper")

STEP = 200  # jobs of one transaction
EVERY = 10.0  # seconds
LEAST_PAUSE = 0.005  # seconds; else as long as the step took, so that at least half of the store's time is for others


class Sweeper:
    """`now` gives UTC microseconds."""

    def __init__(self, committer: Committer, feeder: Feeder, config: Config, *, now: Callable[[], int]) -> None:
        self._committer = committer
        self._feeder = feeder
        self._of = {queue.name: queue.retention for queue in config.queues}
        self._others = config.retention
        self._now = now

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
        now = self._now()
        kept = keeps(names, self._of, self._others, now)
        deleted = 0
        while kept:
            began = trio.current_time()
            gone = await self._step(kept)
            deleted += len(gone)
            if len(gone) < STEP:
                break
            await trio.sleep(max(LEAST_PAUSE, trio.current_time() - began))
        return deleted

    async def _step(self, kept: Sequence[Keep]) -> list[str]:
        feeder = self._feeder
        # Who waits for a job, or is about to change it, is about to be answered: it is there for the next sweep too.
        spare = {*feeder.waiters, *feeder.held, *feeder.running}
        return await self._committer.write(lambda store: _delete(store, kept, spare), self._deleted)

    def _deleted(self, ids: list[str]) -> None:
        for job_id in ids:
            self._feeder.waiters.gone(job_id)  # who came to wait meanwhile


def _delete(store: Store, kept: Sequence[Keep], spare: Collection[str]) -> list[str]:
    ids = store.outlived(kept, spare=spare, limit=STEP)
    if ids:
        store.delete(ids)
    return ids
