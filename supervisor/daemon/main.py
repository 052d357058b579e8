"""The composition root: what is made of what, in which order it starts, and in which order it stops."""

import gc
import os
import random
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator
from importlib.metadata import version

import msgspec
import structlog
import trio

from supervisor.config.load import load
from supervisor.config.model import Config, PoolConfig
from supervisor.config.places import database_path
from supervisor.control.server import serve_control
from supervisor.control.service import Service
from supervisor.control.space import Space
from supervisor.core.shares import least_workers
from supervisor.daemon import logs, memory
from supervisor.daemon.listen import Listening, open_listener
from supervisor.daemon.notify import Notifier
from supervisor.errors import ConfigError, Invalid, StartError
from supervisor.pool.cgroups import Cgroups
from supervisor.pool.chronicle import Chronicle
from supervisor.pool.clock import Clock
from supervisor.pool.feeder import Feeder
from supervisor.pool.janitor import Janitor
from supervisor.pool.launcher import Launcher
from supervisor.pool.pool import Pool
from supervisor.pool.remains import Remains
from supervisor.pool.trimmer import Trimmer
from supervisor.store.committer import Committer
from supervisor.store.limits import limit_keys
from supervisor.store.port import Store
from supervisor.store.sqlite import open_sqlite
from supervisor.store.sqlite.lock import FileLock

log = structlog.get_logger("stoker.daemon")

MAX_INTERRUPTIONS = 10
# The store's thread needs the interpreter for a moment in each commit, while the loop may be busy without a pause;
# at Python's default of 5 ms it would wait that long each time.
SWITCH_INTERVAL = 0.0005
STATUS_EVERY = 5.0  # seconds
ANSWER_TURNS = 20
FDS_PER_CHILD = 8  # three pipes, a pidfd, and what a start needs for a moment
FDS_SPARE = 128
FDS_MOST = 65536  # more than anybody needs here, and no number that would make something slow
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def now() -> int:
    """UTC, in microseconds."""
    return time.time_ns() // 1000


def serve(config: Config) -> int:
    """Run until stopped; returns the exit code. Raises StartError where starting again unchanged will not help, and
    StoreUnavailable where it may."""
    sink = logs.configure(config.daemon.log_level, config.daemon.log_format, sys.stderr)
    sys.setswitchinterval(SWITCH_INTERVAL)
    memory.give_back()
    _raise_descriptor_limit(config)
    notifier = Notifier.from_environ(os.environ)
    try:
        trio.run(_serve, config, notifier, strict_exception_groups=True)
    except BaseExceptionGroup as group:
        raise _first_cause(group) from group
    finally:
        sink.close()
    return 0


def _raise_descriptor_limit(config: Config) -> None:
    """As far as the hard limit goes: a pool may be resized while it runs. Children get the old soft limit back:
    select(2) breaks above 1024, and some programs close every number up to the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.daemon.max_connections + sum(pool.max + 1 for pool in config.pools) * FDS_PER_CHILD + FDS_SPARE
    if hard < wanted:
        log.warning("few_descriptors", limit=hard, wanted=wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, wanted, FDS_MOST), hard), hard))


def _first_cause(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup) and len(group.exceptions) == 1:
        group = group.exceptions[0]
    return group


async def _serve(config: Config, notifier: Notifier) -> None:
    state_dir = config.daemon.state_dir
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = state_dir.stat()
    except OSError as error:
        raise StartError(
            f"daemon.state_dir: cannot use {state_dir}: {error.strerror}; make it, or name another folder"
        ) from None
    store = open_sqlite(database_path(config))
    remains = Remains(state_dir / "children", f"{found.st_dev:x}.{found.st_ino:x}")
    # The store's own lock is not enough: a daemon with another store in this folder would take the living workers of
    # the first for remains.
    FileLock(remains.folder)
    with trio.open_signal_receiver(*STOP_SIGNALS) as signals:
        ended = remains.end_previous()
        store.begin()
        store.silence([queue.name for queue in config.queues if not queue.events])
        store.commit()
        not_again = [queue.name for queue in config.queues if queue.on_daemon_crash == "fail"]
        recovered = store.recover(now(), max_interruptions=MAX_INTERRUPTIONS, not_again=not_again)
        limit_keys(store, config.queues)
        listening = await open_listener(config.daemon.socket, config.daemon.socket_mode, os.environ)
        try:
            # Once it is certain that this daemon is to run here, since it may move; before it has workers to be moved.
            cgroups = Cgroups.find(config.daemon.cgroup, remains.instance)
            ended += cgroups.end_previous() if cgroups else 0
            log.info(
                "starting",
                config=str(config.source),
                socket=str(listening.path),
                epoch=recovered.epoch,
                requeued=recovered.requeued,
                interrupted=recovered.failed,
                processes_ended=ended,
            )
            daemon = Daemon(config, store, remains, cgroups, recovered.epoch, notifier)
            daemon.feeder.chronicle.interrupted(recovered.jobs)
            await daemon.run(listening, signals)
        finally:
            listening.close()
    log.info("stopped")


class Daemon:
    """Everything that runs, and its stop order: pools first, so that every outcome is handed over; then the socket,
    once those outcomes are on disk and answered; the store last."""

    def __init__(
        self,
        config: Config,
        store: Store,
        remains: Remains,
        cgroups: Cgroups | None,
        epoch: int,
        notifier: Notifier,
    ) -> None:
        self.config = config
        self.notifier = notifier
        self.committer = Committer(
            store, {queue.name: queue.max_pending for queue in config.queues if queue.max_pending is not None}
        )
        self.feeder = Feeder(
            self.committer,
            config.queues,
            now=now,
            jitter=random.random,
            chronicle=Chronicle(config.daemon.log_jobs),
        )
        launcher = Launcher(remains, dict(os.environ), cgroups)
        self.pools = [Pool(pool, self.feeder, launcher) for pool in config.pools]
        for pool in self.pools:
            self.feeder.serve(pool)
        for name in store.paused():
            if name in self.feeder.lines:
                self.feeder.lines[name].pause(True)
        self.clock = Clock(self.committer, self.feeder, now=now)
        self.trimmer = Trimmer(self.committer, config.store, now=now)
        self.janitor = Janitor(self.committer, self.feeder, config, now=now)
        self.space = Space(
            database_path(config).parent,
            config.daemon.disk_reserve,
            inside=lambda: self.committer.read(lambda store: store.spare()),
        )
        self.reader = store.reader()
        self.service = Service(
            config,
            self.committer,
            self.reader,
            self.feeder,
            self.pools,
            version=version("stoker"),
            epoch=epoch,
            now=now,
            reread=self._reread,
            space=self.space,
        )

    def _reread(self, pool: PoolConfig) -> PoolConfig:
        """What the file says of the pool now, but for its queues: who serves what is settled at the start. As
        long as they are the same, their shares change too. Raises
        Invalid, with everything that is wrong with the file."""
        try:
            config = load(self.config.source, environ=os.environ, is_root=os.geteuid() == 0)
        except ConfigError as error:
            raise Invalid(f"the restart has not begun, since the configuration is wrong: {error.message}") from None
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
                f"queues, which change at the daemon's next start only, need {least}"
            )
        return found

    async def run(self, listening: Listening, signals: AsyncIterator[int]) -> None:
        # What is loaded by now lives as long as the daemon: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        async with trio.open_nursery() as storing:
            await storing.start(self.committer.run)
            async with trio.open_nursery() as serving:
                serving.start_soon(self.clock.run)
                serving.start_soon(self.trimmer.run)
                serving.start_soon(self.janitor.run)
                serving.start_soon(self.space.run)
                serving.start_soon(self.feeder.alarm.run)
                serving.start_soon(self._keep_informed)
                await serving.start(serve_control, self.service, listening.listener)
                self.feeder.reread(self.feeder.lines)
                async with trio.open_nursery() as working:
                    for pool in self.pools:
                        working.start_soon(pool.run)
                    working.start_soon(self._announce)
                    await self._until_stopped(signals)
                    self._stop_pools()
                    serving.start_soon(self._kill_on_signal, signals)
                await self.committer.settle()
                await self._let_answers_out()
                self.feeder.chronicle.tick(last=True)
                serving.cancel_scope.cancel()
            self.reader.close()  # first: the store leaves its files tidy only when nobody else has them open
            self.committer.close()

    async def _until_stopped(self, signals: AsyncIterator[int]) -> None:
        """From the first stop signal to the moment when nothing runs, the drain is over, or a second signal came."""
        number = await anext(signals)
        log.info("stopping", signal=signal.Signals(number).name, running=len(self.feeder.running))
        self.notifier.stopping()
        with trio.move_on_after(self.config.daemon.drain_timeout) as drain:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hurry, signals, drain)
                await self.service.drain()
                nursery.cancel_scope.cancel()
        if self.feeder.running:
            log.warning("drain_incomplete", releasing=sorted(self.feeder.running))

    async def _hurry(self, signals: AsyncIterator[int], drain: trio.CancelScope) -> None:
        number = await anext(signals)
        log.info("stopping_now", signal=signal.Signals(number).name)
        drain.cancel()

    async def _kill_on_signal(self, signals: AsyncIterator[int]) -> None:
        """Whoever asks again while workers are being ended does not want to wait for their grace."""
        async for number in signals:
            log.info("stopping_now", signal=signal.Signals(number).name)
            for pool in self.pools:
                pool.kill()

    def _stop_pools(self) -> None:
        for pool in self.pools:
            pool.stop()

    async def _let_answers_out(self) -> None:
        """Those who waited for the last outcomes have been woken; a few turns of the loop and they are answered. A
        cancel asks the store once or twice more on its way."""
        for _ in range(ANSWER_TURNS):
            await self.committer.settle()
            await trio.lowlevel.checkpoint()

    async def _announce(self) -> None:
        """READY once every pool has a worker, or is known to have none."""
        for pool in self.pools:
            await pool.settled.wait()
        if self.feeder.stopped:
            return
        self.notifier.ready(self._in_words())
        log.info("ready", pools=len(self.pools), status=self._in_words())

    async def _keep_informed(self) -> None:
        """The status line, and the watchdog: sent by the loop, so that a stuck loop is noticed."""
        beat = self.notifier.watchdog_interval
        last = ""
        while True:
            if beat is not None:
                self.notifier.watchdog()
            words = self._in_words()
            if words != last:
                last = words
                self.notifier.status(words)
            await trio.sleep(STATUS_EVERY if beat is None else min(beat, STATUS_EVERY))

    def _in_words(self) -> str:
        views = [pool.view() for pool in self.pools]
        workers = sum(view.idle + view.busy for view in views)
        degraded = [view.pool for view in views if view.state == "degraded"]
        words = (
            f"{len(views)} pool{'s' * (len(views) != 1)}, {workers}/{sum(view.size for view in views)} workers, "
            f"{len(self.feeder.running)} running"
        )
        if degraded:
            words += f"; degraded: {', '.join(degraded)}"
        if self.committer.failing is not None:
            words += f"; store failing: {self.committer.failing}"
        elif self.space.low:
            words += f"; no jobs are taken: {self.space.reason}"
        return words
