"""events and subscribe: the journal, read by whoever follows it.

With `events` the client asks for a page when it has use for one. With `subscribe` it is told by itself, one
notification for each event. Both read from the journal, at the client's pace: of a client that takes nothing more the
daemon keeps the place and the page that it has not taken yet, and looks for the next one when it has. So nobody is too
slow: nothing is buffered, nothing overflows, and nobody else is kept waiting. (To hand events over as they are
committed would be one read less, and need a buffer, and something to do when it is full.)
"""

from collections.abc import AsyncGenerator

import msgspec
import trio
from msgspec import UNSET, Raw

from protocol.control import EventDataView, EventsParams, EventsView, EventView, GapView, PlaceView, SubscribeParams
from protocol.times import to_rfc3339
from supervisor.control.access import Demand
from supervisor.control.complaints import cut, hint
from supervisor.control.context import Context
from supervisor.control.cursors import decode_place, encode_place
from supervisor.control.durations import check_secs
from supervisor.control.limits import MAX_EVENTS
from supervisor.control.rpc import HangUp, Streaming, encode_notification
from supervisor.core.journal import JobEvent, Kind, Wanted
from supervisor.core.roles import Role
from supervisor.errors import Gone, Invalid, StoreUnavailable
from supervisor.store.port import EventPage

PAGE = 250  # events that a subscriber is told at once, and the most that he makes the daemon hold
PLACE_SECS = 30.0  # after which he is told how far he is, if none of it was for him
AGAIN_SECS = 1.0  # after a read that failed


async def events(context: Context, params: EventsParams) -> Raw:
    check_secs("wait_secs", params.wait_secs, positive=False)
    if not 1 <= params.limit <= MAX_EVENTS:
        raise Invalid(f"limit: must be between 1 and {MAX_EVENTS}")
    after = _since(params)
    want = await _wanted(context, params)
    if params.last is not None:
        after = await context.service.telling.place(None, last=params.last)
    wait = params.wait_secs or 0.0
    _, answer = await context.service.telling.events(after, limit=params.limit, want=want, wait=wait, tell=_answer)
    if _may_follow(context, want):
        return answer
    if params.queue is not None:  # the rules have changed meanwhile
        context.caller.demand(Demand("events", Role.LOOK), params.queue)
    return await events(context, params)


async def subscribe(context: Context, params: SubscribeParams) -> Streaming:
    after = _since(params)
    want = await _wanted(context, params)
    place = await context.service.telling.place(after, last=params.last)
    return Streaming(PlaceView(cursor=encode_place(place)), _follow(context, place, want))


async def _follow(context: Context, place: int, want: Wanted) -> AsyncGenerator[bytes, None]:
    """Notifications, some at a time, without end."""
    read = context.service.telling.events
    while True:
        try:
            page, told = await read(place, limit=PAGE, want=want, wait=PLACE_SECS, tell=_notify)
        except Gone as gone:
            first = gone.data["first"]
            assert isinstance(first, int)
            yield _gap(place, first)
            place = first - 1
        except StoreUnavailable:  # nothing is lost by waiting
            await trio.sleep(AGAIN_SECS)
        else:
            if not _may_follow(context, want):  # the rules have changed: by the new ones he may begin again
                raise HangUp
            if page.last > place:
                yield told
            place = page.last


def _may_follow(context: Context, want: Wanted) -> bool:
    caller = context.caller
    return caller.sight == want.sight if want.queue is None else caller.sees(want.queue)


def _answer(page: EventPage) -> Raw:
    events = [event_view(event) for event in page.events]
    return Raw(msgspec.json.encode(EventsView(events=events, next=encode_place(page.last), more=page.more)))


def _notify(page: EventPage) -> bytes:
    if not page.events:
        return encode_notification("place", PlaceView(cursor=encode_place(page.last)))
    return b"".join(encode_notification("event", event_view(event)) for event in page.events)


def _gap(place: int, first: int) -> bytes:
    return encode_notification("gap", GapView(cursor=encode_place(first - 1), missed=first - 1 - place, first=first))


def _since(params: SubscribeParams) -> int | None:
    if params.last is not None and (params.last < 0 or params.since is not None):
        raise Invalid("last: must not be negative, and does not go with since")
    return None if params.since is None else decode_place(params.since)


async def _wanted(context: Context, params: SubscribeParams) -> Wanted:
    """Raises Invalid, and UnknownQueue: who follows a misspelled one would wait for ever."""
    names = [params.kind] if isinstance(params.kind, str) else params.kind or []
    kinds = tuple(dict.fromkeys(map(_kind, names)))
    if params.queue is not None:
        await context.service.known(params.queue)
    return Wanted(job=params.job, queue=params.queue, kinds=kinds, sight=context.caller.sight)


def _kind(name: str) -> Kind:
    try:
        return Kind(name)
    except ValueError:
        raise Invalid(f'kind: there is none called "{cut(name)}"{hint(name, Kind)}') from None


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
