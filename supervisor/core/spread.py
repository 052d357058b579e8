"""How durations are spread, over the last minutes: percentiles of known precision out of little memory.

A duration is counted in the bucket it falls into, and each power of two is cut into 16 buckets of equal width. That is
the layout of HdrHistogram (Gil Tene, hdrhistogram.org: AbstractHistogram.countsArrayIndex). A percentile is the nearest
rank (Hyndman and Fan, Sample Quantiles in Statistical Packages, 1996, definition 1), told as the middle of its bucket:
it is off by 1/32 of the true one at most.

Samples are forgotten a slice of time at a time. Only buckets that were hit are kept, of past slices as packed numbers:
as a rule some 20 kilobytes, at most 110, and hardly any where nothing happens.
"""

from array import array
from collections import deque
from collections.abc import Mapping, Sequence

_BITS = 4
_EXACT = 1 << _BITS  # microseconds: below, each has a bucket of its own
MOST = (1 << 40) - 1  # microseconds, 12.7 days: what is longer counts as this

SLICE = 20.0  # seconds
SLICES = 15  # the last one still grows, so that they are 4m40s to 5m

_Packed = tuple["array[int]", "array[int]"]


def bucket(micros: int) -> int:
    """Of a duration; the longer, the higher."""
    if micros < _EXACT:
        return max(micros, 0)
    shift = min(micros, MOST).bit_length() - _BITS - 1
    return (shift << _BITS) + (min(micros, MOST) >> shift)


def middle(number: int) -> float:
    """Of a bucket, in microseconds."""
    shift = (number >> _BITS) - 1
    if shift <= 0:
        return float(number)
    return float((number - (shift << _BITS)) << shift) + ((1 << shift) - 1) / 2


def percentiles(counts: Mapping[int, int], wanted: Sequence[int]) -> list[float]:
    """For each whole percentage, rising, the microseconds that as many of the samples do not exceed. `counts`, by
    bucket, are not empty."""
    total = sum(counts.values())
    found: list[float] = []
    seen = 0
    for number in sorted(counts):
        seen += counts[number]
        while len(found) < len(wanted) and seen * 100 >= total * wanted[len(found)]:
            found.append(middle(number))
    return found


class Spread:
    """`turn` is to be called about once a second, and looks at the time (seconds of a clock that never goes back), so
    that to add a sample costs no look at any."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}  # of the slice that grows
        self._before: dict[int, int] = {}  # of the past ones together
        self._past: deque[_Packed | None] = deque([None] * (SLICES - 1))
        self._until: float | None = None

    def add(self, micros: int) -> None:
        """Negative ones (somebody has set a clock back meanwhile) count as none."""
        if micros < _EXACT:
            number = micros if micros > 0 else 0
        else:
            if micros > MOST:
                micros = MOST
            # As `bucket`, whose call would be a third of what this costs.
            shift = micros.bit_length() - _BITS - 1
            number = (shift << _BITS) + (micros >> shift)
        self._counts[number] = self._counts.get(number, 0) + 1

    def turn(self, now: float) -> None:
        if self._until is None:
            self._until = now + SLICE
        passed = 0
        while now >= self._until and passed < SLICES:  # after a long pause nothing is left, and one round is enough
            self._begin_slice()
            self._until += SLICE
            passed += 1
        self._until = max(self._until, now)

    def _begin_slice(self) -> None:
        oldest = self._past.popleft()
        if oldest is not None:
            for number, count in zip(*oldest, strict=True):
                self._before[number] -= count
                if not self._before[number]:
                    del self._before[number]
        if not self._counts:
            self._past.append(None)
            return
        for number, count in self._counts.items():
            self._before[number] = self._before.get(number, 0) + count
        self._past.append((array("H", self._counts), array("I", self._counts.values())))
        self._counts = {}

    def counts(self) -> dict[int, int]:
        """By bucket; empty without samples."""
        together = self._before.copy()
        for number, count in self._counts.items():
            together[number] = together.get(number, 0) + count
        return together
