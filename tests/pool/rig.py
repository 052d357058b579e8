"""Real pools, real children and a real store, without the socket: what the tests of the upper layers run on."""

import os
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import trio
import uuid_utils

from supervisor.config.model import Backoff, Config, DaemonConfig, PoolConfig, QueueConfig, StoreConfig
from supervisor.control.service import Service
from supervisor.core.job import Job, NewJob
from supervisor.core.keys import lane_of
from supervisor.pool.clock import Clock
from supervisor.pool.feeder import Feeder
from supervisor.pool.launcher import Launcher
from supervisor.pool.pool import Pool
from supervisor.pool.remains import Remains
from supervisor.store.committer import Committer
from supervisor.store.limits import limit_keys
from supervisor.store.port import Store
from supervisor.store.sqlite import open_sqlite

PATIENCE = 20.0  # seconds; a test that needs them has failed


def now() -> int:
    return time.time_ns() // 1000


def pool_config(command: Sequence[str], folder: Path, **changes: object) -> PoolConfig:
    """A pool called `p`, small and quick to lose patience."""
    settings: dict[str, object] = {
        "name": "p",
        "queues": ("q",),
        "cwd": folder,
        "kill_grace": 0.3,
        "boot_timeout": 20.0,
        "timeout": 20.0,
    }
    if "size" in changes:
        changes["min"] = changes["max"] = changes.pop("size")
    return PoolConfig(command=tuple(command), **{**settings, **changes})


class Rig:
    """A daemon without its socket. `now` may be replaced before jobs are submitted."""

    def __init__(self, folder: Path, pools: Sequence[PoolConfig], queue: QueueConfig, store: Store) -> None:
        names = sorted({name for pool in pools for name in pool.queues})
        self.config = Config(
            source=folder / "stoker.toml",
            daemon=DaemonConfig(socket=folder / "sock", state_dir=folder),
            store=StoreConfig(),
            pools=tuple(pools),
            queues=tuple(msgspec.structs.replace(queue, name=name) for name in names),
        )
        self.skew = 0  # microseconds that the wall clock is off
        self.store = store
        limits = {one.name: one.max_pending for one in self.config.queues if one.max_pending is not None}
        self.committer = Committer(store, limits)
        self.feeder = Feeder(self.committer, self.config.queues, now=self.now, jitter=random.random)
        self.remains = Remains(folder / "children", f"test.{os.getpid()}.{id(self):x}")
        self.remains.end_previous()
        launcher = Launcher(self.remains, dict(os.environ))
        self.pools = [Pool(pool, self.feeder, launcher) for pool in pools]
        for pool in self.pools:
            self.feeder.serve(pool)
        not_again = names if queue.on_daemon_crash == "fail" else ()
        epoch = store.recover(now(), max_interruptions=10, not_again=not_again).epoch
        limit_keys(store, self.config.queues)
        self.clock = Clock(self.committer, self.feeder, now=self.now)
        self.service = Service(
            self.config,
            self.committer,
            store.reader(),
            self.feeder,
            self.pools,
            version="0",
            epoch=epoch,
            now=self.now,
        )

    def now(self) -> int:
        return now() + self.skew

    @property
    def slot(self):
        return self.pools[0].slots[0]

    def _lane(self, rate_key: str | None, concurrency_key: str | None) -> str | None:
        keyed = self.config.queues[0].keyed or rate_key is not None or concurrency_key is not None
        return lane_of(rate_key, concurrency_key) if keyed else None

    async def submit(
        self,
        *payloads: object,
        queue: str = "q",
        rate_key: str | None = None,
        concurrency_key: str | None = None,
        **options: object,
    ) -> list[str]:
        moment = self.now()
        jobs = [
            NewJob(
                id=str(uuid_utils.uuid7()),
                queue=queue,
                payload=msgspec.json.encode(payload),
                **{
                    "created_at": moment,
                    "run_at": moment,
                    "lane": self._lane(rate_key, concurrency_key),
                    **options,
                },
            )
            for payload in payloads
        ]
        await self.service.submit(jobs)
        return [job.id for job in jobs]

    async def ends(self, *ids: str) -> list[Job]:
        return await self.service.wait(ids, PATIENCE)

    async def run(self, payload: object, **options: object) -> Job:
        """Submit one job and wait for its end."""
        return (await self.ends(*await self.submit(payload, **options)))[0]

    async def until(self, true: Callable[[], object]) -> None:
        """Return when `true()` is; looks between turns of the loop."""
        with trio.fail_after(PATIENCE):
            while not true():  # noqa: ASYNC110  # what is waited for is the state of real processes
                await trio.sleep(0.002)


@asynccontextmanager
async def rig(
    command: Sequence[str] = (),
    *,
    folder: Path,
    pools: Sequence[PoolConfig] = (),
    queue: QueueConfig | None = None,
    store: Store | None = None,
    waits: bool = True,
    first: Callable[[Rig], Awaitable[object]] | None = None,
    **changes: object,
) -> AsyncIterator[Rig]:
    """A running rig; at the end its pools have stopped and every child is gone. `waits` until each pool has
    its workers, or the reason why it has not. `first` is done before any job begins."""
    if queue is None:
        queue = QueueConfig(name="q", max_attempts=1, backoff=Backoff(base=0.01, cap=0.02))
    made = Rig(
        folder, pools or [pool_config(command, folder, **changes)], queue, store or open_sqlite(folder / "stoker.db")
    )
    async with trio.open_nursery() as storing:
        await storing.start(made.committer.run)
        if first is not None:
            await first(made)
        async with trio.open_nursery() as serving:
            serving.start_soon(made.clock.run)
            serving.start_soon(made.feeder.alarm.run)
            async with trio.open_nursery() as working:
                for pool in made.pools:
                    working.start_soon(pool.run)
                made.feeder.reread(list(made.feeder.lines))
                try:
                    for pool in made.pools if waits else ():
                        await pool.settled.wait()
                        await made.until(partial(_filled, pool))
                    yield made
                finally:
                    made.service.stop_feeding()
                    for pool in made.pools:
                        pool.stop()
            serving.cancel_scope.cancel()
        await made.committer.settle()  # claims that were under way are answered, and their jobs given back
        made.committer.close()


def _filled(pool: Pool) -> bool:
    return pool.health.reason is not None or all(slot.life is not None for slot in pool.slots)


def python(*lines: str) -> list[str]:
    """A worker of a few lines."""
    return [sys.executable, "-S", "-E", "-c", "\n".join(lines)]
