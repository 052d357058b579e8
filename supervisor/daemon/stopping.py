"""How the daemon stops: it lets run what runs, for as long as it may, and whoever asks again hurries it."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection

import structlog
import trio

from supervisor.daemon.informing import Informing, Leaving
from supervisor.pool.pool import Pool

log = structlog.get_logger("stoker.daemon")

AFTER = 15.0  # seconds that systemd is asked to wait besides: trees that go late, a slow disk, the store's tidying up


class Stopping:
    """`running` are the ids of the jobs that run, `pools` gives the pools that there are now, and `drain` returns
    when nothing runs any more and nothing will."""

    def __init__(
        self,
        signals: AsyncIterator[int],
        informing: Informing,
        running: Collection[str],
        pools: Callable[[], Collection[Pool]],
        drain: Callable[[], Awaitable[None]],
    ) -> None:
        self._signals = signals
        self._informing = informing
        self._running = running
        self._pools = pools
        self._drain = drain

    async def until_over(self, drain_timeout: Callable[[], float]) -> None:
        """From the first stop signal to the moment when nothing runs, `drain_timeout` is over (in seconds; asked for
        when the signal comes), or a second signal came."""
        number = await anext(self._signals)
        log.info("stopping", signal=signal.Signals(number).name, running=len(self._running))
        with trio.move_on_after(drain_timeout()) as limit:
            self._informing.leave(self._leaving(limit))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hurry, limit)
                await self._drain()
                nursery.cancel_scope.cancel()
        if self._running:
            log.warning("drain_incomplete", releasing=sorted(self._running))

    def _leaving(self, limit: trio.CancelScope) -> Leaving:
        def left() -> float:
            return 0.0 if limit.cancel_called else max(0.0, limit.deadline - trio.current_time())

        grace = max((pool.config.kill_grace for pool in self._pools()), default=0.0)
        return Leaving(left, limit.deadline + grace + AFTER)

    async def _hurry(self, limit: trio.CancelScope) -> None:
        number = await anext(self._signals)
        log.info("stopping_now", signal=signal.Signals(number).name)
        limit.cancel()

    def stop_pools(self) -> None:
        for pool in self._pools():
            pool.stop()

    async def kill_on_signal(self) -> None:
        """Whoever asks again while workers are being ended does not want to wait for their grace."""
        async for number in self._signals:
            log.info("stopping_now", signal=signal.Signals(number).name)
            for pool in self._pools():
                pool.kill()
