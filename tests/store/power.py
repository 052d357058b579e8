"""A disk that loses, when the power fails, what was written since the last sync."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512


@dataclass
class Write:
    offset: int
    data: bytes

    def sectors(self) -> Iterator["Write"]:
        """Its parts as a disk writes them: each whole or not at all."""
        start = self.offset
        end = self.offset + len(self.data)
        while start < end:
            stop = min(end, (start // SECTOR + 1) * SECTOR)
            yield Write(start, self.data[start - self.offset : stop - self.offset])
            start = stop

    def apply(self, content: bytearray) -> None:
        missing = self.offset - len(content)
        if missing > 0:
            content.extend(bytes(missing))
        content[self.offset : self.offset + len(self.data)] = self.data


@dataclass
class Truncate:
    size: int

    def sectors(self) -> Iterator["Truncate"]:
        yield self

    def apply(self, content: bytearray) -> None:
        del content[self.size :]
        content.extend(bytes(self.size - len(content)))


Change = Write | Truncate


@dataclass
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Change] = field(default_factory=list)


Loss = Callable[[list[Change], random.Random], Iterable[Change]]


def everything(pending: list[Change], rng: random.Random) -> Iterable[Change]:
    """Nothing of it had left the cache."""
    return []


def the_end(pending: list[Change], rng: random.Random) -> Iterable[Change]:
    return pending[: rng.randint(0, len(pending))]


def any_of_it(pending: list[Change], rng: random.Random) -> Iterable[Change]:
    """Out of order, as a disk may choose."""
    return [change for change in pending if rng.random() < 0.5]


def any_sectors(pending: list[Change], rng: random.Random) -> Iterable[Change]:
    """Out of order, and torn."""
    return [sector for change in pending for sector in change.sectors() if rng.random() < 0.5]


LOSSES: tuple[Loss, ...] = (everything, the_end, any_of_it, any_sectors)


class Disk:
    """An observer (see vfs.py) that keeps apart what is synced and what is not, until the change number `cut_at`.

    From then on nothing counts any more: the program goes on, unaware, on a machine that is no more.
    """

    def __init__(self, cut_at: int) -> None:
        self._cut_at = cut_at
        self._changes = 0
        self._files: dict[str, _File] = {}

    @property
    def is_off(self) -> bool:
        return self._changes >= self._cut_at

    def _happens(self) -> bool:
        if self.is_off:
            return False
        self._changes += 1
        return not self.is_off

    def _file(self, path: str) -> _File:
        return self._files.setdefault(path, _File())

    def write(self, path: str, data: bytes, offset: int) -> None:
        if self._happens():
            self._file(path).pending.append(Write(offset, data))

    def truncate(self, path: str, size: int) -> None:
        if self._happens():
            self._file(path).pending.append(Truncate(size))

    def sync(self, path: str) -> None:
        if self._happens():
            file = self._file(path)
            for change in file.pending:
                change.apply(file.durable)
            file.pending.clear()

    def delete(self, path: str) -> None:
        if self._happens():
            self._files.pop(path, None)

    def recover(self, folder: Path, loss: Loss, rng: random.Random) -> None:
        """Write into `folder` what is there when the power is back."""
        for path, file in self._files.items():
            content = bytearray(file.durable)
            for change in loss(file.pending, rng):
                change.apply(content)
            folder.joinpath(Path(path).name).write_bytes(content)
