"""Lines out of a file, a pipe or a terminal, read ahead in a thread."""

import os
import stat
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from select import POLLIN, poll
from typing import NamedTuple
from zlib import crc32

import trio

from supervisor.lines.line import Line, line_of
from supervisor.lines.ranges import Ranges
from supervisor.lines.reading import LineReader
from supervisor.mapping.coverage import Coverage, Place
from supervisor.mapping.feed import InputFailed
from supervisor.mapping.settings import Settings

LINES = 500  # read at once, at most
BLOCK = 1024 * 1024  # bytes of what an earlier run has read already


class WrongInput(InputFailed):
    """It does not begin with what the run that is to go on has read."""

    code = "wrong_input"


class Source:
    """An input's bytes, and the checksum of those up to a line's end. All of it blocks and raises InputFailed."""

    def __init__(self, fd: int, name: str) -> None:
        self.name = name
        self._fd = fd
        self._summed = Place()
        self._reach = Place()
        self._chunk = memoryview(b"")  # what was read last: a line ends in it, or later

    @property
    def size(self) -> int | None:
        """Where it can be known."""
        found = os.fstat(self._fd)
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read(self, size: int) -> bytes:
        at = self._summed.offset + len(self._chunk)
        unproved = self._reach.offset - at
        data = self._read_some(min(size, unproved) if unproved > 0 else size)
        if data:
            self.place(0, at)
            self._chunk = memoryview(data)
        if unproved > 0:
            self._prove(data, unproved)
        return data

    def place(self, number: int, offset: int) -> Place:
        """Behind that line, which ends there: in what was read last."""
        read = offset - self._summed.offset
        self._summed = Place(number, offset, crc32(self._chunk[:read], self._summed.crc32))
        self._chunk = self._chunk[read:]
        return self._summed

    def _prove(self, data: bytes, unproved: int) -> None:
        """That what an earlier run has answered behind what was skipped is what it was."""
        reach = self._reach
        if not data:
            raise self._wrong(reach, reach.offset - unproved)
        if len(data) == unproved and crc32(data, self._summed.crc32) != reach.crc32:
            raise self._wrong(reach)

    def _wrong(self, place: Place, found: int | None = None) -> WrongInput:
        has = "begins with other ones" if found is None else f"has only {found}"
        return WrongInput(
            f"this is not the input that the run to be resumed was reading: it has answered lines of the first "
            f"{place.offset} bytes, and {self.name} {has}"
        )

    def skip(self, place: Place, reach: Place) -> None:
        """What an earlier run has answered, whole up to `place`, and in parts up to `reach`. Raises WrongInput where it
        is something else, as `read` does, on the way there."""
        crc, left = 0, place.offset
        while left and (data := self._read_some(min(left, BLOCK))):
            crc = crc32(data, crc)
            left -= len(data)
        if left or crc != place.crc32:
            raise self._wrong(place, place.offset - left if left else None)
        self._summed, self._reach = place, reach

    def _read_some(self, size: int) -> bytes:
        while True:
            try:
                return os.read(self._fd, size)
            except BlockingIOError:  # somebody who has it too made it so
                waiting = poll()
                waiting.register(self._fd, POLLIN)
                waiting.poll()
            except OSError as error:
                raise InputFailed(f"cannot read {self.name}: {error.strerror}") from None


def open_source(path: Path | None) -> Source:
    """`path`: None: stdin. A named pipe waits for its writer here. Raises InputFailed."""
    if path is None:
        if sys.__stdin__ is None:
            raise InputFailed("stdin is closed; name a file with --input FILE")
        return Source(0, "the input")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InputFailed(f"cannot read {path}: {error.strerror}") from None
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise InputFailed(f"cannot read {path}: it is a folder; name a file of lines")
    return Source(fd, str(path))


class Read(NamedTuple):
    """What the thread brings: lines, and how far it is. At the end of the input there is no place."""

    lines: list[Line]
    blank: Sequence[int]
    place: Place | None


class Input:
    """What the thread does. Nothing of it is used by two threads at once."""

    def __init__(self, source: Source, settings: Settings, coverage: Coverage) -> None:
        self.source = source
        self._settings = settings
        self._begin, self._reach = coverage.place, coverage.reach
        self._answered = Ranges(coverage.beyond())  # a copy: the run adds to its own
        self._reader: LineReader | None = None
        self._told = coverage.place.number  # the last line that was read

    def read(self) -> Read:
        """The next lines that are to be done; none of them before it is certain that this is the input of the run that
        goes on. Blocks until there is one; raises InputFailed."""
        if self._reader is None:
            self.source.skip(self._begin, self._reach)
            self._reader = LineReader(
                self.source,  # type: ignore[arg-type]
                number=self._begin.number,
                offset=self._begin.offset,
            )
        lines, blank = self._read_some(self._reader)
        while self._reader.offset < self._reach.offset:
            more, more_blank = self._read_some(self._reader)
            lines += more
            blank += more_blank
        if self._reader.number == self._told:
            return Read([], (), None)
        self._told = self._reader.number
        return Read(lines, blank, self.source.place(self._reader.number, self._reader.offset))

    def _read_some(self, reader: LineReader) -> tuple[list[Line], list[int]]:
        found, blank = reader.read(LINES, self._settings.read_ahead)
        limit, raw = self._settings.max_payload, self._settings.raw_input
        lines = [line_of(one, max_payload=limit, raw=raw) for one in found if one.number not in self._answered]
        return lines, list(blank)


def _nothing() -> None:
    pass


class ReadingFeed:
    """The Feed of a run. `coverage` is shared with the answers, and used in trio's thread alone."""

    def __init__(self, source: Source, settings: Settings, coverage: Coverage) -> None:
        self.on_line: Callable[[], None] = _nothing
        self.size = source.size
        self.offset = coverage.place.offset  # bytes that were read, and
        self._input = Input(source, settings, coverage)
        self._coverage = coverage
        self._most = settings.read_ahead
        self._lines: deque[Line] = deque()
        self._bytes = 0  # of those
        self._low = trio.Event()
        self._at_end = False

    @property
    def ended(self) -> bool:
        return self._at_end and not self._lines

    @property
    def waiting(self) -> int:
        """Lines that were read, and are not taken yet."""
        return len(self._lines)

    @property
    def whole(self) -> bool:
        """The end of the input was reached."""
        return self._at_end

    def take(self) -> Line | None:
        if not self._lines:
            return None
        line = self._lines.popleft()
        self._bytes -= len(line.payload or b"")
        if self._is_low():
            self._low.set()
        return line

    async def run(self) -> None:
        while not self._at_end:
            await self._low_again()
            read = await trio.to_thread.run_sync(self._input.read, abandon_on_cancel=True)
            if read.place is None:
                self._at_end = True
            else:
                self._coverage.met(read.place, read.blank)
                self.offset = read.place.offset
                self._lines += read.lines
                self._bytes += sum(len(line.payload or b"") for line in read.lines)
            if read.lines or self._at_end:
                self.on_line()

    def _is_low(self) -> bool:
        return len(self._lines) <= LINES // 2 and self._bytes <= self._most // 2

    async def _low_again(self) -> None:
        while not self._is_low():
            self._low = trio.Event()
            await self._low.wait()
