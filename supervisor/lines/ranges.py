"""Which of many numbers are there, where nearly all of them lie side by side."""

from bisect import bisect_right
from collections.abc import Iterable


class Ranges:
    """A set of numbers from 1, as few ranges. `pairs` are the first and last numbers of some that may overlap."""

    __slots__ = ("_count", "_firsts", "_lasts")

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._count = 0
        for first, last in pairs:
            self.add_range(first, last)

    def add(self, number: int) -> None:
        self.add_range(number, number)

    def update(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.add_range(number, number)

    def add_range(self, first: int, last: int) -> None:
        """All from `first` to `last`; raises ValueError where that is none, or begins before 1."""
        if not 1 <= first <= last:
            raise ValueError(f"{first} to {last} is no range of numbers from 1")
        lasts = self._lasts
        if lasts and lasts[-1] + 1 == first:  # nearly always
            lasts[-1] = last
            self._count += last - first + 1
            return
        # All ranges from `start` to before `stop` touch the new one.
        start = bisect_right(lasts, first - 2)
        stop = bisect_right(self._firsts, last + 1)
        if start < stop:
            first = min(first, self._firsts[start])
            last = max(last, lasts[stop - 1])
        self._count += last - first + 1
        self._count -= sum(lasts[i] - self._firsts[i] + 1 for i in range(start, stop))
        self._firsts[start:stop] = [first]
        lasts[start:stop] = [last]

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._firsts, number) - 1
        return place >= 0 and number <= self._lasts[place]

    def first_missing(self) -> int:
        """The smallest number from 1 that is not there."""
        return self._lasts[0] + 1 if self._firsts and self._firsts[0] == 1 else 1

    def last(self) -> int:
        """The greatest number that is there; 0: none is."""
        return self._lasts[-1] if self._lasts else 0

    def count(self) -> int:
        """How many numbers are there."""
        return self._count

    def pairs(self) -> list[tuple[int, int]]:
        """The first and last number of each range, in order."""
        return list(zip(self._firsts, self._lasts, strict=True))
