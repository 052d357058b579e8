"""The methods that say yes or no, or show how things stand: each only translates between params, service and view."""

from msgspec.structs import replace

from protocol.control import (
    BackupView,
    DeletedView,
    DrainView,
    JobParams,
    JobView,
    NoParams,
    PingView,
    PoolParams,
    PoolsParams,
    PoolsView,
    PoolView,
    PositionView,
    QueueParams,
    QueuesParams,
    QueuesView,
    QueueView,
    ReloadView,
    ResizeParams,
    RestartView,
    StatusView,
    WorkersView,
)
from supervisor.control.backups import PATIENCE
from supervisor.control.context import Context
from supervisor.control.limits import caps
from supervisor.control.rpc import Streaming
from supervisor.control.seeing import role_view, seen, seen_pool, seen_status, seen_worker
from supervisor.control.views import job_view


def ping(context: Context, params: NoParams) -> PingView:
    reach = context.caller.reach
    queues = {queue: role_view(role) for queue, role in sorted(reach.queues.items())}
    return PingView(version=context.service.version, role=role_view(reach.daemon), queues=queues)


async def position(context: Context, params: JobParams) -> PositionView:
    place = await context.service.position(params.id)
    return PositionView(ahead=place.ahead, active=place.active)


async def cancel(context: Context, params: JobParams) -> JobView:
    return job_view(await context.service.cancel(params.id), context.service.config)


async def retry(context: Context, params: JobParams) -> JobView:
    return job_view(await context.service.retry(params.id), context.service.config)


async def delete(context: Context, params: JobParams) -> DeletedView:
    await context.service.delete(params.id)
    return DeletedView()


async def queues(context: Context, params: QueuesParams) -> QueuesView:
    return QueuesView(queues=seen(await context.service.queues(params.queue), context.caller.sight))


async def pause(context: Context, params: QueueParams) -> QueueView:
    return await context.service.pause(params.queue)


async def resume(context: Context, params: QueueParams) -> QueueView:
    return await context.service.resume(params.queue)


def pools(context: Context, params: PoolsParams) -> PoolsView:
    return PoolsView(pools=[seen_pool(pool, context.caller.sight) for pool in context.service.pools(params.pool)])


def workers(context: Context, params: PoolsParams) -> WorkersView:
    workers, sight, queue_of = context.service.workers(params.pool), context.caller.sight, context.service.works_on
    return WorkersView(workers=[seen_worker(worker, sight, queue_of) for worker in workers])


async def restart(context: Context, params: PoolParams) -> RestartView:
    return await context.service.restart(params.pool)


def resize(context: Context, params: ResizeParams) -> PoolView:
    return context.service.resize(params.pool, *caps(params))


async def reload(context: Context, params: NoParams) -> ReloadView:
    return await context.service.reload()


async def status(context: Context, params: NoParams) -> StatusView:
    view, sight = await context.service.status(), context.caller.sight
    if sight is None:
        return view
    return replace(seen_status(view, sight), batches=context.service.batches.view(sight.shows))


async def drain(context: Context, params: NoParams) -> DrainView:
    await context.service.drain()
    return DrainView()


async def backup(context: Context, params: NoParams) -> Streaming:
    backups = context.service.backups
    size = await backups.check()
    return Streaming(BackupView(version=context.service.version, bytes=size), backups.lines(), PATIENCE)
