"""A batch whose lines are on their way."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from supervisor.batch import status_file
from supervisor.batch.words import Status
from supervisor.errors import QueueFull, StoreUnavailable, TooLarge
from supervisor.lines.counting import LineCount
from supervisor.lines.whole import saying, sync_folder, write_all, write_whole

INPUT = "input.jsonl"
STATUS = "status.json"
OUTPUT = "output.jsonl"
ERRORS = "errors.jsonl"


class Limits(NamedTuple):
    """Of a batch, and of all of them together. `pending` says how many lines of other batches are not answered."""

    max_lines: int
    max_bytes: int
    max_pending_lines: int
    pending: Callable[[], int] = lambda: 0


class Receiving:
    """Its folder has another name until it is whole, so that a crash leaves no half batch. `status` is the one that it
    will have; its total and input_bytes grow."""

    def __init__(self, status: Status, part: Path, folder: Path, limits: Limits, ended: Callable[[], None]) -> None:
        self.status = status
        self._part = part
        self._folder = folder
        self._limits = limits
        self._ended = ended
        self._lines = LineCount()
        self._fd = -1
        self._is_there = False
        try:
            with saying(part):
                os.mkdir(part, 0o700)
                self._fd = os.open(part / INPUT, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except StoreUnavailable:
            self.drop()
            raise

    def append(self, data: bytes) -> None:
        """More of the file; lines need not be whole. Raises TooLarge or QueueFull, each with the name and the figure of
        its limit, and StoreUnavailable; there is nothing to be done with it then but `drop`."""
        status = self.status
        self._check("bytes", status.input_bytes + len(data), "max_bytes", self._limits.max_bytes)
        self._lines.feed(data)
        self._check("lines", self._lines.count, "max_lines", self._limits.max_lines)
        self._check_pending()
        with saying(self._folder / INPUT):
            write_all(self._fd, data, status.input_bytes)
        status.input_bytes += len(data)
        status.counts.total = self._lines.count

    def finish(self) -> None:
        """The batch is there, and stays. Raises StoreUnavailable; `drop` it then."""
        with saying(self._part):
            os.fchmod(self._fd, 0o400)
            os.fsync(self._fd)
            for name in (OUTPUT, ERRORS):
                os.close(os.open(self._part / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            write_whole(self._part / STATUS, status_file.encode(self.status))  # its folder is synced with that
            os.rename(self._part, self._folder)
            sync_folder(self._folder.parent)
        self._is_there = True
        self._close()

    def drop(self) -> None:
        """It never was; after `finish` has returned, it stays."""
        if self._is_there:
            return
        # A `finish` that failed at the very last has given it the name of a whole one.
        with suppress(OSError):
            os.rename(self._folder, self._part)
            sync_folder(self._part.parent)
        shutil.rmtree(self._part, ignore_errors=True)
        self._close()

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._ended()

    def _check(self, what: str, count: int, name: str, limit: int) -> None:
        if count > limit:
            raise TooLarge(
                f"the batch has more than {limit} {what} (batches.{name}): split it, or raise the limit",
                limit=limit,
                key=f"batches.{name}",
            )

    def _check_pending(self) -> None:
        waiting, limit = self._limits.pending(), self._limits.max_pending_lines
        if waiting + self._lines.count > limit:
            never = self._lines.count > limit
            raise QueueFull(
                f"{waiting} lines of other batches wait for their answers, and with those of this one they would be "
                f"more than {limit} (batches.max_pending_lines): {'split it' if never else 'try again later'}, or "
                "raise the limit",
                queue=self.status.queue,
                pending=waiting,
                limit=limit,
                key="batches.max_pending_lines",
            )
