"""How workers are started and cleared away without the loop waiting for it: a new process has to wait for a processor
before it is a program, and the kernel makes and removes cgroups one at a time.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import outcome
import structlog
import trio

from supervisor.config.model import PoolConfig
from supervisor.pool.cgroups import Cgroups
from supervisor.pool.child import Child
from supervisor.pool.launch import SpawnFailed, launch
from supervisor.pool.remains import Remains

T = TypeVar("T")

log = structlog.get_logger("stoker.pool")

# One thread that lives as long as the process, and is the parent of all workers: when it ends, the kernel ends them.
_PARENT = ThreadPoolExecutor(1, "stoker-launch")


class Launcher:
    """Of all pools of a daemon. `environ` is the daemon's own environment; without `cgroups` workers get none."""

    def __init__(self, remains: Remains, environ: Mapping[str, str], cgroups: Cgroups | None = None) -> None:
        self._remains = remains
        self._environ = environ
        self._cgroups = cgroups
        self._records: dict[int, str] = {}  # by pid

    async def start(self, config: PoolConfig, slot: int) -> Child:
        """The worker of place `slot`, in its cgroup and on record. Raises SpawnFailed, and then nothing is left of it.
        It cannot be cancelled."""
        try:
            future = _PARENT.submit(self._start, config, slot)
        except RuntimeError as error:  # the thread itself cannot be started
            raise SpawnFailed(f"cannot start {config.command[0]!r}: {error}") from None
        return await _result(future)

    async def clear(self, child: Child) -> None:
        """Once its whole tree is gone, and it is closed: what there is of it beside processes."""
        if child.cgroup is None:
            self._forget(child)
            return
        try:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._clear, child)
        except RuntimeError:  # no thread to be had
            self._clear(child)

    def _start(self, config: PoolConfig, slot: int) -> Child:
        name = f"{config.name}.{slot}"
        cgroup = self._cgroups.create(name, config.memory_limit) if self._cgroups is not None else None
        try:
            child = launch(config, slot, instance=self._remains.instance, environ=self._environ, cgroup=cgroup)
        except BaseException:
            if cgroup is not None:
                cgroup.remove()
            raise
        try:
            record = self._remains.remember(child.pid)
        except OSError as error:
            # It serves on: its environment marks it too, and most trees die with the daemon.
            log.warning("worker_not_recorded", pool=config.name, pid=child.pid, error=os.strerror(error.errno or 0))
        else:
            if record is not None:
                self._records[child.pid] = record
        return child

    def _clear(self, child: Child) -> None:
        if child.cgroup is not None:
            child.cgroup.remove()
        self._forget(child)

    def _forget(self, child: Child) -> None:
        record = self._records.pop(child.pid, None)
        if record is not None:
            self._remains.forget(record)


async def _result(future: "Future[T]") -> T:
    """Wait for what another thread does, whatever happens here meanwhile."""
    token, task = trio.lowlevel.current_trio_token(), trio.lowlevel.current_task()

    def done(future: "Future[T]") -> None:
        token.run_sync_soon(trio.lowlevel.reschedule, task, outcome.capture(future.result))

    future.add_done_callback(done)
    answer: T = await trio.lowlevel.wait_task_rescheduled(_never)
    return answer


def _never(_: Callable[[], None]) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED
