"""Which jobs a call means: its filter, checked, and what it does to them all."""

from protocol.control import FilterParams, ManyParams, ManyView, PurgeParams
from protocol.times import from_rfc3339
from supervisor.control.complaints import cut, hint
from supervisor.control.context import Context
from supervisor.core.job import Cause, State
from supervisor.core.sweep import TAKES, Act, unless_said
from supervisor.errors import Invalid
from supervisor.store.port import Filter


async def retry_many(context: Context, params: ManyParams) -> ManyView:
    return await _sweep(context, Act.RETRY, _meant(Act.RETRY, params), params.dry_run)


async def cancel_many(context: Context, params: ManyParams) -> ManyView:
    return await _sweep(context, Act.CANCEL, _meant(Act.CANCEL, params), params.dry_run)


async def delete_many(context: Context, params: ManyParams) -> ManyView:
    return await _sweep(context, Act.DELETE, _meant(Act.DELETE, params), params.dry_run)


async def purge(context: Context, params: PurgeParams) -> ManyView:
    states = _taken(Act.DELETE, to_states(params.state)) or (State.PENDING,)
    return await _sweep(context, Act.DELETE, Filter(queue=params.queue, states=states), params.dry_run)


async def _sweep(context: Context, act: Act, want: Filter, dry_run: bool) -> ManyView:
    swept = await context.service.sweep(act, want, dry_run=dry_run)
    return ManyView(matched=swept.matched, changed=swept.changed, skipped=swept.skipped, dry_run=dry_run)


def _meant(act: Act, params: ManyParams) -> Filter:
    """A filter that is empty by mistake (a variable that is not set) would mean every job there is."""
    want = to_filter(params)
    if params.all != (want == Filter()):
        if params.all:
            raise Invalid("all: not together with a filter, which says which ones; give one of them")
        raise Invalid(f"params: which jobs? Give a filter, such as queue, or all: true to {act} every one")
    if act is Act.CANCEL:
        _of_no_job_to_cancel(params)
    return to_filter(params, _taken(act, want.states) or unless_said(act, want.cause))


def _of_no_job_to_cancel(params: ManyParams) -> None:
    """What only jobs have that are over matches none of those that can be cancelled: to say so is better than 0."""
    for name in ("cause", "finished_after", "finished_before"):
        if getattr(params, name) is not None:
            raise Invalid(f"{name}: jobs that wait or run have none, and no others can be cancelled: leave it out")


def _taken(act: Act, states: tuple[State, ...]) -> tuple[State, ...]:
    for state in states:
        if state not in TAKES[act]:
            advice = ": cancel them first" if state is State.RUNNING else ""
            raise Invalid(f"state: {state} jobs cannot be {_DONE[act]}, only {', '.join(TAKES[act])} ones{advice}")
    return states


_DONE = {Act.RETRY: "retried", Act.CANCEL: "cancelled", Act.DELETE: "deleted"}


def to_filter(params: FilterParams, states: tuple[State, ...] | None = None) -> Filter:
    """`states` in place of those that it says. Raises Invalid."""
    return Filter(
        queue=params.queue,
        states=to_states(params.state) if states is None else states,
        tag=params.tag,
        client=params.client,
        name=params.name,
        cause=None if params.cause is None else _cause(params.cause),
        created_after=_instant("created_after", params.created_after),
        created_before=_instant("created_before", params.created_before),
        finished_after=_instant("finished_after", params.finished_after),
        finished_before=_instant("finished_before", params.finished_before),
    )


def to_states(names: str | list[str] | None) -> tuple[State, ...]:
    """None and an empty list are all states."""
    wanted = [names] if isinstance(names, str) else names or []
    return tuple(dict.fromkeys(map(_state, wanted)))


def _state(name: str) -> State:
    try:
        return State(name)
    except ValueError:
        raise Invalid(f'state: there is none called "{cut(name)}"{hint(name, State)}') from None


def _cause(name: str) -> Cause:
    try:
        return Cause(name)
    except ValueError:
        raise Invalid(f'cause: there is none called "{cut(name)}"{hint(name, Cause)}') from None


def _instant(name: str, text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return from_rfc3339(text)
    except ValueError:
        raise Invalid(
            f'{name}: expected RFC 3339 with an offset or Z, as in "2030-01-31T12:00:00Z", got "{cut(text)}"'
        ) from None
