"""A file of a batch's records, for who reads it while it grows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import trio

from supervisor.batch.words import Status

File = Literal["output", "errors"]


class Growing:
    """`status` gives the batch's latest, and raises NotFound once it was deleted; `changed` an event for the next."""

    def __init__(self, path: Path, file: File, status: Callable[[], Status], changed: Callable[[], trio.Event]) -> None:
        self.path = path
        self._file = file
        self._status = status
        self._changed = changed

    @property
    def size(self) -> int:
        """Bytes of whole records that are on disk for good. Raises NotFound."""
        checkpoint = self._status().checkpoint
        return checkpoint.output if self._file == "output" else checkpoint.errors

    @property
    def final(self) -> bool:
        """Whether it grows no more. Raises NotFound."""
        return self._status().state.final

    async def more(self, size: int) -> int:
        """Its size, as soon as that is larger than this or it grows no more. Raises NotFound."""
        while True:
            changed = self._changed()
            if self.size > size or self.final:
                return self.size
            await changed.wait()
