"""Whether the daemon does its work, looked at from inside: jobs are given out, and the store answers.

Where dispatch stands still, the watchdog is fed no more, and systemd starts the daemon anew. A store that does not
answer is no reason for that, however long it takes. What hangs there is next to always the disk, and a new start would
make it worse: a process that waits for a disk cannot be killed, and keeps the lock on the store, so that its successor
is refused; and as soon as the disk answers, everything goes on by itself with nothing lost. It is said in the log and
in the status line. (A thread of the store that dies takes the daemon with it, at once.)
"""

import time
from collections.abc import Awaitable, Callable, Collection, Sequence

import structlog
import trio

from supervisor.core.progress import Advice, Finding, Progress, Standing
from supervisor.errors import StokerError
from supervisor.pool.feeder import Feeder
from supervisor.pool.pool import Pool
from supervisor.pool.standing import Asked, renew, standing
from supervisor.store.committer import Committer
from supervisor.store.port import QueueCounts

log = structlog.get_logger("stoker.daemon")

SILENT = 30.0  # seconds after which it is said that the store does not answer


class Vigil:
    """Looks once in `every` seconds; a pool is stuck after `patience`. `counts` reads how many jobs there are."""

    def __init__(
        self,
        pools: Callable[[], Collection[Pool]],
        feeder: Feeder,
        committer: Committer,
        counts: Callable[[], Awaitable[Sequence[QueueCounts]]],
        *,
        every: float,
        patience: float,
    ) -> None:
        self.pending: int | None = None  # jobs that wait; None: nobody knows
        self.stuck: Finding | None = None
        self._pools = pools
        self._feeder = feeder
        self._committer = committer
        self._counts = counts
        self._every = every
        self._progress = Progress(patience, 2 * every)
        self._asked_at: float | None = None  # monotonic; the store has not answered since
        self._silent = False

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            while True:
                await self.look()
                await trio.sleep(self._every)

    async def look(self) -> None:
        """Once. In the order of the questions: what the store says is true of the moment after everything before it was
        answered, as long as no job was begun meanwhile."""
        asked, begun = Asked(self._feeder), {pool: pool.begun for pool in self._pools()}
        self._asked_at = time.monotonic()
        await self._committer.settle()
        self._answered()
        try:
            found = await self._counts()
        except StokerError:  # whatever is wrong with the store is said elsewhere
            found = ()
            self.pending = None
        else:
            self.pending = sum(one.pending for one in found)
        due = {one.queue: one.due for one in found}
        self._judge(
            [
                standing(pool, self._feeder, due if begun.get(pool) == pool.begun else {}, asked)
                for pool in self._pools()
            ],
            asked,
        )

    def _judge(self, standings: Sequence[Standing], asked: Asked) -> None:
        finding = self._progress.look(standings, time.monotonic())
        if finding.standing is not None and finding.advice is Advice.RENEW:
            log.warning("dispatch_renewed", **_facts(finding, finding.standing))
            for pool in self._pools():
                if pool.name == finding.standing.pool:
                    renew(pool, self._feeder, asked)
        elif finding.standing is not None and finding.advice is Advice.STUCK:
            if self.stuck is None:
                log.error("dispatch_stuck", **_facts(finding, finding.standing), store=self._committer.whereabouts())
            self.stuck = finding
        elif self.stuck is not None:
            self.stuck = None
            log.info("dispatch_goes_on")

    # -- the store -------------------------------------------------------------------------------------------------

    @property
    def silence(self) -> float:
        """Seconds for which the store has not answered; 0 while that is as usual."""
        waited = 0.0 if self._asked_at is None else time.monotonic() - self._asked_at
        return waited if waited >= SILENT else 0.0

    async def _listen(self) -> None:
        while True:
            if self.silence and not self._silent:
                self._silent = True
                log.error("store_silent", secs=round(self.silence), store=self._committer.whereabouts())
            await trio.sleep(self._every)

    def _answered(self) -> None:
        self._asked_at = None
        if self._silent:
            self._silent = False
            log.info("store_answers")


def _facts(finding: Finding, standing: Standing) -> dict[str, object]:
    return {"pool": standing.pool, "idle": standing.idle, "waiting": standing.waiting, "secs": round(finding.secs)}
