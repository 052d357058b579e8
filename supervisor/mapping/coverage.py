"""Which lines are answered, from which place of the input on a later run has to read, and as far as which place it must
be the same input: a line that is answered behind one that is not is known by its number alone."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from supervisor.lines.ranges import Ranges


class Place(NamedTuple):
    """Behind line `number` (0: the beginning), `offset` bytes into the input; `crc32` is that of those bytes."""

    number: int = 0
    offset: int = 0
    crc32: int = 0


class Coverage:
    """Pure. Begins with every line up to `place` and the ranges `beyond` it answered, which end at `reach`."""

    def __init__(
        self,
        place: Place = Place(),  # noqa: B008
        beyond: Iterable[tuple[int, int]] = (),
        reach: Place = Place(),  # noqa: B008
    ) -> None:
        self.place = place  # every line before it is answered
        self.reach = max(place, reach)  # no line behind it is
        self._answered = Ranges(beyond)
        if place.number:
            self._answered.add_range(1, place.number)
        self._ahead: deque[Place] = deque()  # the input was read up to these
        self._further: deque[Place] = deque()  # of those, the ones behind `reach`

    def met(self, place: Place, blank: Iterable[int]) -> None:
        """The input was read up to there; blank lines, which nobody answers, were on the way."""
        self._answered.update(blank)
        self._ahead.append(place)
        if place > self.reach:
            self._further.append(place)
        self._advance()

    def answer(self, numbers: Iterable[int]) -> None:
        self._answered.update(numbers)
        self._advance()

    def beyond(self) -> list[tuple[int, int]]:
        """The ranges of answered lines behind `place`."""
        number = self.place.number
        return [(max(first, number + 1), last) for first, last in self._answered.pairs() if last > number]

    def _advance(self) -> None:
        missing = self._answered.first_missing()
        while self._ahead and self._ahead[0].number < missing:
            self.place = self._ahead.popleft()
        last = self._answered.last()
        while self._further and self.reach.number < last:
            self.reach = self._further.popleft()
