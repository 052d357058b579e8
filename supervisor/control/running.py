"""What runs at this moment."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec.structs import replace

from supervisor.core.access import Sight
from supervisor.core.job import Job, State
from supervisor.pool.feeder import Feeder
from supervisor.pool.run import Run
from supervisor.store.port import Reader


async def running_jobs(
    feeder: Feeder,
    read: Callable[[Callable[[Reader], Sequence[Job]]], Awaitable[Sequence[Job]]],
    queue: str | None,
    limit: int,
    sight: Sight | None,
) -> tuple[list[Job], int]:
    """Of a queue, or of all that are in sight: up to `limit` jobs that have run for the longest, the first one first,
    and how many run.

    That they run, since when and how far they are, the feeder knows; the store, be it behind while its disk is full,
    is asked for the rest.
    """
    runs = [run for run in feeder.running.values() if run.outcome is None and queue in (None, run.row.queue)]
    if sight is not None:
        runs = [run for run in runs if sight.shows(run.row.queue)]
    shown = runs[:limit]  # in the order of checkout
    heads = await read(lambda reader: reader.heads([run.row.seq for run in shown]))
    by_seq = {job.seq: job for job in heads}
    found = ((run, by_seq.get(run.row.seq)) for run in shown)
    # What has ended meanwhile may have begun anew, and is another run.
    return [_as_it_runs(job, run) for run, job in found if job is not None and run.outcome is None], len(runs)


def _as_it_runs(job: Job, run: Run) -> Job:
    return replace(
        job, state=State.RUNNING, attempt=run.attempt, started_at=run.started_at, progress=run.progress_json()
    )
