"""Who enters when many ask at once: whether a queue has room, and whether a `unique` value is free."""

from collections.abc import Mapping, Sequence

import msgspec

from supervisor.core.identity import Holder, Meeting, Scope, key_scope, meet, unique_scope
from supervisor.core.job import NewJob, State

RETRY_LEAST, RETRY_MOST = 1.0, 60.0  # seconds


class Full(msgspec.Struct, frozen=True, kw_only=True):
    """A queue without room for `wanted` more jobs: it has `pending` of the `limit` that it may have."""

    queue: str
    wanted: int
    pending: int
    limit: int


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """Number `index` of a group may not have its `unique` value, because `holder` has it."""

    index: int
    holder: Holder
    same_group: bool  # the holder is one of those that are refused with it


class _Entry:
    """What a group brings, if it may enter: so many jobs to each queue, and what they keep others from."""

    def __init__(self, taken: Mapping[Scope, Holder]) -> None:
        self.wanted: dict[str, int] = {}
        self.taken: dict[Scope, Holder] = {}
        self._before = taken

    def holder(self, scope: Scope | None) -> Holder | None:
        return None if scope is None else self.taken.get(scope) or self._before.get(scope)

    def add(self, job: NewJob, count: int) -> None:
        for scope in (key_scope(job), unique_scope(job)):
            if scope is not None:
                self.taken[scope] = Holder(job.id, State.PENDING, by_key=scope[0] == "key")
        if count:
            self.wanted[job.queue] = self.wanted.get(job.queue, 0) + count


def admit(
    groups: Sequence[Sequence[NewJob]],
    holders: Mapping[str, Holder],
    pending: Mapping[str, int],
    limits: Mapping[str, int],
) -> list[Full | Taken | None]:
    """Which of these groups may enter, in their order, each all or none; for one that may not, why not.

    `holders`: for the id of a new job the one in the store that it meets, as the store is before all of them. `pending`
    says how many jobs wait in each limited queue. What an admitted group adds is counted for the groups behind it.
    """
    waiting = dict(pending)
    taken: dict[Scope, Holder] = {}
    verdicts: list[Full | Taken | None] = []
    for group in groups:
        entry = _Entry(taken)
        refusal: Full | Taken | None = _enter(entry, group, holders) or _first_full(entry.wanted, waiting, limits)
        verdicts.append(refusal)
        if refusal is None:
            taken |= entry.taken
            for queue, count in entry.wanted.items():
                waiting[queue] = waiting.get(queue, 0) + count
    return verdicts


def _enter(entry: _Entry, group: Sequence[NewJob], holders: Mapping[str, Holder]) -> Taken | None:
    """Fill in what the group brings; the first of its jobs that is refused."""
    for index, job in enumerate(group):
        stored = holders.get(job.id)
        holder = stored if stored is not None and stored.by_key else entry.holder(key_scope(job))
        # What was taken here is newer than what the store knew: it may have replaced that.
        holder = holder or entry.holder(unique_scope(job)) or stored
        meeting = None if holder is None else meet(job, holder)
        if holder is None or meeting is Meeting.TAKES_OVER:
            entry.add(job, 1 if holder is None else 0)
        elif meeting is Meeting.REFUSED:
            return Taken(index=index, holder=holder, same_group=any(one.id == holder.id for one in group))
    return None


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
