"""Reading the lines of a batch, a little ahead of what is handed over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import trio

from supervisor.batch.surroundings import Surroundings
from supervisor.batch.tracking import Place, Step
from supervisor.lines.line import line_of
from supervisor.lines.reading import LineReader
from supervisor.lines.whole import saying

LINES = 500
BYTES = 1024 * 1024
_ROOM = 64 * 1024


class Chunk(NamedTuple):
    """Some lines, and the numbers of blank ones among them."""

    steps: list[Step]
    blanks: Sequence[int]


class Source:
    """Reads on from `place`. `max_payload` is asked for anew each time: the configuration may change."""

    def __init__(self, around: Surroundings, path: Path, place: Place, max_payload: Callable[[], int]) -> None:
        self._around = around
        self._path = path
        self._place = place
        self._max_payload = max_payload

    async def run(self, out: trio.MemorySendChannel[Chunk]) -> None:
        async with out:
            with self._opened() as reader:  # no more than two system calls on a local disk
                while (chunk := await self._around.in_thread(self._read, reader)) is not None:
                    await out.send(chunk)

    @contextmanager
    def _opened(self) -> Iterator[LineReader]:
        # White space outside strings is not part of a payload, so that a line may be longer than one.
        longest = 2 * self._max_payload() + _ROOM
        with saying(self._path, "read"):
            file = self._path.open("rb", buffering=0)
        with file:
            file.seek(self._place.offset)
            yield LineReader(file, number=self._place.number, offset=self._place.offset, max_line=longest)

    def _read(self, reader: LineReader) -> Chunk | None:
        with saying(self._path, "read"):
            found, blanks = reader.read(LINES, BYTES)
        if not found and not blanks:
            return None
        most, before, steps = self._max_payload(), self._place, []
        for raw in found:
            behind = Place(raw.number, raw.end)
            steps.append(Step(line_of(raw, max_payload=most), before, behind))
            before = behind
        self._place = before
        return Chunk(steps, blanks)
