"""submit and submit_many."""

import itertools
from collections.abc import Collection

from protocol.control import SubmitManyParams, SubmitParams, SubmittedManyView, SubmittedView
from supervisor.control.context import Context
from supervisor.control.limits import too_many
from supervisor.control.submits import new_job
from supervisor.control.views import submitted_view
from supervisor.core.job import NewJob
from supervisor.errors import Conflict, Invalid, NotFound, Refused, StoreUnavailable, UnknownQueue


async def submit(context: Context, params: SubmitParams) -> SubmittedView:
    try:
        job = new_job(params, context.service.queue(params.queue), context.now())
        context.service.space.take(len(job.payload))
    except Refused as refusal:
        return await _earlier(context, params, refusal)
    try:
        [submitted] = await context.service.submit([job])
    except Conflict as refusal:
        data = {name: value for name, value in refusal.data.items() if name != "index"}
        raise Conflict(refusal.message, **data) from None
    return submitted_view(submitted)


async def submit_many(context: Context, params: SubmitManyParams) -> SubmittedManyView:
    """All or none, in one transaction; the answers are in the order of the jobs."""
    service, now = context.service, context.now()
    limit = service.config.daemon.max_jobs
    if not params.jobs:
        raise Invalid("jobs: at least one is needed")
    if len(params.jobs) > limit:
        raise too_many("jobs", len(params.jobs), limit)
    # No pause in between, though 10,000 jobs take some 15 ms: this connection's next request would else be
    # handed to the store before them, and what is sent in order is queued in order.
    jobs: list[NewJob] = []
    earlier: dict[int, SubmittedView] = {}
    for index, item in enumerate(params.jobs):
        try:
            job = new_job(item, service.queue(item.queue), now)
            service.space.take(len(job.payload))
            jobs.append(job)
        except Refused as refusal:
            earlier[index] = await _earlier(context, item, _at(index, refusal))
    try:
        fresh = [submitted_view(submitted) for submitted in await service.submit(jobs)] if jobs else []
    except Conflict as refusal:
        raise _at(_place(refusal, earlier), refusal) from None
    return SubmittedManyView(jobs=_merged(fresh, earlier) if earlier else fresh)


async def _earlier(context: Context, params: SubmitParams, refusal: Refused) -> SubmittedView:
    """A submit that would be refused now is still answered by the job that its client and key made before: a client
    that asks again after a lost answer would else believe that its job had never been accepted."""
    if params.client is None or params.key is None:
        raise refusal
    try:
        job = await context.service.find(params.client, params.key)
    except NotFound:
        raise refusal from None
    same = job.queue == params.queue and job.payload == bytes(params.payload)
    return SubmittedView(id=job.id, created=False, state=job.state, same=same)


def _at(index: int, refusal: Refused) -> Refused:
    """The same refusal, saying which of the jobs it is about, if it is about one."""
    if isinstance(refusal, StoreUnavailable):
        return refusal
    place = f"jobs[{index}].queue: " if isinstance(refusal, UnknownQueue) else f"jobs[{index}]."
    return type(refusal)(place + refusal.message, **{**refusal.data, "index": index})


def _place(refusal: Conflict, earlier: Collection[int]) -> int:
    """Which of all the call's jobs a conflict is about, which counts those that were handed over."""
    handed = (place for place in itertools.count() if place not in earlier)
    place = refusal.data["index"]
    assert isinstance(place, int)
    return next(itertools.islice(handed, place, None))


def _merged(fresh: list[SubmittedView], earlier: dict[int, SubmittedView]) -> list[SubmittedView]:
    rest = iter(fresh)
    return [earlier[index] if index in earlier else next(rest) for index in range(len(fresh) + len(earlier))]
