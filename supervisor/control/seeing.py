"""What is shown to one who may not look at every queue. The names of queues and pools are no secret, nor is what a pool
does as a whole; jobs are, and the figures of their queue.
"""

from collections.abc import Callable
from itertools import accumulate

from msgspec.structs import replace

from protocol.control import PoolView, QueueView, StatusView, WorkerView
from supervisor.core.access import NOBODY, Sight
from supervisor.core.roles import Role
from supervisor.store.port import PAGE_BYTES, Page


def merged(one: Page, other: Page, limit: int) -> Page:
    """A page of the jobs of both, newest first, no heavier than either may be."""
    # Below the last job of a page that has a next one, nothing is known of its queues.
    known = max((page.jobs[-1].seq for page in (one, other) if page.next_seq is not None), default=0)
    jobs = sorted((*one.jobs, *other.jobs), key=lambda job: job.seq, reverse=True)
    weights = accumulate(len(job.payload or b"") + len(job.result or b"") for job in jobs)
    shown = [job for job, weight in zip(jobs, weights, strict=True) if job.seq >= known and weight <= PAGE_BYTES]
    shown = (shown or jobs[:1])[:limit]
    more = known > 0 or len(shown) < len(jobs)
    return Page(jobs=tuple(shown), total=one.total + other.total, next_seq=shown[-1].seq if shown and more else None)


def seen(queues: list[QueueView], sight: Sight | None) -> list[QueueView]:
    return queues if sight is None else [view for view in queues if sight.shows(view.queue)]


def seen_pool(pool: PoolView, sight: Sight | None) -> PoolView:
    if sight is None:
        return pool
    return replace(pool, shares=[share for share in pool.shares if sight.shows(share.queue)])


def seen_worker(worker: WorkerView, sight: Sight | None, queue_of: Callable[[str], str | None]) -> WorkerView:
    if sight is None or worker.job is None:
        return worker
    queue = queue_of(worker.job)
    return worker if queue is not None and sight.shows(queue) else replace(worker, job=None)


def seen_status(status: StatusView, sight: Sight | None) -> StatusView:
    if sight is None:
        return status
    pools = [seen_pool(pool, sight) for pool in status.pools]
    return replace(status, pools=pools, queues=seen(status.queues, sight))


def role_view(role: int) -> str | None:
    return None if role == NOBODY else Role(role).name.lower()
