"""Whether a queue has room for what is submitted to it, and when to ask again if not."""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from supervisor.core.job import NewJob

RETRY_LEAST, RETRY_MOST = 1.0, 60.0  # seconds

Scope = tuple[str, ...]


class Full(msgspec.Struct, frozen=True, kw_only=True):
    """A queue without room for `wanted` more jobs: it has `pending` of the `limit` that it may have."""

    queue: str
    wanted: int
    pending: int
    limit: int


def scopes(job: NewJob) -> list[Scope]:
    """What no later job may have in common with this one while it counts; the idempotency key first."""
    found: list[Scope] = []
    if job.key is not None:
        found.append(("key", job.client or "", job.key))
    if job.unique is not None:
        found.append(("unique", job.queue, job.unique))
    return found


def admit(
    groups: Sequence[Sequence[NewJob]],
    answered: Collection[str],
    pending: Mapping[str, int],
    limits: Mapping[str, int],
) -> list[Full | None]:
    """Which of these groups may enter, in their order, each all or none; for one that may not, the first queue that is
    full.

    `answered`: ids of jobs that make no new row, because an earlier one in the store answers for them. `pending` says
    how many jobs wait in each limited queue. What an admitted group adds is counted for the groups behind it.
    """
    waiting = dict(pending)
    taken: set[Scope] = set()
    verdicts: list[Full | None] = []
    for group in groups:
        wanted, mine = _wanted(group, answered, taken)
        full = _first_full(wanted, waiting, limits)
        verdicts.append(full)
        if full is None:
            taken |= mine
            for queue, count in wanted.items():
                waiting[queue] = waiting.get(queue, 0) + count
    return verdicts


def _wanted(group: Sequence[NewJob], answered: Collection[str], taken: set[Scope]) -> tuple[dict[str, int], set[Scope]]:
    """How many new jobs the group brings to each queue, and what they keep others from."""
    wanted: dict[str, int] = {}
    mine: set[Scope] = set()
    for job in group:
        own = scopes(job)
        if job.id in answered or any(scope in taken or scope in mine for scope in own):
            continue
        mine.update(own)
        wanted[job.queue] = wanted.get(job.queue, 0) + 1
    return wanted, mine


def _first_full(wanted: Mapping[str, int], waiting: Mapping[str, int], limits: Mapping[str, int]) -> Full | None:
    for queue, count in wanted.items():
        limit = limits.get(queue)
        if limit is not None and waiting.get(queue, 0) + count > limit:
            return Full(queue=queue, wanted=count, pending=waiting.get(queue, 0), limit=limit)
    return None


def retry_after(full: Full, finish_rate: float) -> float | None:
    """Seconds until there is room, if the queue goes on to finish `finish_rate` jobs a second; None: never, since the
    queue would have to be larger. Within bounds: a rate of the last minute promises nothing about the next hour, and a
    queue that stands still may begin to move at any time."""
    if full.wanted > full.limit:
        return None
    missing = full.pending + full.wanted - full.limit
    if missing >= RETRY_MOST * finish_rate:
        return RETRY_MOST
    return max(RETRY_LEAST, round(missing / finish_rate, 1))
