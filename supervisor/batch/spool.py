"""The folders of batches: one to each, named by its id, under one root."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from supervisor.batch import status_file
from supervisor.batch.ids import checked, is_id
from supervisor.batch.receiving import ERRORS, INPUT, OUTPUT, STATUS, Limits, Receiving
from supervisor.batch.words import Checkpoint, Status
from supervisor.errors import NotFound, StoreUnavailable, Unsound
from supervisor.lines.appending import AppendFile
from supervisor.lines.ranges import Ranges
from supervisor.lines.records import cause_of, number_of
from supervisor.lines.whole import PART, saying, sync_folder, write_whole

CANCELLED = "cancelled"  # the cause of a line's record that is counted so
_NEW = ".new-"  # before the id, of a folder that is on its way in,
_GONE = ".gone-"  # or out


class Spools:
    """All of them. One program at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._receiving: set[str] = set()

    def folder(self, batch_id: str) -> Path:
        """Where the files of a batch are, if there is one. Raises NotFound for what is no id."""
        return self.root / checked(batch_id)

    def all(self) -> tuple[list[Status], list[tuple[Path, str]]]:
        """The batches, oldest first; and what else is there or cannot be read, with a complaint: it is left alone.
        Raises StoreUnavailable."""
        found: list[Status] = []
        broken: list[tuple[Path, str]] = []
        for name in self._names():
            folder = self.root / name
            if not name.startswith((_NEW, _GONE)):
                try:
                    found.append(_read(folder))
                except Unsound as error:
                    broken.append((folder, f"{folder} is left alone: {error.message}"))
        return found, broken

    def create(self, status: Status, limits: Limits) -> Receiving:
        """A batch with the id of `status`, to put lines into. Raises StoreUnavailable."""
        folder = self.folder(status.id)
        with saying(self.root):
            try:
                os.mkdir(self.root, 0o700)
            except FileExistsError:
                pass
            else:
                sync_folder(self.root.parent)
        part = self.root / f"{_NEW}{status.id}"
        self._receiving.add(status.id)
        return Receiving(status, part, folder, limits, lambda: self._receiving.discard(status.id))

    def has(self, batch_id: str) -> bool:
        """Whether there is a folder of that name."""
        return os.path.lexists(self.folder(batch_id))

    def open(self, batch_id: str) -> Spool:
        """Raises NotFound, Unsound and StoreUnavailable."""
        if not self.has(batch_id):
            raise NotFound(f"there is no batch {batch_id}")
        return Spool(self.folder(batch_id))

    def remove(self, batch_id: str) -> None:
        """When this returns, it is gone. Raises NotFound and StoreUnavailable."""
        folder = self.folder(batch_id)
        gone = self.root / f"{_GONE}{batch_id}"
        with saying(folder, "remove"):
            try:
                os.rename(folder, gone)
            except FileNotFoundError:
                raise NotFound(f"there is no batch {batch_id}") from None
            sync_folder(self.root)
        # Nobody finds it any more; what cannot be deleted now is swept later.
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> list[Path]:
        """Delete what crashes have left on its way in or out. What was there of that."""
        swept: list[Path] = []
        for name in self._names():
            path = self.root / name
            left = next((name.removeprefix(mark) for mark in (_NEW, _GONE) if name.startswith(mark)), "")
            if is_id(left) and left not in self._receiving:
                swept.append(path)
                shutil.rmtree(path, ignore_errors=True)
            elif is_id(name):
                part = path / f"{STATUS}{PART}"
                if os.path.lexists(part):
                    swept.append(part)
                    with suppress(OSError):  # the next status is written over it
                        os.unlink(part)
        return swept

    def _names(self) -> list[str]:
        with saying(self.root, "read"):
            try:
                return sorted(os.listdir(self.root))
            except FileNotFoundError:
                return []


class Spool:
    """The folder of one batch, open for its answers.

    Order makes it exact: `answer` puts records on the disk, then `write` the status with the checkpoint that knows of
    them, and only then may their jobs be deleted. What a crash leaves behind the checkpoint is adopted at the opening:
    `status` and `answered` know of those lines, whose jobs may be there still.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.status = status = _read(folder)
        self.answered = Ranges(status.checkpoint.answered)
        self._output = self._opened(OUTPUT, status.checkpoint.output)
        try:
            self._errors = self._opened(ERRORS, status.checkpoint.errors)
        except BaseException:
            self._output.close()
            raise

    @property
    def sizes(self) -> tuple[int, int]:
        """Bytes of output and errors that are on the disk, all of them whole records."""
        return self._output.size, self._errors.size

    def answer(self, outputs: bytes, errors: bytes, numbers: Iterable[int]) -> None:
        """Whole records, of the lines with these numbers, are on the disk when this returns, and `answered`. Raises
        StoreUnavailable, and then none of them is."""
        before = self.sizes
        try:
            self._output.append(outputs)
            self._errors.append(errors)
            self._output.sync()
            self._errors.sync()
        except StoreUnavailable:
            self._output.take_back(before[0])
            self._errors.take_back(before[1])
            raise
        self.answered.update(numbers)

    def write(self, status: Status) -> None:
        """Make this the status, on the disk. Of its checkpoint the caller says the place in the input; what is answered
        and the sizes are those of now. Raises StoreUnavailable, and then the old one holds; Unsound where somebody has
        removed the folder, or what is in it."""
        output, errors = self.sizes
        place = status.checkpoint
        status.checkpoint = Checkpoint(
            answered=self.answered.pairs(), number=place.number, offset=place.offset, output=output, errors=errors
        )
        if self._output.removed or self._errors.removed or not self.folder.is_dir():
            raise Unsound(f"somebody has removed {self.folder}, or files in it, while it was worked on")
        write_whole(self.folder / STATUS, status_file.encode(status))
        self.status = status

    def close(self) -> None:
        self._output.close()
        self._errors.close()

    def _opened(self, name: str, kept: int) -> AppendFile:
        def valid(record: bytes) -> bool:
            number = number_of(record)
            if number is None or number in self.answered:
                return False
            self._adopt(number, cause_of(record))
            return True

        return AppendFile.open(self.folder / name, kept, valid)[0]

    def _adopt(self, number: int, cause: str) -> None:
        self.answered.add(number)
        counts = self.status.counts
        if cause == CANCELLED:
            counts.cancelled += 1
        elif cause:
            counts.failed += 1
        else:
            counts.completed += 1


def _read(folder: Path) -> Status:
    """Raises Unsound for a folder that is no batch, or not all of it."""
    try:
        if not is_id(folder.name) or not stat.S_ISDIR(os.lstat(folder).st_mode):
            raise Unsound("it is no folder of a batch")
        status = status_file.decode((folder / STATUS).read_bytes())
        sizes = {name: os.lstat(folder / name).st_size for name in (INPUT, OUTPUT, ERRORS)}
    except OSError as error:
        raise Unsound(f"{error.filename} cannot be read: {error.strerror}") from None
    if status.id != folder.name:
        raise Unsound(f"its {STATUS} is that of {status.id}")
    if sizes[INPUT] != status.input_bytes:
        raise Unsound(f"{INPUT} has {sizes[INPUT]} bytes, and {status.input_bytes} were sent")
    for name, kept in ((OUTPUT, status.checkpoint.output), (ERRORS, status.checkpoint.errors)):
        if sizes[name] < kept:
            raise Unsound(f"{name} has {sizes[name]} bytes, and {kept} were written")
    return status
