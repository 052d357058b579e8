"""The methods that look at batches and end them. How one comes in is in `batch_submits`, what comes out in
`batch_lines`.
"""

from protocol.batches import (
    BatchGcParams,
    BatchGcView,
    BatchListParams,
    BatchListView,
    BatchParams,
    BatchView,
)
from protocol.control import DeletedView
from supervisor.batch.words import BatchState, Status
from supervisor.control.batch_views import batch_view
from supervisor.control.complaints import cut, hint, no_batch
from supervisor.control.context import Context
from supervisor.control.cursors import decode_batch, encode_batch
from supervisor.control.durations import check_secs
from supervisor.control.limits import MAX_PAGE
from supervisor.errors import Invalid, NotFound


def seen_batch(context: Context, batch_id: str) -> Status:
    """Raises NotFound, in the same words for one that is not there and for one that is hidden from the caller."""
    try:
        status = context.service.batches.get(batch_id)
    except NotFound:
        raise no_batch(batch_id) from None
    if not context.caller.sees(status.queue):
        raise no_batch(batch_id)
    return status


def shown(context: Context, status: Status, *, created: bool | None = None) -> BatchView:
    folder = context.service.batches.folder(status.id)
    return batch_view(status, folder) if created is None else batch_view(status, folder, created=created)


def batch_get(context: Context, params: BatchParams) -> BatchView:
    return shown(context, seen_batch(context, params.id))


def batch_list(context: Context, params: BatchListParams) -> BatchListView:
    if not 1 <= params.limit <= MAX_PAGE:
        raise Invalid(f"limit: must be between 1 and {MAX_PAGE}")
    page, total, before = context.service.batches.list(
        limit=params.limit,
        before=None if params.cursor is None else decode_batch(params.cursor),
        queue=params.queue,
        states=_states(params.state),
        sees=context.caller.sees,
    )
    batches = [shown(context, status) for status in page]
    return BatchListView(batches=batches, total=total, next=None if before is None else encode_batch(before))


async def batch_cancel(context: Context, params: BatchParams) -> BatchView:
    seen_batch(context, params.id)
    status = await context.service.batches.cancel(params.id)
    if not context.caller.sees(status.queue):  # the rules have changed meanwhile
        raise no_batch(params.id)
    return shown(context, status)


async def batch_delete(context: Context, params: BatchParams) -> DeletedView:
    """Also what this connection has begun to send, and will not finish."""
    reception = context.parts.get(params.id)
    if reception is not None:
        await reception.drop()
        return DeletedView()
    seen_batch(context, params.id)
    await context.service.batches.delete(params.id)
    return DeletedView()


async def batch_gc(context: Context, params: BatchGcParams) -> BatchGcView:
    check_secs("older_than_secs", params.older_than_secs, positive=False)
    states = _states(params.state)
    for state in states:
        if not state.final:
            final = ", ".join(one for one in BatchState if one.final)
            raise Invalid(f"state: {state} batches cannot be deleted, only {final} ones: cancel them first")
    _check_queue(context, params.queue)
    ids = await context.service.batches.gc(
        older_than=params.older_than_secs,
        states=states,
        queue=params.queue,
        dry_run=params.dry_run,
        sees=context.caller.sees,
    )
    return BatchGcView(ids=list(ids), count=len(ids), dry_run=params.dry_run)


def _check_queue(context: Context, queue: str | None) -> None:
    """Raises UnknownQueue for one of which there is neither a configuration nor a batch: who misspells it every night
    would never hear of it."""
    if queue is not None and not context.service.batches.list(limit=1, queue=queue)[1]:
        context.service.queue(queue)


def _states(names: str | list[str] | None) -> tuple[BatchState, ...]:
    """None and an empty list are all states."""
    wanted = [names] if isinstance(names, str) else names or []
    return tuple(dict.fromkeys(map(_state, wanted)))


def _state(name: str) -> BatchState:
    try:
        return BatchState(name)
    except ValueError:
        raise Invalid(f'state: there is none called "{cut(name)}"{hint(name, BatchState)}') from None
