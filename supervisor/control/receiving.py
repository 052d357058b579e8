"""Batches that are on their way in: each belongs to the connection on which its parts come, and ends with it.

What was not sent to its end is no batch. Half a file takes disk and a descriptor, so there may only be so many, and one
whose parts have stopped is dropped.
"""

from collections import Counter
from collections.abc import Callable

import structlog
import trio

from supervisor.batch.batches import Batches, Intake
from supervisor.batch.words import NewBatch, Status
from supervisor.control.complaints import cut
from supervisor.errors import Conflict, NotFound

log = structlog.get_logger("stoker.control")

MOST = 64  # at once, of all connections together
MOST_EACH = 16  # of one user
IDLE = 600.0  # seconds between two parts; what they are made of may be a program that thinks


class Receptions:
    """Of all connections. `run` drops what nothing comes for any more."""

    def __init__(self) -> None:
        self._count: Counter[int] = Counter()  # by user
        self._receptions: set[Reception] = set()

    async def run(self) -> None:
        while True:
            await trio.sleep(IDLE / 10)
            for reception in [one for one in self._receptions if one.is_idle()]:
                log.info("batch_not_received", batch=reception.id, reason=f"no part came for {IDLE:g} s")
                try:
                    await reception.drop()
                except Exception as error:  # nobody else's misfortune
                    log.error("batch_not_dropped", batch=reception.id, exc_info=error)

    def of(self, uid: int) -> "Parts":
        return Parts(self, uid)

    def reserve(self, uid: int) -> None:
        """Raises Conflict."""
        for count, most, whose in ((self._count[uid], MOST_EACH, "of yours "), (self._count.total(), MOST, "")):
            if count >= most:
                raise Conflict(
                    f"there are {count} batches {whose}being received already, and {most} may be: finish one, or try "
                    "again when one is",
                    limit=most,
                )
        self._count[uid] += 1

    def release(self, uid: int) -> None:
        self._count[uid] -= 1
        if not self._count[uid]:
            del self._count[uid]

    def add(self, reception: "Reception") -> None:
        self._receptions.add(reception)

    def remove(self, reception: "Reception") -> None:
        self._receptions.discard(reception)


class Reception:
    """One batch. Its parts come one after the other. After `finish`, `drop` and a refusal it is over, which `ended`
    is told."""

    def __init__(self, intake: Intake, queue: str, ended: Callable[["Reception"], None]) -> None:
        self.id = intake.id
        self.queue = queue
        self.bytes = 0
        self._intake = intake
        self._ended = ended
        self._over = False
        self._busy = False
        self._touched = trio.current_time()

    def is_idle(self) -> bool:
        return not self._busy and trio.current_time() - self._touched >= IDLE

    async def append(self, data: bytes) -> None:
        """Whatever this raises, nothing is left of the batch."""
        if self._over:
            raise Conflict(f"batch {self.id} was given up, since no part came for {IDLE:g} s: send it again")
        self._busy = True
        try:
            await self._intake.append(data)
        except BaseException:
            await self.drop()
            raise
        finally:
            self._busy = False
            self._touched = trio.current_time()
        self.bytes += len(data)

    async def finish(self) -> Status:
        """What is finished is a batch, whether or not the client is there still."""
        with trio.CancelScope(shield=True):
            self._end()
            try:
                status = await self._intake.finish()
            except BaseException:
                await self._intake.drop()
                raise
        return status

    async def drop(self) -> None:
        if not self._over:
            self._end()
            with trio.CancelScope(shield=True):
                await self._intake.drop()

    def _end(self) -> None:
        self._over = True
        self._ended(self)


class Parts:
    """Of one connection, whose user has this number."""

    def __init__(self, all_of_them: Receptions, uid: int) -> None:
        self._all = all_of_them
        self._uid = uid
        self._receptions: dict[str, Reception] = {}

    async def begin(self, batches: Batches, want: NewBatch) -> Reception | Status:
        """Raises Conflict where there are too many, and what `Batches.begin` raises."""
        self._all.reserve(self._uid)
        try:
            begun = await batches.begin(want)
        except BaseException:
            self._all.release(self._uid)
            raise
        if isinstance(begun, Status):
            self._all.release(self._uid)
            return begun
        reception = self._receptions[begun.id] = Reception(begun, want.queue, self._ended)
        self._all.add(reception)
        return reception

    def get(self, batch_id: str) -> Reception | None:
        return self._receptions.get(batch_id)

    def find(self, batch_id: str) -> Reception:
        """Raises NotFound."""
        try:
            return self._receptions[batch_id]
        except KeyError:
            raise NotFound(
                f'batch: none with the id "{cut(batch_id)}" is being received on this connection: its parts come on '
                f"the one where it began, with no more than {IDLE:g} s in between; send it again, from its beginning"
            ) from None

    async def close(self) -> None:
        """The connection has ended."""
        for reception in list(self._receptions.values()):
            await reception.drop()

    def _ended(self, reception: Reception) -> None:
        del self._receptions[reception.id]
        self._all.remove(reception)
        self._all.release(self._uid)
