"""The jobs of batches that a start of the daemon finds in the store, and those of one that is not there any more."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import structlog
import trio

from supervisor.batch.doomed import Doomed
from supervisor.batch.ids import is_id
from supervisor.batch.runner import Runner
from supervisor.batch.surroundings import CLIENT, Surroundings
from supervisor.core.job import Job
from supervisor.errors import StokerError, StoreUnavailable
from supervisor.store.port import Filter, Page, Reader, Store

log = structlog.get_logger("stoker.batches")

_PAGE = 500  # jobs


async def take_up(around: Surroundings, runners: Mapping[str, Runner], leave: Collection[str]) -> None:
    """Those of `runners` are given to them. The jobs of all other batches are deleted, since nobody will ever ask for
    them, but for those in `leave`, whose folders somebody may yet repair. Raises StoreUnavailable."""
    for client in await around.read(lambda reader: reader.clients(CLIENT)):
        batch_id = client.removeprefix(CLIENT)
        if not is_id(batch_id):  # a client that calls itself so since before there were batches
            continue
        jobs = await _jobs(around, client)
        runner = runners.get(batch_id)
        if runner is not None:
            runner.expect(jobs)
            try:
                await runner.prepare()
            except StoreUnavailable as error:  # no reason for others not to begin: it tries again
                log.error("batch_not_open", batch=batch_id, reason=error.message)
            except StokerError as error:
                runner.started, runner.broken = True, error.message
                log.error("batch_stuck", batch=batch_id, reason=error.message)
        elif batch_id not in leave:
            log.warning("batch_jobs_deleted", batch=batch_id, jobs=len(jobs))
            for start in range(0, len(jobs), _PAGE):
                ids = [job.id for job in jobs[start : start + _PAGE]]
                await around.committer.write(partial(_delete, ids=ids, now=around.now()))


async def end(around: Surroundings, batch_id: str) -> None:
    """Of a batch that is not there any more no job is in the store when this returns, whatever it takes."""
    doomed = Doomed(around, CLIENT + batch_id)
    while True:
        try:
            await around.committer.settle()  # what was handed over at the last moment
            await around.sweep(CLIENT + batch_id)
            jobs = await _jobs(around, CLIENT + batch_id)
        except StoreUnavailable:
            await trio.sleep(around.poll)
            continue
        if not jobs:
            return
        doomed.add(job.id for job in jobs)
        await doomed.gone()


async def _jobs(around: Surroundings, client: str) -> list[Job]:
    """Without what they carry: a batch has no more than its window of them."""
    found: list[Job] = []
    before: int | None = None
    while True:
        page = await around.read(partial(_page, client=client, before=before))
        found += page.jobs
        if page.next_seq is None:
            return found
        before = page.next_seq


def _page(reader: Reader, client: str, before: int | None) -> Page:
    return reader.list(Filter(client=client), limit=_PAGE, before=before, full=False)


def _delete(store: Store, ids: Sequence[str], now: int) -> None:
    store.delete(ids, now)
