"""Waiting for the end of jobs."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from protocol.control import MAX_ANSWER
from supervisor.control.complaints import no_job
from supervisor.control.limits import answer_too_large, weight_of
from supervisor.core.job import Job
from supervisor.errors import TimedOut
from supervisor.pool.waiters import Waiters
from supervisor.store.committer import Committer
from supervisor.store.port import Store

SLICE = 50  # ids
WAIT_ADVICE = "wait for fewer ids at a time"


async def wait_for(ids: Sequence[str], timeout: float | None, waiters: Waiters, committer: Committer) -> list[Job]:
    """The jobs in their final states, in the order of `ids`. Raises NotFound (also when one is deleted meanwhile),
    TimedOut, whose data has the `jobs` that were final by then, and TooLarge as soon as what has ended is more than an
    answer can hold: thousands of large jobs must not be gathered only to be refused."""
    wanted = list(dict.fromkeys(ids))
    gathered = _Gathered(len(wanted))
    for job_id in wanted:
        waiters.add(job_id, gathered.tell)
    try:
        # In slices, so that whoever waits for thousands lets the submits of others in between.
        for start in range(0, len(wanted), SLICE):
            for job_id, job in (await committer.read(_Ended(wanted[start : start + SLICE]))).items():
                gathered.tell(job_id, job)
            if gathered.over.is_set():  # waiting for what has happened would still be a turn of the loop
                break
        else:
            with trio.move_on_after(float("inf") if timeout is None else timeout):
                await gathered.over.wait()
    finally:
        for job_id in wanted:
            waiters.remove(job_id, gathered.tell)
    if gathered.weight > MAX_ANSWER:
        raise answer_too_large(gathered.weight, WAIT_ADVICE)
    return _in_order(ids, gathered.ended, timeout)


class _Gathered:
    """What has ended of so many jobs, each whole, and None for what is not there. `over`: there is no use in waiting
    any longer."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self.ended: dict[str, Job | None] = {}
        self.weight = 0  # of these, in an answer
        self.over = trio.Event()

    def tell(self, job_id: str, job: Job | None) -> None:
        if job_id not in self.ended:
            self.ended[job_id] = job
            self.weight += 0 if job is None else weight_of(job)
        if job is None or len(self.ended) == self._wanted or self.weight > MAX_ANSWER:
            self.over.set()


async def queues_of(ids: Sequence[str], committer: Committer) -> list[tuple[str, str | None]]:
    """Each with its queue, or None where there is no such job."""
    found: list[str | None] = []
    for start in range(0, len(ids), SLICE):
        found += await committer.read(_Queues(ids[start : start + SLICE]))
    return list(zip(ids, found, strict=True))


class _Queues:
    """A read: the queue of each of these jobs. Of the jobs themselves, which may be large, nothing is kept."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids

    def __call__(self, store: Store) -> list[str | None]:
        return [None if job is None else job.queue for job in store.get(self._ids)]


class _Ended:
    """A read: which of these jobs have ended, whole, and None for those that are not there."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids

    def __call__(self, store: Store) -> dict[str, Job | None]:
        states = dict(zip(self._ids, store.states(self._ids), strict=True))
        final = [job_id for job_id, state in states.items() if state is not None and state.final]
        ended = dict(zip(final, store.get(final) if final else (), strict=True))
        return {**{job_id: None for job_id, state in states.items() if state is None}, **ended}


def _in_order(ids: Sequence[str], ended: dict[str, Job | None], timeout: float | None) -> list[Job]:
    for job_id, job in ended.items():
        if job is None:
            raise no_job(job_id)
    final = [job for job_id in ids if (job := ended.get(job_id)) is not None]
    if len(final) < len(ids):
        missing = next(job_id for job_id in ids if job_id not in ended)
        raise TimedOut(
            f"{len(ids) - len(final)} of {len(ids)} jobs have not ended within {timeout:g} s "
            f"(the first is {missing}); they go on, wait again",
            jobs=final,
        )
    return final
