"""get, wait and list: the methods whose answers can be big."""

from collections.abc import Sequence

from msgspec.structs import replace

from protocol.control import (
    GetParams,
    JobsView,
    JobView,
    ListParams,
    ListView,
    RunningParams,
    RunningView,
    WaitParams,
)
from supervisor.control.complaints import no_job
from supervisor.control.context import Context
from supervisor.control.cursors import decode_cursor, encode_cursor
from supervisor.control.durations import check_secs
from supervisor.control.limits import MAX_PAGE, check_weight, too_many
from supervisor.control.seeing import merged
from supervisor.control.selecting import to_filter
from supervisor.control.views import job_view, job_views
from supervisor.control.waiting import WAIT_ADVICE
from supervisor.core.job import Job
from supervisor.errors import Invalid, TimedOut
from supervisor.store.port import Filter, Page

LIST_ADVICE = "use a smaller limit, or leave full out"


async def get(context: Context, params: GetParams) -> JobView:
    service = context.service
    match params.id, params.client, params.key:
        case str(id), None, None:
            return job_view(await service.get(id), service.config)
        case None, str(client), str(key):
            return job_view(await service.find(client, key), service.config)
    raise Invalid("id: give either id, or client and key together")


async def wait(context: Context, params: WaitParams) -> JobView | JobsView:
    check_secs("timeout_secs", params.timeout_secs, positive=False)
    match params.id, params.ids:
        case str(id), None:
            [job] = await _final(context, [id], params.timeout_secs)
            return job_view(job, context.service.config)
        case None, list(ids):
            jobs = await _final(context, ids, params.timeout_secs) if ids else []
            return JobsView(jobs=job_views(jobs, context.service.config))
    raise Invalid("id: give either id or ids")


async def _final(context: Context, ids: list[str], timeout: float | None) -> Sequence[Job]:
    service = context.service
    limit = service.config.daemon.max_jobs
    if len(ids) > limit:
        raise too_many("ids", len(ids), limit)
    try:
        jobs = await service.wait(ids, timeout)
    except TimedOut as late:
        jobs = late.data.get("jobs", ())  # type: ignore[assignment]  # the service's own Jobs
        check_weight(jobs, WAIT_ADVICE)
        _check_sight(context, jobs)
        raise TimedOut(late.message, jobs=job_views(jobs, service.config)) from None
    check_weight(jobs, WAIT_ADVICE)
    _check_sight(context, jobs)
    return jobs


def _check_sight(context: Context, jobs: Sequence[Job]) -> None:
    """They were waited for, and the rules may have changed meanwhile."""
    sight = context.caller.sight
    if sight is not None:
        for job in jobs:
            if not sight.shows(job.queue):
                raise no_job(job.id)


async def list_jobs(context: Context, params: ListParams) -> ListView:
    _check_limit(params.limit)
    want = to_filter(params)
    before = None if params.cursor is None else decode_cursor(params.cursor)
    page = await _page(context, want, limit=params.limit, before=before, full=params.full)
    check_weight(page.jobs, LIST_ADVICE)
    return ListView(
        jobs=job_views(page.jobs, context.service.config, full=params.full),
        total=page.total,
        next=None if page.next_seq is None else encode_cursor(page.next_seq),
    )


async def _page(context: Context, want: Filter, *, limit: int, before: int | None, full: bool) -> Page:
    service, sight = context.service, context.caller.sight
    if sight is None or want.queue is not None:
        return await service.list_jobs(want, limit=limit, before=before, full=full)
    # Queue by queue: each is a short read with an index of its own, and what is hidden is not even looked at.
    page = Page(jobs=(), total=0, next_seq=None)
    for queue in filter(sight.shows, await service.names()):
        more = await service.list_jobs(replace(want, queue=queue), limit=limit, before=before, full=full)
        page = merged(page, more, limit)
    return page


async def running(context: Context, params: RunningParams) -> RunningView:
    _check_limit(params.limit)
    jobs, total = await context.service.running(params.queue, params.limit, context.caller.sight)
    return RunningView(jobs=job_views(jobs, context.service.config, full=False), total=total)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(f"limit: must be between 1 and {MAX_PAGE}")
