"""Free space on the disk that holds the store: new jobs are refused before there is none left for the end of old ones.

Asking the kernel takes microseconds, and still no submit pays for it: it is asked once a second, and whenever so much
was submitted meanwhile that the answer may be out of date.

The store's file never shrinks: on a disk that it has filled, deleting old jobs leaves as little free as before. So what
they took in the file counts as free too, or nothing but a smaller file would let submits in again.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
import trio

from supervisor.config.quantities import format_size
from supervisor.errors import StoreUnavailable

log = structlog.get_logger("stoker.space")

EVERY = 1.0  # seconds
_PART = 8  # of the reserve: so much may be submitted between two looks, and so much more must be free to go on
_INSIDE = 3  # times what is free on the disk: no more of the room inside the file is counted
_ROW = 512  # bytes that a job takes beside its payload, generously
_MIB = 1024 * 1024


def free_bytes(folder: Path) -> int:
    """What this user may still write there; raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


async def nothing_inside() -> int:
    return 0


class Space:
    """`reserve` 0: nothing is watched, and `low` stays false. `free` is None until somebody has looked. `inside` asks
    the store how many bytes of its own file are free for new rows; it may raise StoreUnavailable."""

    def __init__(
        self,
        folder: Path,
        reserve: int,
        measure: Callable[[Path], int] = free_bytes,
        inside: Callable[[], Awaitable[int]] = nothing_inside,
    ) -> None:
        self.free: int | None = None
        self.low = False
        self.reserve = reserve
        self._folder = folder
        self._measure = measure
        self._ask_inside = inside
        self._inside = 0
        self._since = 0  # bytes submitted after the last look

    async def run(self) -> None:
        while True:
            if self.reserve:
                try:
                    inside = await self._ask_inside()
                except StoreUnavailable:
                    inside = 0
                self._inside, self._since = inside, 0
                self.look()
            await trio.sleep(EVERY)

    def revise(self, reserve: int) -> None:
        self.reserve = reserve
        if reserve:
            self.look()
        else:
            self.free, self.low = None, False

    def look(self) -> None:
        self._inside = max(0, self._inside - self._since)  # until the store is asked again
        self._since = 0
        try:
            self.free = self._measure(self._folder)
        except OSError:
            self.free = None  # whatever that means, a commit will tell
        enough = self.reserve + (self.reserve // _PART if self.low else 0)
        low = self.free is not None and self.free + self._counted() < enough
        if low != self.low:
            self.low = low
            if low:
                log.warning("disk_low", folder=str(self._folder), free=self.free, reserve=self.reserve)
            else:
                log.info("disk_recovered", folder=str(self._folder), free=self.free)

    def take(self, size: int) -> None:
        """Before a job with so large a payload is submitted. Raises StoreUnavailable where the disk is too full."""
        if not self.reserve:
            return
        self._since += size + _ROW
        if self._since * _PART > self.reserve:
            self.look()
        if self.low:
            raise StoreUnavailable(
                f"{self.reason}; no new jobs are taken before there is more: free some, or delete jobs"
            )

    @property
    def reason(self) -> str | None:
        """Why no jobs are taken, or None."""
        if not self.low:
            return None
        free = "little" if self.free is None else f"{self.free // _MIB} MiB"
        counted = self._counted()
        inside = f" and {counted // _MIB} MiB in the store's own file" if counted >= _MIB else ""
        enough = self.free is not None and self.free + counted >= self.reserve
        needed = "not yet an eighth more" if enough else "less"
        return (
            f"{free} is free in {self._folder}{inside}, {needed} than daemon.disk_reserve ({format_size(self.reserve)})"
        )

    def _counted(self) -> int:
        """What the file's own room is worth: a commit goes into the log first, which needs the disk's."""
        return min(self._inside, _INSIDE * (self.free or 0))
