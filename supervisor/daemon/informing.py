"""What systemd is told while the daemon runs: that it serves, how it stands, and that it is alive."""

from collections.abc import Callable, Collection

import structlog
import trio

from supervisor.control.space import Space
from supervisor.daemon.notify import Notifier
from supervisor.pool.feeder import Feeder
from supervisor.pool.pool import Pool
from supervisor.store.committer import Committer

log = structlog.get_logger("stoker.daemon")

STATUS_EVERY = 5.0  # seconds


class Informing:
    """`pools` gives those that there are now: they come and go."""

    def __init__(
        self,
        notifier: Notifier,
        pools: Callable[[], Collection[Pool]],
        feeder: Feeder,
        committer: Committer,
        space: Space,
    ) -> None:
        self._notifier = notifier
        self._pools = pools
        self._feeder = feeder
        self._committer = committer
        self._space = space

    async def announce(self) -> None:
        """READY once every pool has a worker, or is known to have none."""
        for pool in tuple(self._pools()):
            await pool.settled.wait()
        if self._feeder.stopped:
            return
        words = self._in_words()
        self._notifier.ready(words)
        log.info("ready", pools=len(self._pools()), status=words)

    async def run(self) -> None:
        """The status line, and the watchdog: sent by the loop, so that a stuck loop is noticed."""
        beat = self._notifier.watchdog_interval
        last = ""
        while True:
            if beat is not None:
                self._notifier.watchdog()
            words = self._in_words()
            if words != last:
                last = words
                self._notifier.status(words)
            await trio.sleep(STATUS_EVERY if beat is None else min(beat, STATUS_EVERY))

    def _in_words(self) -> str:
        views = [pool.view() for pool in self._pools()]
        workers = sum(view.idle + view.busy for view in views)
        degraded = [view.pool for view in views if view.state == "degraded"]
        words = (
            f"{len(views)} pool{'s' * (len(views) != 1)}, {workers}/{sum(view.size for view in views)} workers, "
            f"{len(self._feeder.running)} running"
        )
        if degraded:
            words += f"; degraded: {', '.join(degraded)}"
        if self._committer.failing is not None:
            words += f"; store failing: {self._committer.failing}"
        elif self._space.low:
            words += f"; no jobs are taken: {self._space.reason}"
        return words
