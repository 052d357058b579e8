"""The table of methods: what each takes, and the function that does it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from protocol.batches import BatchGcParams, BatchListParams, BatchOutputParams, BatchParams, BatchSubmitParams
from protocol.control import (
    INVALID_PARAMS,
    PARSE_ERROR,
    EventsParams,
    GetParams,
    JobParams,
    ListParams,
    ManyParams,
    NoParams,
    Params,
    PoolParams,
    PoolsParams,
    PurgeParams,
    QueueParams,
    QueuesParams,
    ResizeParams,
    RunningParams,
    SubmitManyParams,
    SubmitParams,
    SubscribeParams,
    WaitParams,
)
from protocol.text import BadText, compact
from supervisor.control import (
    batch_lines,
    batch_submits,
    batching,
    following,
    handlers,
    reading,
    selecting,
    submitting,
    waiting,
)
from supervisor.control.complaints import explain
from supervisor.control.context import Context
from supervisor.control.guarding import (
    Guard,
    all_queues,
    anywhere,
    batch_or_part,
    found_job,
    matching,
    named_queue,
    one_batch,
    one_job,
    one_queue,
    some_jobs,
    whole,
)
from supervisor.control.rpc import BadCall
from supervisor.core.roles import Role

P = TypeVar("P", bound=Params)
_NULL = Raw(b"null")
_LOOK, _SUBMIT, _ADMIN = Role


def _no(params: object) -> bool:
    return False


def _yes(params: object) -> bool:
    return True


class Method(Generic[P]):
    """`run` gives the result, or a coroutine of it where there is something to wait for.

    `compact`: the params hold payloads, which are kept without white space. `in_turn` tells by the params whether a
    connection's next request is taken up after this one's answer only, so that big answers are not made faster than
    they are read. `lasting`: it waits for something to happen, and a daemon that stops does not wait for it. `role` is
    what it takes in all queues; of one who has it in some only `guard` tells what the call is about. `advice` is for
    who asked for more than an answer can hold.
    """

    __slots__ = ("_compact", "_decode", "_params", "advice", "guard", "in_turn", "lasting", "role", "run")

    def __init__(
        self,
        params: type[P],
        run: Callable[[Context, P], object],
        role: Role,
        guard: Guard,
        *,
        compact: bool = False,
        in_turn: Callable[[P], bool] = _no,
        lasting: bool = False,
        advice: str = "list shows the job without its payload and result",
    ) -> None:
        self.run = run
        self.role = role
        self.guard = guard
        self.in_turn = in_turn
        self.lasting = lasting
        self.advice = advice
        self._params = params
        self._compact = compact
        self._decode = msgspec.json.Decoder(params).decode

    def decode(self, params: Raw) -> P:
        """Raises BadCall."""
        try:
            # Once for all the jobs of a submit_many: one by one is as much work again as the rest of decoding.
            return self._decode(compact(bytes(params)) if self._compact else params)
        except msgspec.ValidationError as error:
            if params == _NULL:  # many libraries write the params they do not have
                return self.decode(Raw(b"{}"))
            raise BadCall(INVALID_PARAMS, self._complaint(params, error)) from None
        except BadText as error:
            raise BadCall(PARSE_ERROR, f"params: {error}") from None

    def _complaint(self, params: Raw, error: msgspec.ValidationError) -> str:
        if bytes(params).startswith(b"["):
            return "params: expected an object, got a list; there are no positional parameters, so give them by name"
        return explain(error, self._params)


METHODS: Mapping[str, Method[Any]] = MappingProxyType(
    {
        "ping": Method(NoParams, handlers.ping, _LOOK, anywhere),
        "submit": Method(SubmitParams, submitting.submit, _SUBMIT, one_queue, compact=True),
        "submit_many": Method(
            SubmitManyParams, submitting.submit_many, _SUBMIT, all_queues, compact=True, advice="submit fewer at a time"
        ),
        "get": Method(GetParams, reading.get, _LOOK, found_job, in_turn=_yes),
        "wait": Method(WaitParams, reading.wait, _LOOK, some_jobs, lasting=True, advice=waiting.WAIT_ADVICE),
        "list": Method(ListParams, reading.list_jobs, _LOOK, named_queue, in_turn=_yes, advice=reading.LIST_ADVICE),
        "events": Method(
            EventsParams,
            following.events,
            _LOOK,
            named_queue,
            in_turn=lambda params: not params.wait_secs,  # who waits for something may ask for other things meanwhile
            lasting=True,
            advice="use a smaller limit",
        ),
        "subscribe": Method(SubscribeParams, following.subscribe, _LOOK, named_queue, lasting=True),
        "running": Method(RunningParams, reading.running, _LOOK, named_queue, in_turn=_yes, advice=reading.LIST_ADVICE),
        "position": Method(JobParams, handlers.position, _LOOK, one_job),
        "cancel": Method(JobParams, handlers.cancel, _SUBMIT, one_job),
        "retry": Method(JobParams, handlers.retry, _SUBMIT, one_job),
        "delete": Method(JobParams, handlers.delete, _SUBMIT, one_job),
        "retry_many": Method(ManyParams, selecting.retry_many, _SUBMIT, matching),
        "cancel_many": Method(ManyParams, selecting.cancel_many, _SUBMIT, matching),
        "delete_many": Method(ManyParams, selecting.delete_many, _SUBMIT, matching),
        "queues": Method(QueuesParams, handlers.queues, _LOOK, named_queue),
        "pause": Method(QueueParams, handlers.pause, _ADMIN, one_queue),
        "resume": Method(QueueParams, handlers.resume, _ADMIN, one_queue),
        "purge": Method(PurgeParams, selecting.purge, _ADMIN, one_queue),
        "pools": Method(PoolsParams, handlers.pools, _LOOK, anywhere),
        "workers": Method(PoolsParams, handlers.workers, _LOOK, anywhere),
        "restart": Method(PoolParams, handlers.restart, _ADMIN, whole, lasting=True),
        "resize": Method(ResizeParams, handlers.resize, _ADMIN, whole),
        "reload": Method(NoParams, handlers.reload, _ADMIN, whole, lasting=True),
        "status": Method(NoParams, handlers.status, _LOOK, anywhere),
        "drain": Method(NoParams, handlers.drain, _ADMIN, whole, lasting=True),
        "batch_submit": Method(
            BatchSubmitParams, batch_submits.batch_submit, _SUBMIT, batch_or_part, in_turn=batch_submits.in_turn
        ),
        "batch_get": Method(BatchParams, batching.batch_get, _LOOK, one_batch),
        "batch_list": Method(BatchListParams, batching.batch_list, _LOOK, named_queue, advice="use a smaller limit"),
        "batch_cancel": Method(BatchParams, batching.batch_cancel, _SUBMIT, one_batch),
        "batch_output": Method(BatchOutputParams, batch_lines.batch_output, _LOOK, one_batch, lasting=True),
        "batch_delete": Method(BatchParams, batching.batch_delete, _SUBMIT, one_batch),
        "batch_gc": Method(BatchGcParams, batching.batch_gc, _SUBMIT, matching, advice="name a state or a queue"),
        "backup": Method(NoParams, handlers.backup, _ADMIN, whole, lasting=True),
    }
)
