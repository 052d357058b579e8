"""Lines out of a file or a pipe of any length, numbered as an editor does."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import BinaryIO, NamedTuple

MAX_LINE = 16 * 1024 * 1024
_BLOCK = 128 * 1024
_BOM = b"\xef\xbb\xbf"


class RawLine(NamedTuple):
    """A line that is not blank. `end` is the offset behind it and its "\\n"; of one that is not `whole`, because it is
    longer than allowed, `text` is the beginning."""

    number: int
    end: int
    text: bytes
    whole: bool = True


class LineReader:
    """Reads on where `file` (or a descriptor) stands: behind the line `number`, at `offset`.

    Memory is bounded: of a line longer than `max_line` the beginning is kept and the rest skipped. A byte order mark
    at offset 0 is not part of the first line.
    """

    def __init__(
        self, file: BinaryIO | int, *, number: int = 0, offset: int = 0, max_line: int = MAX_LINE, block: int = _BLOCK
    ) -> None:
        self.number = number  # of the last line that was read, blank or not,
        self.offset = offset  # and the place behind it
        self._read_block = _reader(file, block)
        self._max_line = max_line
        self._chunk = b""
        self._at = 0  # in the chunk: what is in front of it was read
        self._begun = _Begun(max_line)  # a line that began in an earlier chunk
        self._ended = False

    def read(self, lines: int, size: int) -> tuple[list[RawLine], Sequence[int]]:
        """The next lines that are not blank, and the numbers of the blank ones met on the way: together at most
        `lines` of them, and no further one behind `size` bytes. What is there comes at once: a pipe is waited for
        only where nothing is. Both are empty at the end of the file.
        """
        found: list[RawLine] = []
        blank: list[int] = []
        last = self.offset + size
        while len(found) + len(blank) < lines and self.offset < last:
            end = self._chunk.find(b"\n", self._at)
            if end < 0:
                if found or blank or not self._fill():
                    break
                continue
            self._take(end, 1, found, blank)
        if self._ended and not (found or blank) and self._begun.length:
            self._take(0, 0, found, blank)
        return found, blank

    def _take(self, end: int, newline: int, found: list[RawLine], blank: list[int]) -> None:
        """The line that ends at that place of the chunk."""
        text, length, tells = self._chunk[self._at : end], end - self._at, False
        self._at = end + newline
        if self._begun.length or length > self._max_line:
            self._begun.add(text)
            text, length, tells = self._begun.take()
        if self.offset == 0:
            text = text.removeprefix(_BOM)
        self.number += 1
        self.offset += length + newline
        if tells or (text and not text.isspace()):
            found.append(RawLine(self.number, self.offset, text, length <= self._max_line))
        else:
            blank.append(self.number)

    def _fill(self) -> bool:
        """The next chunk; what is left of the last one begins a line. False: there is none."""
        self._begun.add(self._chunk[self._at :])
        self._chunk, self._at = self._read_block(), 0
        self._ended = not self._chunk
        return not self._ended


class _Begun:
    """A line as it comes, in pieces: its beginning, how long it is, and whether anything but white space was left
    out."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._head = bytearray()
        self.length = 0
        self._tells = False

    def add(self, piece: bytes) -> None:
        room = self._most - len(self._head)
        self._head += piece[:room]
        self.length += len(piece)
        if len(piece) > room and not self._tells:
            self._tells = not piece[room:].isspace()

    def take(self) -> tuple[bytes, int, bool]:
        taken = bytes(self._head), self.length, self._tells
        self._head, self.length, self._tells = bytearray(), 0, False
        return taken


def _reader(file: BinaryIO | int, block: int) -> Callable[[], bytes]:
    """What reads as much as there is, and waits only where nothing is."""
    if isinstance(file, int):
        return partial(os.read, file, block)
    return partial(getattr(file, "read1", file.read), block)
