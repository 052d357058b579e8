"""The pools of a daemon, which come and go with its configuration."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import trio

from supervisor.config.model import PoolConfig
from supervisor.pool.feeder import Feeder
from supervisor.pool.launcher import Launcher
from supervisor.pool.pool import Pool


class Pools(Collection[Pool]):
    """Iterated, those that are configured, in that order, and behind them those that were and whose last jobs still
    run. `everyone` has those besides that are being tried."""

    def __init__(self, configs: Sequence[PoolConfig], feeder: Feeder, launcher: Launcher) -> None:
        self._feeder = feeder
        self._launcher = launcher
        self._nursery: trio.Nursery | None = None
        self._tried: list[Pool] = []
        self._leaving: list[Pool] = []
        self._serving = [Pool(config, feeder, launcher) for config in configs]
        for pool in self._serving:
            feeder.serve(pool)

    def __iter__(self) -> Iterator[Pool]:
        return iter([*self._serving, *self._leaving])

    def __len__(self) -> int:
        return len(self._serving) + len(self._leaving)

    def __contains__(self, pool: object) -> bool:
        return pool in self._serving or pool in self._leaving

    def everyone(self) -> list[Pool]:
        return [*self._serving, *self._leaving, *self._tried]

    def get(self, name: str) -> Pool | None:
        return next((pool for pool in self._serving if pool.name == name), None)

    def configs(self) -> tuple[PoolConfig, ...]:
        """What runs, which since a restart may be more than what was read with the other pools."""
        return tuple(pool.config for pool in self._serving)

    def start(self, nursery: trio.Nursery) -> None:
        """They run in the nursery, and so do those that come later."""
        self._nursery = nursery
        for pool in self._serving:
            nursery.start_soon(self._run, pool)

    async def try_new(self, config: PoolConfig) -> tuple[Pool, str | None]:
        """A pool that is not one of these yet, and why its program does not come up. Then it is for `adopt`, or
        to be stopped."""
        assert self._nursery is not None
        pool = Pool(config, self._feeder, self._launcher)
        self._tried.append(pool)
        self._nursery.start_soon(self._run, pool)
        return pool, await pool.try_out()

    async def _run(self, pool: Pool) -> None:
        await pool.run()
        for group in (self._tried, self._leaving):
            if pool in group:
                group.remove(pool)

    def adopt(self, pools: Sequence[Pool], configs: Sequence[PoolConfig]) -> None:
        """These are taken on, and `configs` say which pools there are from now on, and their order."""
        wanted = {config.name: number for number, config in enumerate(configs)}
        for pool in self._serving:
            if pool.name not in wanted:
                self._leave(pool)
        for pool in pools:
            self._tried.remove(pool)
            pool.take_on()
        staying = [pool for pool in self._serving if pool.name in wanted]
        self._serving = sorted([*staying, *pools], key=lambda pool: wanted[pool.name])

    def _leave(self, pool: Pool) -> None:
        self._leaving.append(pool)
        pool.dissolve()
