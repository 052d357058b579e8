"""Which batch of a queue has its turn."""

from types import SimpleNamespace
from typing import Any

from supervisor.batch.turns import AT_ONCE, MOST, Turns


class Batch:
    """As batch.runner.Runner, and counts how often it is looked at."""

    def __init__(self, number: int, queue: str = "q") -> None:
        self.looks = 0
        self.resting = False
        self._status = SimpleNamespace(id=str(number), queue=queue)

    @property
    def status(self) -> Any:
        self.looks += 1
        return self._status


def joined(turns: Turns, count: int, queue: str = "q") -> list[Batch]:
    batches = [Batch(number, queue) for number in range(count)]
    for batch in batches:
        turns.join(batch)  # type: ignore[arg-type]
    return batches


def begun(turns: Turns, queue: str = "q") -> list[Any]:
    found: list[Any] = []
    while (runner := turns.next(queue)) is not None:
        turns.begin(runner)
        found.append(runner)
    return found


def test_who_came_first_begins_when_another_has_ended_and_each_queue_for_itself() -> None:
    turns = Turns()
    batches, others = joined(turns, AT_ONCE + 2), joined(turns, 1, "other")
    assert begun(turns) == batches[:AT_ONCE]
    assert begun(turns, "other") == others
    turns.leave(batches[3])  # type: ignore[arg-type]
    assert begun(turns) == [batches[AT_ONCE]]
    assert [*turns.queues] == ["q"]


def test_one_that_begins_out_of_its_turn_has_none_later() -> None:
    turns = Turns()
    batches = joined(turns, 2)
    turns.begin(batches[1])  # type: ignore[arg-type]
    assert begun(turns) == [batches[0]]


def test_however_many_wait_few_of_them_are_looked_at() -> None:
    turns = Turns()
    batches = joined(turns, 1000)
    while some := begun(turns):
        for runner in some:
            turns.leave(runner)
    assert max(batch.looks for batch in batches) < 20


def test_one_that_rests_makes_room_for_another_as_long_as_not_too_many_have_begun() -> None:
    turns = Turns()
    batches = joined(turns, MOST + AT_ONCE)
    for _ in range(MOST // AT_ONCE):
        some = begun(turns)
        assert len(some) == AT_ONCE
        for runner in some:
            runner.resting = True
    assert begun(turns) == []
    turns.leave(batches[0])  # type: ignore[arg-type]
    assert begun(turns) == [batches[MOST]]
