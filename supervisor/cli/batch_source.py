"""The file of a batch on its way to the daemon: opened, looked at, read in parts."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from typing import cast

from supervisor.cli.copying import Progress
from supervisor.cli.failures import Misuse, say

STDIN = "-"
_COMPRESSED = {b"\x1f\x8b": "zcat", b"\x28\xb5\x2f\xfd": "zstdcat", b"\xfd7zXZ\x00": "xzcat", b"BZh": "bzcat"}
_OPENINGS = (b"[", b"{", b"[{")  # of a document that was written for eyes, on a line of their own
_SHOWN_FROM = 4 * 1024 * 1024  # bytes: what is smaller is there before anybody wonders


class Source:
    """A binary file as far as `read` goes. What is wrong with it is raised as Misuse."""

    def __init__(self, file: BufferedReader, name: str, progress: Progress) -> None:
        self.name = name  # for people
        self.taken = 0  # bytes
        self.ended = False  # all of it was taken
        self._file = file
        self._progress = progress
        self._size = _size(file)

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._file.read1(size)  # a terminal's end is told once: `read` would take it, and wait for another
        except OSError as error:
            raise Misuse(f"cannot read {self.name}: {error.strerror}; nothing was submitted") from None
        if not self.taken:
            self._look_at_the_beginning(data)
        self.taken += len(data)
        self.ended = not data
        if self.taken >= _SHOWN_FROM:
            self._progress.show("sending", self.taken, self._size)
        return data

    def seekable(self) -> bool:
        return self._file.seekable()

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, place: int) -> int:
        """Back to the beginning, to be read again."""
        self.taken, self.ended = 0, False
        return self._file.seek(place)

    def close(self) -> None:
        """Nothing more is wanted of it."""
        self._progress.clear()

    def _look_at_the_beginning(self, data: bytes) -> None:
        if not data:
            raise Misuse(f"{self.name} is empty: a batch is a file of JSON values, one a line")
        for magic, tool in _COMPRESSED.items():
            if data.startswith(magic):
                told = tool if self.name == "stdin" else f"{tool} {self.name}"
                raise Misuse(f"{self.name} is compressed: send what is in it, as in `{told} | stoker batch submit - …`")
        first, newline, _ = data.lstrip().partition(b"\n")
        if newline and first.strip() in _OPENINGS:
            say(
                f"{self.name} looks like one JSON document over many lines: each line is taken for a job by itself "
                "(`jq -c` writes a value on one line, `jq -c '.[]'` the members of a list)"
            )


@contextmanager
def source(name: str) -> Iterator[Source]:
    """The file of that name; stdin where it is "-"."""
    if name == STDIN:
        if sys.stdin.isatty():
            say("reading jobs from the terminal, one JSON value a line; Ctrl-D ends them")
        with Progress() as progress:
            yield Source(cast("BufferedReader", sys.stdin.buffer), "stdin", progress)
        return
    try:
        file = open(name, "rb")  # noqa: SIM115
    except IsADirectoryError:
        raise Misuse(f"{name} is a folder: a batch is one file of JSON values, one a line") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Misuse(f"cannot read {name}: {reason}") from None
    with file, Progress() as progress:
        yield Source(file, name, progress)


def _size(file: BufferedReader) -> int | None:
    """None where it cannot be known."""
    with suppress(OSError):
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode):
            return found.st_size
    return None
