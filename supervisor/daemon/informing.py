"""What systemd is told once the daemon runs: that it serves, how it stands, that it is alive, and that it goes."""

from collections.abc import Callable, Collection

import structlog
import trio

from supervisor.control.space import Space
from supervisor.daemon import status_line
from supervisor.daemon.notify import Notifier
from supervisor.daemon.vigil import Vigil
from supervisor.pool.feeder import Feeder
from supervisor.pool.pool import Pool
from supervisor.store.committer import Committer

log = structlog.get_logger("stoker.daemon")

EVERY = 5.0  # seconds between two looks at how things stand, at most
PACE = 1.0  # the same while it stops, when a person may be waiting for it
PATIENCE = 30.0  # seconds without progress where no watchdog says how long that may be
LEAST_PATIENCE = 5.0
BOOT_MARGIN = 60.0  # seconds for a start, beside what its slowest worker may take


def pace(notifier: Notifier) -> tuple[float, float]:
    """Seconds from look to look, and for which jobs may wait for nothing until that is a standstill: as long as systemd
    would wait for a loop that hangs."""
    beat = notifier.watchdog_interval
    return (EVERY, PATIENCE) if beat is None else (min(beat, EVERY), max(2 * beat, LEAST_PATIENCE))


class Leaving:
    """A stop that has begun: `left` gives the seconds of its drain, `ends_by` is when it is over at the latest (in the
    loop's time)."""

    def __init__(self, left: Callable[[], float], ends_by: float) -> None:
        self.left = left
        self.ends_by = ends_by


class Informing:
    """`pools` gives those that there are now: they come and go."""

    def __init__(
        self,
        notifier: Notifier,
        pools: Callable[[], Collection[Pool]],
        feeder: Feeder,
        committer: Committer,
        space: Space,
        vigil: Vigil,
    ) -> None:
        self._notifier = notifier
        self._pools = pools
        self._feeder = feeder
        self._committer = committer
        self._space = space
        self._vigil = vigil
        self._ready = False
        self._leaving: Leaving | None = None
        self._left = trio.Event()
        self._said = ""

    async def announce(self) -> None:
        """READY once every pool has a worker, or is known to have none."""
        for pool in tuple(self._pools()):
            await pool.settled.wait()
        if self._feeder.stopped:
            return
        self._ready = True
        words = self._in_words()
        self._notifier.ready(words)
        log.info("ready", pools=len(self._pools()), status=words)

    async def run(self) -> None:
        """The status line, and the watchdog: sent by the loop, so that a stuck loop is noticed."""
        every, _ = pace(self._notifier)
        boots_by = (
            trio.current_time() + BOOT_MARGIN + max((pool.config.boot_timeout for pool in self._pools()), default=0.0)
        )
        while self._leaving is None:
            if self._notifier.watchdog_interval is not None and self._vigil.stuck is None:
                self._notifier.watchdog()
            if not self._ready and trio.current_time() < boots_by:
                self._notifier.extend(3 * every)
            self._say(self._in_words())
            with trio.move_on_after(every):
                await self._left.wait()
        await self._see_off(self._leaving)

    def leave(self, leaving: Leaving) -> None:
        """The daemon stops: from now on it is told how far that is, and systemd is asked to wait for as long."""
        self._leaving = leaving
        self._notifier.stopping()
        self._left.set()

    async def _see_off(self, leaving: Leaving) -> None:
        while True:
            if (needed := leaving.ends_by - trio.current_time()) > 0:
                self._notifier.extend(needed)
            self._say(status_line.stopping([pool.view() for pool in self._pools()], self._running, leaving.left()))
            await trio.sleep(PACE)

    def _say(self, words: str) -> None:
        if words != self._said:
            self._said = words
            self._notifier.status(words)

    @property
    def _running(self) -> int:
        return len(self._feeder.running)

    def _in_words(self) -> str:
        words = status_line.serving(
            [pool.view() for pool in self._pools()], self._running, self._vigil.pending, self._troubles()
        )
        if self._feeder.stopped:
            return f"{'draining' if self._running else 'drained'}: {words}"
        return words if self._ready else f"starting: {words}"

    def _troubles(self) -> list[str]:
        troubles = []
        stuck = self._vigil.stuck
        if stuck is not None and stuck.standing is not None:
            troubles.append(f"pool {stuck.standing.pool} is given no jobs for {stuck.secs:.0f} s: a bug, see the log")
        if self._committer.failing is not None:
            troubles.append(f"store failing: {self._committer.failing}")
        elif self._vigil.silence:
            troubles.append(f"the store has not answered for {self._vigil.silence:.0f} s: see to its disk")
        elif self._space.low:
            troubles.append(f"no jobs are taken: {self._space.reason}")
        return troubles
