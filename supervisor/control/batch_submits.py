"""batch_submit: a file that the daemon opens for the caller, or what he sends of it, at once or in parts.

The parts of a connection are taken one after the other, each when the one before it is on its way to the disk: what a
client sends faster stays with him.
"""

from binascii import Error as BadBase64
from binascii import a2b_base64

import trio
from msgspec import Raw

from protocol.batches import BatchSubmitParams, BatchView, ReceivingView
from protocol.control import SubmitParams
from supervisor.batch.words import NewBatch, Status
from supervisor.control.batching import shown
from supervisor.control.complaints import cut
from supervisor.control.context import Context
from supervisor.control.opening import OpenFile, open_for
from supervisor.control.receiving import MOST, Reception
from supervisor.control.submits import new_job
from supervisor.errors import Conflict, Invalid, TooLarge

PIECE = 256 * 1024  # bytes of a file that are read at once
_PRIORITY = -10  # so that single jobs go first
_OF_THE_FIRST = ("queue", "path", "name", "priority", "timeout_secs", "max_attempts", "tags", "client", "key")
# Threads that a file server or FUSE may keep: none that others of the daemon wait for.
_opening = trio.CapacityLimiter(MOST)


async def batch_submit(context: Context, params: BatchSubmitParams) -> BatchView | ReceivingView:
    if params.batch is not None:
        return await _further(context, params, params.batch)
    want = _wanted(context, params)
    if params.path is not None:
        return await _from_path(context, want, params.path)
    data = _data(params)
    begun = await context.parts.begin(context.service.batches, want)
    if isinstance(begun, Status):
        return _earlier(context, begun)
    return await _take(context, begun, data, more=params.more)


def in_turn(params: BatchSubmitParams) -> bool:
    """A path's file may take long to read, and none of it is in the client's hands."""
    return params.path is None


async def _further(context: Context, params: BatchSubmitParams, batch_id: str) -> BatchView | ReceivingView:
    for name in _OF_THE_FIRST:
        if getattr(params, name) is not None:
            raise Invalid(f"{name}: not together with batch, which has heard it in its first part")
    reception = context.parts.find(batch_id)
    return await _take(context, reception, _data(params), more=params.more)


async def _take(context: Context, reception: Reception, data: bytes, *, more: bool) -> BatchView | ReceivingView:
    await reception.append(data)
    if more:
        return ReceivingView(id=reception.id, bytes=reception.bytes)
    return shown(context, await reception.finish(), created=True)


async def _from_path(context: Context, want: NewBatch, path: str) -> BatchView:
    begun = await context.parts.begin(context.service.batches, want)
    if isinstance(begun, Status):
        return _earlier(context, begun)
    try:
        peer = context.caller.peer
        file = await trio.to_thread.run_sync(open_for, peer, path, abandon_on_cancel=True, limiter=_opening)
        _check_size(file, context.service.config.batches.max_bytes)
        await _copy(file, begun, path)
    except BaseException:
        await begun.drop()
        raise
    return shown(context, await begun.finish(), created=True)


def _check_size(file: OpenFile, most: int) -> None:
    """Before any of it is copied, only to be thrown away again."""
    if file.size > most:
        raise TooLarge(
            f"path: the file has {file.size} bytes, and a batch at most {most} (batches.max_bytes): split it, or raise "
            "the limit",
            size=file.size,
            limit=most,
        )


async def _copy(file: OpenFile, reception: Reception, path: str) -> None:
    while reception.bytes < file.size:
        try:
            data = await trio.to_thread.run_sync(
                file.read, reception.bytes, PIECE, abandon_on_cancel=True, limiter=_opening
            )
        except OSError as error:
            raise Invalid(f'path: "{cut(path)}" cannot be read: {error.strerror}') from None
        if not data:  # it has become shorter
            return
        await reception.append(data)


def _earlier(context: Context, status: Status) -> BatchView:
    """That was made with the same client and key."""
    if not context.caller.sees(status.queue):
        raise Conflict("key: a batch of a queue that you may not look at has it for this client: use another one")
    return shown(context, status, created=False)


def _wanted(context: Context, params: BatchSubmitParams) -> NewBatch:
    """Raises Invalid and UnknownQueue. What holds for a job's parameters holds for the batch's: its jobs get them."""
    if params.queue is None:
        raise Invalid("queue: required, but missing (or batch, for a further part)")
    given = (params.path, params.lines, params.base64)
    if given.count(None) != 2 or (params.path is not None and params.more):
        raise Invalid("lines: give one of path, lines and base64; more goes with the last two only")
    priority = _PRIORITY if params.priority is None else params.priority
    tags = params.tags or ()
    job = SubmitParams(
        queue=params.queue,
        payload=Raw(b"0"),
        priority=priority,
        timeout_secs=params.timeout_secs,
        max_attempts=params.max_attempts,
        client=params.client,
        key=params.key,
        name=params.name,
        tags=tags,
    )
    new_job(job, context.service.queue(params.queue), context.now())
    return NewBatch(
        queue=params.queue,
        name=params.name,
        priority=priority,
        timeout=params.timeout_secs,
        max_attempts=params.max_attempts,
        tags=tags,
        client=params.client,
        key=params.key,
        submitted_by=context.caller.peer.uid,
    )


def _data(params: BatchSubmitParams) -> bytes:
    """Of a part. Raises Invalid, and the batch is as it was."""
    match params.lines, params.base64:
        case str(lines), None:
            return lines.encode()
        case None, str(text):
            try:
                return a2b_base64(text, strict_mode=True)
            except (BadBase64, ValueError) as error:
                raise Invalid(f"base64: {error}; each part is encoded by itself, without line ends") from None
    raise Invalid("lines: give either lines or base64")
