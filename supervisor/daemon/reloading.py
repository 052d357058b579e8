"""The configuration, read again while everything runs: all of it comes into force, or nothing.

First whatever may be wrong is found out: the file is checked as at a start, what only a start can change is refused
(as nginx does; with a socket of its own a start refuses nobody and loses nothing, so half a file in force, as
PostgreSQL has it until then, is not worth its surprises), and the program of each new or changed pool must come up,
beside those that work. Those workers get no job yet. Then the store is told, and then everything changes between two
turns of the loop. From there on each changed pool replaces its workers as any restart does.

systemd hears of no RELOADING=1: a unit's ExecReload= is a command that waits, which every systemd understands, and one
that a lost READY=1 could leave reloading for ever is no gain. It is asked to wait, since a reload takes as long as the
longest job of a changed pool.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import msgspec
import structlog
import trio

from protocol.control import ReloadView
from supervisor.config.changes import Changes, compare, keyed
from supervisor.config.model import Config, PoolConfig
from supervisor.control.service import Service
from supervisor.core.keys import lane_of
from supervisor.core.shares import least_workers
from supervisor.errors import ConfigError, Conflict, Invalid, Refused, ReloadFailed, RestartFailed, StoreUnavailable
from supervisor.pool import revising
from supervisor.pool.feeder import Feeder
from supervisor.pool.pool import Pool
from supervisor.pool.pools import Pools
from supervisor.pool.rolling import Restarted, Rolling
from supervisor.store.committer import Committer
from supervisor.store.port import Store

log = structlog.get_logger("stoker.daemon")

EXTEND_EVERY = 5.0  # seconds; systemd is told to wait for three times as long
NOTHING = "nothing has changed"


class _Tried(NamedTuple):
    """What is up beside the pools that work, and waits to be taken on."""

    rollings: dict[str, Rolling]
    pools: list[Pool]

    def give_up(self) -> None:
        for rolling in self.rollings.values():
            rolling.give_up("the reload was given up")
        for pool in self.pools:
            pool.stop()


class _Asked:
    """A reload that has not begun: whoever asks before it does is answered by it."""

    def __init__(self) -> None:
        self._over = trio.Event()
        self._answer: ReloadView | Refused | None = None

    def answer(self, answer: ReloadView | Refused) -> None:
        self._answer = answer
        self._over.set()

    async def result(self) -> ReloadView:
        await self._over.wait()
        if isinstance(self._answer, Refused):
            # Its own for each: what is raised takes a traceback with it.
            raise type(self._answer)(self._answer.message, **self._answer.data)
        assert self._answer is not None
        return self._answer


class Reloading:
    """`read` gives the file's configuration and blocks; it raises ConfigError. `in_force` hears of each that comes into
    force, for what is not the pools', the queues' or the clients'. `extend` asks systemd for so many seconds more."""

    def __init__(
        self,
        pools: Pools,
        feeder: Feeder,
        committer: Committer,
        service: Service,
        *,
        read: Callable[[], Config],
        in_force: Callable[[Config], None],
        extend: Callable[[float], object] = lambda seconds: None,
    ) -> None:
        self._pools = pools
        self._feeder = feeder
        self._committer = committer
        self._service = service
        self._read = read
        self._in_force = in_force
        self._extend = extend
        self._rereading = trio.Lock()
        self._next: _Asked | None = None
        self._wanted = trio.Event()
        self._busy = False

    # -- who asks ----------------------------------------------------------------------------------------------------

    def ask(self) -> _Asked:
        """One at a time: who asks after the file was read gets the next, which reads it again."""
        if self._next is None:
            self._next = _Asked()
            self._wanted.set()
        return self._next

    async def reload(self) -> ReloadView:
        """As control.service has it."""
        return await self.ask().result()

    async def run(self) -> None:
        """Do what is asked for, until cancelled. One follows the other as soon as that is in force: a job that keeps a
        worker from being replaced may last for hours, and whoever changes other pools need not wait for it."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._wanted.wait()
                asked, self._next, self._wanted = self._next, None, trio.Event()
                assert asked is not None
                await nursery.start(self._once, asked)

    async def _once(self, asked: _Asked, task_status: trio.TaskStatus[None]) -> None:
        log.info("reloading", config=str(self._service.config.source))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_systemd_waiting)
            answer = await self._answer(task_status)
            nursery.cancel_scope.cancel()
        if isinstance(answer, Refused):
            log.error("reload_failed", reason=answer.message)
        else:
            log.info("reloaded", **{name: what for name, what in msgspec.structs.asdict(answer).items() if what})
        asked.answer(answer)

    async def _answer(self, task_status: trio.TaskStatus[None]) -> ReloadView | Refused:
        """`task_status` hears that it is in force, or never will be."""
        self._busy = True
        try:
            async with self._rereading:
                view, tried = await self._reload()
        except Refused as refusal:
            return refusal
        finally:
            self._busy = False
            task_status.started()
        try:
            await self._see_through(tried)
        except Refused as refusal:
            return refusal
        return view

    async def _keep_systemd_waiting(self) -> None:
        while True:
            self._extend(3 * EXTEND_EVERY)
            await trio.sleep(EXTEND_EVERY)

    # -- a restart -----------------------------------------------------------------------------------------------------

    async def restart(self, pool: Pool) -> Restarted:
        """As control.service has it. A pool's queues are left as they are: others would have to change with them."""
        if self._busy:
            raise Conflict("the configuration is being reloaded, which restarts what it changes: try again after that")
        async with self._rereading:
            try:
                config = await self._read_in_thread()
            except ConfigError as error:
                raise Invalid(f"the restart has not begun, since the configuration is wrong: {error.message}") from None
            rolling = pool.begin_restart(_but_for_queues(pool.config, config))
        return await rolling.result()

    # -- a reload ------------------------------------------------------------------------------------------------------

    async def _reload(self) -> tuple[ReloadView, _Tried]:
        """Returns when it is in force, with what is to be seen through."""
        try:
            config = await self._read_in_thread()
        except ConfigError as error:
            raise Invalid(error.message, problems=[list(problem) for problem in error.problems]) from None
        changes = self._compare(config)
        if changes.need_start:
            raise Conflict(
                f"{NOTHING}, since {' and '.join(changes.need_start)} can only change at a start: start stoker anew "
                f"(`systemctl restart`), or take that back in {config.source}",
                need_start=list(changes.need_start),
            )
        while rolling := self._rolling(changes):
            await rolling.over()
            changes = self._compare(config)
        tried = await self._try(changes, config)
        try:
            await self._take_on(changes, config, tried)
        except BaseException:
            tried.give_up()
            raise
        return _view(config, changes), tried

    async def _read_in_thread(self) -> Config:
        """What it needs may not answer (a network's disk, a directory service), which is no reason not to stop."""
        return await trio.to_thread.run_sync(self._read, abandon_on_cancel=True)

    def _compare(self, config: Config) -> Changes:
        """With what runs: a restart may have brought a pool what the file said by then."""
        return compare(msgspec.structs.replace(self._service.config, pools=self._pools.configs()), config)

    def _rolling(self, changes: Changes) -> Rolling | None:
        """A restart that is under way where something is to change."""
        names = {*changes.pools_restarted, *changes.pools_changed, *changes.pools_removed}
        pools = [pool for name in names if (pool := self._pools.get(name)) is not None]
        return next((pool.rolling for pool in pools if pool.rolling is not None), None)

    async def _try(self, changes: Changes, config: Config) -> _Tried:
        """A worker of each program that is new, all at the same time. Raises ReloadFailed, with what each of them
        lacks; then none is left."""
        configs = {pool.name: pool for pool in config.pools}
        tried, failures = _Tried({}, []), dict[str, str]()

        async def restarted(name: str, rolling: Rolling) -> None:
            if (failure := await rolling.tried()) is not None:
                failures[name] = failure.message

        async def added(name: str) -> None:
            pool, failure = await self._pools.try_new(configs[name])
            tried.pools.append(pool)
            if failure is not None:
                failures[name] = f'pool "{name}": the first worker did not come up: {failure}'

        try:
            self._still_running()
            for name in changes.pools_restarted:
                pool = self._pools.get(name)
                assert pool is not None
                tried.rollings[name] = pool.begin_restart(configs[name], waits=True)
            async with trio.open_nursery() as nursery:
                for name, rolling in tried.rollings.items():
                    nursery.start_soon(restarted, name, rolling)
                for name in changes.pools_added:
                    nursery.start_soon(added, name)
            self._still_running()  # first: what does not come up since the daemon stops has no reason of its own
            if failures:
                reasons = [failures[pool.name] for pool in config.pools if pool.name in failures]
                raise ReloadFailed(f"{NOTHING}: {'; '.join(reasons)}", changed=False, pools=sorted(failures))
        except BaseException:
            tried.give_up()
            raise
        return tried

    def _still_running(self) -> None:
        if self._feeder.stopped:
            raise ReloadFailed(f"{NOTHING}, since the daemon stops or drains", changed=False)

    async def _take_on(self, changes: Changes, config: Config, tried: _Tried) -> None:
        before = self._service.config
        fresh = revising.begin_to_limit_keys(self._feeder, config.queues)
        with revising.held(self._feeder, fresh):
            try:
                paused = await self._tell_store(before, config, fresh)
                self._still_running()
            except StoreUnavailable as error:
                await self._untell_store(before, config)
                raise ReloadFailed(f"{NOTHING}, since the store fails: {error.message}", changed=False) from None
            except ReloadFailed:
                await self._untell_store(before, config)
                raise
            self._change(changes, config, tried, paused)
        for line in self._feeder.lines.values():
            self._feeder.wake(line)
        with suppress(StoreUnavailable):  # lanes that nobody asks for harm nobody
            if keyed(before.queues) - keyed(config.queues):
                await self._limit_keys(keyed(config.queues))
            await self._committer.settle()  # so that what began before its claim was on disk is there

    def _change(self, changes: Changes, config: Config, tried: _Tried, paused: set[str]) -> None:
        """Everything that is seen of it, at once."""
        configs = {pool.name: pool for pool in config.pools}
        revising.revise_queues(self._feeder, config.queues, paused)
        for name in changes.pools_changed:
            pool = self._pools.get(name)
            assert pool is not None
            pool.take_over(configs[name])
        for rolling in tried.rollings.values():
            rolling.go_on()
        self._pools.adopt(tried.pools, config.pools)
        self._committer.limits = max_pending(config)
        self._service.reconfigure(config)
        self._in_force(config)

    async def _see_through(self, tried: _Tried) -> None:
        failures: list[str] = []
        for rolling in tried.rollings.values():
            try:
                await rolling.result()
            except RestartFailed as failure:
                failures.append(failure.message)
        if failures:
            raise ReloadFailed(
                f"the new configuration is in force, but not every worker is a new one: {'; '.join(failures)}",
                changed=True,
                pools=sorted(name for name, rolling in tried.rollings.items() if rolling.failed),
            )

    # -- the store -----------------------------------------------------------------------------------------------------

    async def _tell_store(self, before: Config, config: Config, fresh: Sequence[str]) -> set[str]:
        """What it needs to know first. Returns the queues that are paused."""
        self._service.expect_keys([queue for queue in config.queues if queue.name in fresh])
        if keyed(config.queues) - keyed(before.queues):
            await self._limit_keys(keyed(before.queues) | keyed(config.queues))
        runs = [run for name in fresh for run in revising.running(self._feeder, name)]
        if runs:
            heads = await self._service.heads([run.row.seq for run in runs])
            revising.tell_lanes(self._feeder, {job.seq: lane_of(job.rate_key, job.concurrency_key) for job in heads})
        if _silent(before) != _silent(config):
            await self._committer.write(lambda store: store.silence(_silent(config)))
        return await self._committer.read(lambda store: set(store.paused()))

    async def _untell_store(self, before: Config, config: Config) -> None:
        self._service.reconfigure(before)
        with suppress(StoreUnavailable):  # what it knows too much costs little, and the next start puts it right
            if keyed(config.queues) - keyed(before.queues):
                await self._limit_keys(keyed(before.queues))
            if _silent(before) != _silent(config):
                await self._committer.write(lambda store: store.silence(_silent(before)))

    async def _limit_keys(self, queues: set[str]) -> None:
        """As store.limits.limit_keys, while others use the store between two steps."""
        after: int | None = 0
        while after is not None:
            after = await self._committer.write(partial(_limit_some, queues=sorted(queues), after=after))


def _limit_some(store: Store, queues: list[str], after: int) -> int | None:
    return store.limit_keys(queues, after)


def max_pending(config: Config) -> dict[str, int]:
    """The queues that hold only so many pending jobs."""
    return {queue.name: queue.max_pending for queue in config.queues if queue.max_pending is not None}


def _silent(config: Config) -> list[str]:
    return sorted(queue.name for queue in config.queues if not queue.events)


def _but_for_queues(pool: PoolConfig, config: Config) -> PoolConfig:
    """What the file says of a pool that is restarted; where its queues are others, of them it stays as it is. Raises
    Invalid."""
    found = next((one for one in config.pools if one.name == pool.name), None)
    if found is None:
        raise Invalid(f'the restart has not begun, since {config.source} has no pool "{pool.name}" any more')
    if set(found.queues) != set(pool.queues):  # what it says of their shares is not about ours
        found = msgspec.structs.replace(
            found, queues=pool.queues, order=pool.order, weight=pool.weight, reserve=pool.reserve
        )
    if found.max < (least := least_workers(found)):
        raise Invalid(
            f'the restart has not begun, since pool "{pool.name}" is to have {found.max} workers at most and its '
            f"queues, which only `stoker reload` changes, need {least}"
        )
    return found


def _view(config: Config, changes: Changes) -> ReloadView:
    named = {name: list(what) for name, what in msgspec.structs.asdict(changes).items() if name != "need_start"}
    return ReloadView(config=str(config.source), **named)
