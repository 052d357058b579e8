"""events: the journal, read page by page by whoever follows it.

The client asks for the next page when it has use for it, and says how long it would wait for one. So one that is slow
needs no buffer here, keeps nobody else waiting, and misses nothing: the journal is where it goes on, after a break of
the connection or of the daemon too. (Notifications that are pushed need a buffer, and something to do when it is full.)
"""

from msgspec import UNSET, Raw

from protocol.control import EventDataView, EventsParams, EventsView, EventView
from supervisor.control.context import Context
from supervisor.control.cursors import decode_place, encode_place
from supervisor.control.durations import check_secs
from supervisor.control.limits import MAX_EVENTS
from supervisor.control.times import to_rfc3339
from supervisor.core.journal import JobEvent
from supervisor.errors import Invalid


async def events(context: Context, params: EventsParams) -> EventsView:
    check_secs("wait_secs", params.wait_secs, positive=False)
    if not 1 <= params.limit <= MAX_EVENTS:
        raise Invalid(f"limit: must be between 1 and {MAX_EVENTS}")
    if params.last is not None and (params.last < 0 or params.since is not None):
        raise Invalid("last: must not be negative, and does not go with since")
    page = await context.service.events(
        None if params.since is None else decode_place(params.since),
        last=params.last,
        limit=params.limit,
        job=params.job,
        queue=params.queue,
        wait=params.wait_secs or 0.0,
    )
    return EventsView(events=[event_view(one) for one in page.events], next=encode_place(page.last), more=page.more)


def event_view(event: JobEvent) -> EventView:
    return EventView(
        cursor=encode_place(event.n),
        at=to_rfc3339(event.at),
        job=event.job,
        queue=event.queue,
        kind=event.kind.value,
        data=EventDataView(
            attempt=event.attempt,
            run_at=UNSET if event.run_at is None else to_rfc3339(event.run_at),
            cause=UNSET if event.cause is None else event.cause,
            progress=UNSET if event.progress is None else Raw(event.progress),
        ),
    )
