"""All batches of a daemon, in the words of those who ask for them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Literal, Protocol

from supervisor.batch.words import BatchState, NewBatch, Status

File = Literal["output", "errors"]


class Intake(Protocol):
    """A batch whose lines are on their way. It is dropped by `drop`, and by a crash, as if it had never been."""

    id: str

    async def append(self, data: bytes) -> None:
        """More of the file; lines need not be whole. Raises TooLarge (which limit, its key, the figure) and
        StoreUnavailable (a full disk), after which it is dropped."""

    async def finish(self) -> Status:
        """It is on disk, and begins."""

    async def drop(self) -> None: ...


class Growing(Protocol):
    """A file of results that may grow still."""

    path: Path

    @property
    def size(self) -> int:
        """Bytes of whole records that are on disk."""

    @property
    def final(self) -> bool:
        """Whether it grows no more."""

    async def more(self, size: int) -> int:
        """Its size, once that is larger than this or the batch is final. Raises NotFound when it was deleted."""


class Batches:
    def __init__(self) -> None:
        raise NotImplementedError

    async def begin(self, want: NewBatch) -> Intake | Status:
        """A batch to put lines into; or an earlier one that has the same client and key. Raises UnknownQueue,
        QueueFull (too many lines wait in all batches together) and StoreUnavailable (a low disk)."""
        raise NotImplementedError

    def get(self, batch_id: str) -> Status:
        """Raises NotFound."""
        raise NotImplementedError

    def folder(self, batch_id: str) -> Path:
        """Where its files are. Raises NotFound."""
        raise NotImplementedError

    def list(
        self,
        *,
        limit: int,
        before: str | None = None,
        queue: str | None = None,
        states: Collection[BatchState] = (),
        sees: Callable[[str], bool] = lambda queue: True,
    ) -> tuple[list[Status], int, str | None]:
        """Newest first: one page, how many there are in all, and what goes into the next call's `before` (None: that
        was the last page). `sees`: which queues the caller may look at."""
        raise NotImplementedError

    async def cancel(self, batch_id: str) -> Status:
        """Returns once it is final; one that was final already comes back unchanged. Raises NotFound."""
        raise NotImplementedError

    async def delete(self, batch_id: str) -> None:
        """Raises Conflict unless it is final, and NotFound."""
        raise NotImplementedError

    async def gc(
        self,
        *,
        older_than: float,
        states: Collection[BatchState] = (),
        queue: str | None = None,
        dry_run: bool = False,
        sees: Callable[[str], bool] = lambda queue: True,
    ) -> list[str]:
        """Delete final batches that ended so many seconds ago; their ids. `dry_run`: those that would be."""
        raise NotImplementedError

    def output(self, batch_id: str, file: File) -> Growing:
        """Raises NotFound."""
        raise NotImplementedError
