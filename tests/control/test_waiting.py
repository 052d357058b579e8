"""Waiting for many jobs at once: no more of them is gathered than an answer can hold."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from protocol.control import MAX_ANSWER
from supervisor.control.waiting import SLICE, queues_of, wait_for
from supervisor.core.job import Job, State
from supervisor.errors import NotFound, TooLarge
from supervisor.pool.waiters import Waiters
from tests.control.fake_service import a_job

MANY = [f"job {number}" for number in range(20 * SLICE)]


class Shelf:
    """A store, and the committer that reads it: every job is done, with a payload of so many bytes."""

    def __init__(self, size: int, missing: str = "") -> None:
        self._payload = b"1" * size
        self._missing = missing
        self.read_whole = 0

    async def read(self, fn: Callable[[Any], Any]) -> Any:
        return fn(self)

    def states(self, ids: Sequence[str]) -> list[State | None]:
        return [None if job_id == self._missing else State.DONE for job_id in ids]

    def get(self, ids: Sequence[str]) -> list[Job | None]:
        self.read_whole += len(ids)
        return [a_job(id=job_id, payload=self._payload, state=State.DONE) for job_id in ids]


async def test_what_is_more_than_an_answer_holds_is_refused_before_all_of_it_is_read() -> None:
    shelf, waiters = Shelf(MAX_ANSWER // SLICE), Waiters()
    with pytest.raises(TooLarge, match="wait for fewer ids"):
        await wait_for(MANY, None, waiters, shelf)  # type: ignore[arg-type]
    assert shelf.read_whole <= 2 * SLICE
    assert list(waiters) == []


async def test_a_job_that_is_not_there_ends_the_reading_too() -> None:
    shelf = Shelf(1, missing=MANY[SLICE])
    with pytest.raises(NotFound, match=MANY[SLICE]):
        await wait_for(MANY, None, Waiters(), shelf)  # type: ignore[arg-type]
    assert shelf.read_whole < 2 * SLICE


async def test_thousands_of_small_ones_come_in_their_order() -> None:
    ended = await wait_for([*MANY, MANY[0]], 0, Waiters(), Shelf(1))  # type: ignore[arg-type]
    assert [job.id for job in ended] == [*MANY, MANY[0]]


async def test_each_id_has_its_queue() -> None:
    found = await queues_of(MANY, Shelf(1))  # type: ignore[arg-type]
    assert [job_id for job_id, _ in found] == MANY
    assert {queue for _, queue in found} == {"thumbs"}
