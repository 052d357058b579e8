"""The order in which answers go out."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Answer(NamedTuple):
    """What is to be written of one line: a whole line, with its newline."""

    number: int
    text: bytes
    failed: bool


class Turns(Protocol):
    """Pure. Each number is expected once, then answered once."""

    def expect(self, number: int) -> None: ...

    def answer(self, answer: Answer) -> Sequence[Answer]:
        """Those that may go out now."""


class AnyOrder:
    """As they come."""

    def expect(self, number: int) -> None:
        pass

    def answer(self, answer: Answer) -> Sequence[Answer]:
        return (answer,)


class InOrder:
    """As they were expected: who is early waits for those before it."""

    def __init__(self) -> None:
        self._order: deque[int] = deque()
        self._early: dict[int, Answer] = {}

    def expect(self, number: int) -> None:
        self._order.append(number)

    def answer(self, answer: Answer) -> Sequence[Answer]:
        order, early = self._order, self._early
        if order[0] != answer.number:
            early[answer.number] = answer
            return ()
        order.popleft()
        if not early:
            return (answer,)
        due = [answer]
        while order and order[0] in early:
            due.append(early.pop(order.popleft()))
        return due
