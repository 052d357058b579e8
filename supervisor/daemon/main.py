"""The composition root: what is made of what, in which order it starts, and in which order it stops."""

import faulthandler
import gc
import os
import random
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import version

import structlog
import trio
from msgspec.structs import replace

from supervisor.batch.batches import Batches
from supervisor.batch.surroundings import Surroundings
from supervisor.config import stop_time
from supervisor.config.load import load
from supervisor.config.model import Config
from supervisor.config.places import database_path
from supervisor.control.farewell import Farewell
from supervisor.control.server import Entrance, serve_control
from supervisor.control.service import Service
from supervisor.control.space import Space
from supervisor.daemon import logs, memory
from supervisor.daemon.hangup import stops_and_reloads
from supervisor.daemon.informing import Informing, pace
from supervisor.daemon.listen import Listening, open_listeners, tell_if_elsewhere
from supervisor.daemon.notify import Notifier
from supervisor.daemon.reloading import Reloading, max_pending
from supervisor.daemon.starting import Starting
from supervisor.daemon.stopping import Stopping
from supervisor.daemon.vigil import Vigil
from supervisor.errors import ConfigError, StartError
from supervisor.pool.cgroups import Cgroups
from supervisor.pool.chronicle import Chronicle
from supervisor.pool.clock import Clock
from supervisor.pool.feeder import Feeder
from supervisor.pool.janitor import Janitor
from supervisor.pool.launcher import Launcher
from supervisor.pool.pools import Pools
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
ANSWER_TURNS = 20
FDS_PER_CHILD = 8  # three pipes, a pidfd, and what a start needs for a moment
FDS_SPARE = 128
FDS_MOST = 65536  # more than anybody needs here, and no number that would make something slow


def now() -> int:
    """UTC, in microseconds."""
    return time.time_ns() // 1000


def serve(config: Config, notifier: Notifier | None = None, *, own_socket: bool = False) -> int:
    """Run until stopped; returns the exit code. Raises StartError where starting again unchanged will not help, and
    StoreUnavailable where it may. `notifier`: None: made of the environment. `own_socket`: the socket is not the one
    of the file."""
    sink = logs.configure(config.daemon.log_level, config.daemon.log_format, sys.stderr)
    sys.setswitchinterval(SWITCH_INTERVAL)
    memory.give_back()
    _raise_descriptor_limit(config)
    stop_limit = stop_time.take(os.environ)
    stop_time.check(config, stop_limit)
    # Python's own handler of SIGABRT, which the watchdog sends: the log says where each thread was.
    faulthandler.enable()
    try:
        with Starting(notifier or Notifier.from_environ(os.environ)) as starting:
            trio.run(_serve, config, starting, stop_limit, own_socket, strict_exception_groups=True)
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


async def _serve(config: Config, starting: Starting, stop_limit: float | None, own_socket: bool) -> None:
    state_dir = config.daemon.state_dir
    try:
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = state_dir.stat()
    except OSError as error:
        raise StartError(
            f"daemon.state_dir: cannot use {state_dir}: {error.strerror}; make it, or name another folder"
        ) from None
    starting.now("opening the store")
    store = open_sqlite(database_path(config))
    remains = Remains(state_dir / "children", f"{found.st_dev:x}.{found.st_ino:x}")
    # The store's own lock is not enough: a daemon with another store in this folder would take the living workers of
    # the first for remains.
    FileLock(remains.folder)
    stop_signals, reload_signals = stops_and_reloads()
    with trio.open_signal_receiver(*stop_signals) as signals, _receiver(*reload_signals) as hang_ups:
        starting.now("ending what is left of the last run")
        ended = remains.end_previous()
        starting.now("recovering the store")
        store.begin()
        store.silence([queue.name for queue in config.queues if not queue.events])
        store.commit()
        not_again = [queue.name for queue in config.queues if queue.on_daemon_crash == "fail"]
        recovered = store.recover(now(), max_interruptions=MAX_INTERRUPTIONS, not_again=not_again)
        limit_keys(store, config.queues)
        listening = await open_listeners(config.daemon.socket, config.daemon.socket_mode, os.environ)
        try:
            # Once it is certain that this daemon is to run here, since it may move; before it has workers to be moved.
            cgroups = Cgroups.find(config.daemon.cgroup, remains.instance)
            ended += cgroups.end_previous() if cgroups else 0
            log.info(
                "starting",
                config=str(config.source),
                socket=str(listening[0].path),
                sockets={str(one.path): one.ceiling.name.lower() for one in listening},
                epoch=recovered.epoch,
                requeued=recovered.requeued,
                interrupted=recovered.failed,
                processes_ended=ended,
            )
            tell_if_elsewhere(config.daemon.socket, listening)
            daemon = Daemon(
                config, store, remains, cgroups, recovered.epoch, starting.notifier, stop_limit, own_socket=own_socket
            )
            daemon.feeder.chronicle.interrupted(recovered.jobs)
            starting.over()
            await daemon.run(listening, signals, hang_ups)
        finally:
            for one in listening:
                one.close()
    log.info("stopped")


def _receiver(*signals: signal.Signals) -> AbstractContextManager[AsyncIterator[int] | None]:
    return trio.open_signal_receiver(*signals) if signals else nullcontext()


class Daemon:
    """Everything that runs, and its stop order: pools first, so that every outcome is handed over; then the batches,
    once those outcomes are on disk, and the socket, once they are answered; the store last."""

    def __init__(
        self,
        config: Config,
        store: Store,
        remains: Remains,
        cgroups: Cgroups | None,
        epoch: int,
        notifier: Notifier,
        stop_limit: float | None,
        *,
        own_socket: bool = False,
    ) -> None:
        self.config = config
        self.own_socket = own_socket
        self.stop_limit = stop_limit  # seconds that systemd waits for a stop
        self.committer = Committer(store, max_pending(config))
        self.feeder = Feeder(
            self.committer,
            config.queues,
            now=now,
            jitter=random.random,
            chronicle=Chronicle(config.daemon.log_jobs),
        )
        launcher = Launcher(remains, dict(os.environ), cgroups)
        self.pools = Pools(config.pools, self.feeder, launcher)
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
            space=self.space,
        )
        self.batches = Batches(
            config.daemon.state_dir / "batches",
            config.batches,
            Surroundings(
                self.committer,
                self.feeder,
                store.reader(),
                now=now,
                room=self.space,
                sweep=self.service.cancel_all_of,
            ),
            self.service.queue,
        )
        self.service.batches, self.service.batches_view = self.batches, self.batches.view
        every, patience = pace(notifier)
        self.vigil = Vigil(
            lambda: self.pools, self.feeder, self.committer, self.service.counts, every=every, patience=patience
        )
        self.informing = Informing(notifier, lambda: self.pools, self.feeder, self.committer, self.space, self.vigil)
        self.service.reloader = self.reloading = Reloading(
            self.pools,
            self.feeder,
            self.committer,
            self.service,
            read=self._read,
            in_force=self._in_force,
            extend=notifier.extend,
        )

    def _read(self) -> Config:
        """The file as it is now, checked as at a start. Blocks; raises ConfigError."""
        source = self.config.source
        if os.path.exists(source) and not os.path.isfile(source):  # to read a pipe is to wait, for ever perhaps
            raise ConfigError(str(source), [("", "is not a regular file, and only such a one can be read again")])
        found = load(source, environ=os.environ, is_root=os.geteuid() == 0, serving=True)
        stop_time.check(found, self.stop_limit)
        if not self.own_socket:
            return found
        return replace(found, daemon=replace(found.daemon, socket=self.config.daemon.socket))

    def _in_force(self, config: Config) -> None:
        """What nobody else is told of a configuration that has been reloaded."""
        self.config = config
        logs.set_level(config.daemon.log_level)
        self.feeder.chronicle.revise(config.daemon.log_jobs)
        _raise_descriptor_limit(config)
        self.trimmer.config = config.store
        self.janitor.reconfigure(config)
        self.space.revise(config.daemon.disk_reserve)
        self.batches.reconfigure(config.batches)

    async def run(
        self, listening: Sequence[Listening], signals: AsyncIterator[int], hang_ups: AsyncIterator[int] | None = None
    ) -> None:
        """`signals` stop it, `hang_ups` let it read its configuration again."""
        # What is loaded by now lives as long as the daemon: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        stopping = Stopping(signals, self.informing, self.feeder.running, self.pools.everyone, self.service.drain)
        async with trio.open_nursery() as storing:
            await storing.start(self.committer.run)
            await self.batches.open()  # before anybody may delete a job, or begin one
            async with trio.open_nursery() as serving:
                serving.start_soon(self.clock.run)
                serving.start_soon(self.trimmer.run)
                serving.start_soon(self.janitor.run)
                serving.start_soon(self.space.run)
                serving.start_soon(self.batches.run)
                serving.start_soon(self.feeder.alarm.run)
                serving.start_soon(self.vigil.run)
                serving.start_soon(self.informing.run)
                entrances = [Entrance(one.listener, one.ceiling) for one in listening]
                farewell: Farewell = await serving.start(serve_control, self.service, entrances)
                self.feeder.reread(self.feeder.lines)
                async with trio.open_nursery() as working:
                    self.pools.start(working)
                    serving.start_soon(self.reloading.run)
                    serving.start_soon(self._reload_on_signal, hang_ups)
                    working.start_soon(self.informing.announce)
                    await stopping.until_over(lambda: self.config.daemon.drain_timeout)
                    stopping.stop_pools()
                    serving.start_soon(stopping.kill_on_signal)
                await self.committer.settle()
                await self.batches.flush()
                await farewell.say()
                await self._let_answers_out()
                self.feeder.chronicle.tick(last=True)
                serving.cancel_scope.cancel()
            self.batches.close()
            self.reader.close()  # first: the store leaves its files tidy only when nobody else has them open
            self.committer.close()

    async def _reload_on_signal(self, hang_ups: AsyncIterator[int] | None) -> None:
        if hang_ups is not None:
            async for _ in hang_ups:
                self.reloading.ask()

    async def _let_answers_out(self) -> None:
        """Those who waited for the last outcomes have been woken; a few turns of the loop and they are answered. A
        cancel asks the store once or twice more on its way."""
        for _ in range(ANSWER_TURNS):
            await self.committer.settle()
            await trio.lowlevel.checkpoint()
