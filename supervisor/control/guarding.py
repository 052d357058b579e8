"""What a call of one who may not do everything everywhere is about, and whether he may do that there.

A job of a queue that he may not look at is `not_found`, as if it were not there; whatever else he may not is
`forbidden`. For everybody else none of this is called.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from protocol.batches import BatchGcParams, BatchParams, BatchSubmitParams
from protocol.control import (
    GetParams,
    JobParams,
    ManyParams,
    PurgeParams,
    QueueParams,
    SubmitManyParams,
    SubmitParams,
    WaitParams,
)
from supervisor.control.access import Demand
from supervisor.control.complaints import cut, no_batch, no_job
from supervisor.control.context import Context
from supervisor.errors import Forbidden, NotFound

# Raises Forbidden or NotFound, at once or, where it has to look for a job's queue, when it is awaited.
Guard: TypeAlias = Callable[[Context, Demand, Any], Any]


def anywhere(context: Context, demand: Demand, params: object) -> None:
    """The answer tells only of what he may look at."""


def whole(context: Context, demand: Demand, params: object) -> None:
    context.caller.demand(demand)


def one_queue(context: Context, demand: Demand, params: SubmitParams | QueueParams | PurgeParams) -> None:
    context.caller.demand(demand, params.queue)


def named_queue(context: Context, demand: Demand, params: Any) -> None:
    """Where one is named; else the answer tells only of what he may look at."""
    if params.queue is not None:
        context.caller.demand(demand, params.queue)


def all_queues(context: Context, demand: Demand, params: SubmitManyParams) -> None:
    for queue in dict.fromkeys(job.queue for job in params.jobs):
        context.caller.demand(demand, queue)


def one_batch(context: Context, demand: Demand, params: BatchParams) -> None:
    _batch(context, demand, params.id)


def batch_or_part(context: Context, demand: Demand, params: BatchSubmitParams) -> None:
    """What was begun is judged again with each part: the rules may have changed."""
    part = None if params.batch is None else context.parts.get(params.batch)
    queue = params.queue if part is None else part.queue
    if queue is not None:  # else the handler will say that there is none
        context.caller.demand(demand, queue)


def _batch(context: Context, demand: Demand, batch_id: str) -> None:
    part = context.parts.get(batch_id)
    try:
        queue = context.service.batches.get(batch_id).queue if part is None else part.queue
    except NotFound:
        return  # the handler's to say
    if not context.caller.sees(queue):
        context.caller.note(demand, 0, queue)
        raise no_batch(batch_id)
    context.caller.demand(demand, queue)


def matching(context: Context, demand: Demand, params: ManyParams | BatchGcParams) -> None:
    """Without a queue it would be about those of all of them, and part of that is not what was asked for."""
    caller = context.caller
    if params.queue is not None:
        caller.demand(demand, params.queue)
        return
    reach = caller.reach
    caller.note(demand, reach.least)
    word = demand.role.name.lower()
    raise Forbidden(
        f'"{demand.method}" without a queue needs the role {word} in all of them, and {caller} has it in some only: '
        "name a queue",
        needs=word,
        has=None,
    )


async def one_job(context: Context, demand: Demand, params: JobParams) -> None:
    await _jobs(context, demand, [params.id])


async def some_jobs(context: Context, demand: Demand, params: WaitParams) -> None:
    ids = [params.id] if params.id is not None else params.ids or []
    if len(ids) <= context.service.config.daemon.max_jobs:  # more are refused by the handler
        await _jobs(context, demand, ids)


async def found_job(context: Context, demand: Demand, params: GetParams) -> None:
    if params.id is not None:
        await _jobs(context, demand, [params.id])
    elif params.client is not None and params.key is not None:
        found = await context.service.find(params.client, params.key)
        if not context.caller.sees(found.queue):
            context.caller.note(demand, 0, found.queue)
            raise NotFound(f'client "{cut(params.client)}" has no job with key "{cut(params.key)}"')


async def _jobs(context: Context, demand: Demand, ids: Sequence[str]) -> None:
    queues = await context.service.queues_of(list(dict.fromkeys(ids)))
    for job_id, queue in _there(queues):
        if not context.caller.sees(queue):
            context.caller.note(demand, 0, queue)
            raise no_job(job_id)
        context.caller.demand(demand, queue)


def _there(queues: Iterable[tuple[str, str | None]]) -> Iterable[tuple[str, str]]:
    """What is not there is the handler's to say."""
    return ((job_id, queue) for job_id, queue in queues if queue is not None)
