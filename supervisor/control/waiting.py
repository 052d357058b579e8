"""Waiting for the end of jobs."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from supervisor.control.complaints import no_job
from supervisor.core.job import Job
from supervisor.errors import TimedOut
from supervisor.pool.waiters import Waiters
from supervisor.store.committer import Committer
from supervisor.store.port import Store

SLICE = 50  # ids


async def wait_for(ids: Sequence[str], timeout: float | None, waiters: Waiters, committer: Committer) -> list[Job]:
    """The jobs in their final states, in the order of `ids`. Raises NotFound (also when one is deleted meanwhile) and
    TimedOut, whose data has the `jobs` that were final by then."""
    wanted = list(dict.fromkeys(ids))
    ended: dict[str, Job | None] = {}
    over = trio.Event()

    def tell(job_id: str, job: Job | None) -> None:
        ended.setdefault(job_id, job)
        if job is None or len(ended) == len(wanted):
            over.set()

    for job_id in wanted:
        waiters.add(job_id, tell)
    try:
        # In slices, so that whoever waits for thousands lets the submits of others in between.
        for start in range(0, len(wanted), SLICE):
            for job_id, job in (await committer.read(_Ended(wanted[start : start + SLICE]))).items():
                tell(job_id, job)
        if not over.is_set():  # waiting for what has happened would still be a turn of the loop
            with trio.move_on_after(float("inf") if timeout is None else timeout):
                await over.wait()
    finally:
        for job_id in wanted:
            waiters.remove(job_id, tell)
    return _in_order(ids, ended, timeout)


async def queues_of(ids: Sequence[str], committer: Committer) -> list[tuple[str, str | None]]:
    """Each with its queue, or None where there is no such job."""
    found: list[Job | None] = []
    for start in range(0, len(ids), SLICE):
        some = ids[start : start + SLICE]
        found += await committer.read(lambda store, some=some: store.get(some))  # type: ignore[misc]
    return [(job_id, None if job is None else job.queue) for job_id, job in zip(ids, found, strict=True)]


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
