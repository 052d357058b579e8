"""What the daemon can be asked to do: the store and the pools behind one facade, in the words of the protocol."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

import msgspec
import trio

from protocol.control import (
    BatchesView,
    PoolView,
    QueueView,
    ReloadView,
    RestartView,
    StatusView,
    StoreView,
    WorkerView,
)
from protocol.times import to_rfc3339
from supervisor.batch.batches import Batches
from supervisor.config.model import Config, QueueConfig
from supervisor.config.places import database_path
from supervisor.control.access import access_of
from supervisor.control.backups import Backups
from supervisor.control.complaints import cut, no_job
from supervisor.control.queue_view import queue_view
from supervisor.control.running import running_jobs
from supervisor.control.space import Space
from supervisor.control.sweeping import Sweeper
from supervisor.control.telling import Telling
from supervisor.control.waiting import queues_of, wait_for
from supervisor.core.access import Sight
from supervisor.core.admission import Full, retry_after
from supervisor.core.ends import MINUTE
from supervisor.core.job import Job, NewJob, OnConflict, State
from supervisor.core.sweep import TAKES, Act, Swept
from supervisor.errors import Conflict, NotFound, QueueFull, UnknownQueue
from supervisor.pool.feeder import Feeder
from supervisor.pool.pool import Pool
from supervisor.pool.replacing import replaces
from supervisor.pool.rolling import Restarted
from supervisor.store.committer import Committer
from supervisor.store.port import Changed, Filter, Page, Position, QueueCounts, Reader, Store, Submitted

T = TypeVar("T")

_EXISTING = OnConflict.EXISTING


class Reloader(Protocol):
    """What is behind the methods that read the configuration again."""

    async def restart(self, pool: Pool) -> Restarted:
        """With what the configuration says of it now."""

    async def reload(self) -> ReloadView: ...


class Service:
    """One for each daemon. `now` gives UTC microseconds; `reader` reads beside the writer, in a thread. `pools` may
    come and go. Without a `reloader` nothing is read again."""

    batches: Batches

    def __init__(
        self,
        config: Config,
        committer: Committer,
        reader: Reader,
        feeder: Feeder,
        pools: Collection[Pool],
        *,
        version: str,
        epoch: int,
        now: Callable[[], int],
        space: Space | None = None,
    ) -> None:
        self.config = config
        self.access = access_of(config, os.geteuid())
        self.version = version
        self.connections = 0
        self.space = space or Space(config.daemon.state_dir, reserve=0)
        self._committer = committer
        self._reader = reader
        self._reading = trio.Lock()
        self._feeder = feeder
        self.telling = Telling(committer, feeder, self._look)
        self.reloader: Reloader | None = None
        self.batches_view: Callable[[], BatchesView] = BatchesView
        self.backups = Backups(committer, self.space, database_path(config))
        self._pools = pools
        self._queues = {queue.name: queue for queue in config.queues}
        self._epoch = epoch
        self._now = now
        self._sweeper = Sweeper(committer, feeder, self._read, self._cancelled, now)
        self._started_at = now()
        self._started = time.monotonic()
        self._drained = trio.Event()
        feeder.emptied = self._nothing_runs

    def reconfigure(self, config: Config) -> None:
        """From now on this is what clients meet."""
        self.config = config
        self.access = access_of(config, os.geteuid())
        self._queues = {queue.name: queue for queue in config.queues}

    def expect_keys(self, queues: Sequence[QueueConfig]) -> None:
        """New jobs of these get their lanes already, though the rest of the policy is not in force yet."""
        for queue in queues:
            if queue.name in self._queues:
                self._queues[queue.name] = msgspec.structs.replace(
                    self._queues[queue.name],
                    rate_per_key=queue.rate_per_key,
                    concurrency_per_key=queue.concurrency_per_key,
                )

    # -- jobs ------------------------------------------------------------------------------------------------------

    def queue(self, name: str) -> QueueConfig:
        """Raises UnknownQueue, naming the known ones."""
        try:
            return self._queues[name]
        except KeyError:
            known = ", ".join(sorted(self._queues))
            raise UnknownQueue(
                f'there is no queue "{cut(name)}": the configuration has {known}', known=sorted(self._queues)
            ) from None

    async def known(self, queue: str) -> None:
        """Raises UnknownQueue for one that neither the configuration has nor any earlier one had."""
        if queue not in self._queues and queue not in await self._committer.read(lambda store: store.queues()):
            self.queue(queue)

    async def submit(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        """Returns when they are on disk. Raises QueueFull, and Conflict with the `index` of the job that it is about;
        then none of them is."""
        try:
            if [job for job in jobs if job.on_conflict is not _EXISTING]:
                return await self._submit_contested(jobs)
            return await self._committer.submit(
                jobs, self._now(), lambda answers: self._feeder.submitted(jobs, answers)
            )
        except QueueFull as refusal:
            raise self._with_advice(refusal) from None

    async def _submit_contested(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        """Whom they may replace begins no more, from the moment they are handed over."""
        values, feeder = replaces(jobs), self._feeder
        feeder.replacing.begin(values)
        return await self._committer.submit(
            jobs,
            self._now(),
            lambda answers: feeder.submitted(jobs, answers, values),
            lambda: feeder.replacing.failed(values),
            contested=True,
        )

    def _with_advice(self, refusal: QueueFull) -> QueueFull:
        full = msgspec.convert(refusal.data, Full)
        line = self._feeder.lines[full.queue]
        seconds = retry_after(full, line.ends.per_second(time.monotonic(), MINUTE).final)
        if seconds is None:
            return QueueFull(
                f"{refusal.message}, so that {full.wanted} at once never fit: submit fewer, or raise it", **refusal.data
            )
        advice = f"{refusal.message}: try again in {seconds:g} s"
        return QueueFull(advice, **{**refusal.data, "retry_after_secs": seconds})

    async def get(self, job_id: str) -> Job:
        job = (await self._committer.read(lambda store: store.get([job_id])))[0]
        if job is None:
            raise no_job(job_id)
        return self._with_progress(job)

    async def find(self, client: str, key: str) -> Job:
        job_id = await self._committer.read(lambda store: store.find(client, key))
        if job_id is None:
            raise NotFound(f'client "{cut(client)}" has no job with key "{cut(key)}"')
        return await self.get(job_id)

    async def wait(self, ids: Sequence[str], timeout: float | None) -> list[Job]:
        """The jobs in their final states, in the order of `ids`. Raises NotFound (also when one is deleted meanwhile)
        and TimedOut, whose data has the `jobs` that were final by then."""
        return await wait_for(ids, timeout, self._feeder.waiters, self._committer)

    async def list_jobs(self, want: Filter, *, limit: int, before: int | None, full: bool) -> Page:
        page = await self._read(lambda reader: reader.list(want, limit=limit, before=before, full=full))
        for job in page.jobs:
            self._with_progress(job)
        return page

    async def running(self, queue: str | None, limit: int, sight: Sight | None = None) -> tuple[list[Job], int]:
        """The jobs that have run for the longest, the first one first, and how many run in all; of those in `sight`."""
        if queue is not None:
            self.queue(queue)
        return await running_jobs(self._feeder, self._read, queue, limit, sight)

    def works_on(self, job_id: str) -> str | None:
        """The queue of a job that a worker has."""
        run = self._feeder.running.get(job_id)
        return None if run is None else run.row.queue

    async def names(self) -> list[str]:
        """Of all queues that the configuration has, or any earlier one had."""
        return sorted({*self._queues, *await self._committer.read(lambda store: store.queues())})

    async def queues_of(self, ids: Sequence[str]) -> list[tuple[str, str | None]]:
        """Each with its queue, or None where there is no such job."""
        return await queues_of(ids, self._committer)

    async def heads(self, seqs: Sequence[int]) -> Sequence[Job]:
        """Those of these jobs that are there, without what they carry, in no order."""
        return await self._read(lambda reader: reader.heads(seqs))

    async def position(self, job_id: str) -> Position:
        position = await self._read(lambda reader: reader.position(job_id))
        if position is None:
            raise no_job(job_id)
        return position

    async def cancel(self, job_id: str) -> Job:
        """Returns the job once it is final; one that was final already comes back unchanged."""
        while (run := self._feeder.running.get(job_id)) is not None:
            run.stop()
            await run.recorded()
        changed, job = await self._change(job_id, lambda store: store.cancel([job_id], self._now()))
        self._feeder.ended([job_id])
        assert job is not None
        if changed.changed:
            self._feeder.chronicle.cancelled([(job_id, job.queue)])
        return job

    async def retry(self, job_id: str) -> Job:
        """A failed, cancelled or expired job is pending again. Raises Conflict for any other."""
        verb = _Shown(job_id, lambda store: store.retry([job_id], self._now()))
        changed, job = await self._committer.write(verb, self._retried)
        if job is None:
            raise no_job(job_id)
        if changed.conflict is not None:
            raise Conflict(
                f"job {job_id} cannot be retried while job {changed.conflict} holds its unique value: "
                "wait for that one to end, or cancel it",
                holder=changed.conflict,
            )
        if not changed.changed:
            raise Conflict(f"job {job_id} is {changed.before}: only failed, cancelled and expired jobs can be retried")
        return job

    def _retried(self, answer: tuple[Changed, Job | None]) -> None:
        changed, job = answer
        if changed.changed and changed.queue is not None:
            if job is not None:
                self._feeder.chronicle.retried([(job.id, changed.queue)])
            self._feeder.reread([changed.queue])

    async def delete(self, job_id: str) -> None:
        """Raises Conflict for a running job."""
        if job_id in self._feeder.running:
            raise _running(job_id)
        changed, _ = await self._change(job_id, lambda store: store.delete([job_id], self._now()))
        if not changed.changed:
            raise _running(job_id)
        self._feeder.waiters.gone(job_id)

    async def _change(self, job_id: str, verb: Callable[[Store], list[Changed]]) -> tuple[Changed, Job | None]:
        """Cancel or delete a job that no child has; none gets it meanwhile. Returns it as that has left it."""
        self._feeder.hold(job_id)
        try:
            # Once handed over it will happen, whether or not the caller is still there to hear of it. The hold ends in
            # the order of the commits: a read that comes after it must find the job let go, or would leave it out.
            with trio.CancelScope(shield=True):
                changed, job = await self._committer.write(
                    _Shown(job_id, verb), lambda _: self._feeder.unhold(job_id, reread=False)
                )
        except BaseException:
            self._feeder.unhold(job_id, reread=True)
            raise
        if changed.before is None:
            raise no_job(job_id)
        return changed, job

    async def sweep(self, act: Act, want: Filter, *, dry_run: bool) -> Swept:
        """Retry, cancel or delete all jobs that match. Raises UnknownQueue for a queue that has neither a configuration
        nor jobs, and StoreUnavailable in the middle: what was done by then stays done."""
        if want.queue is not None and want.queue not in self._queues:
            known = await self._read(lambda reader: reader.counts())
            if want.queue not in {one.queue for one in known}:
                self.queue(want.queue)
        return await (self._sweeper.count(want) if dry_run else self._sweeper.sweep(act, want))

    async def cancel_all_of(self, client: str) -> Swept:
        """Returns when none of the client's jobs waits or runs any more."""
        return await self.sweep(Act.CANCEL, Filter(client=client, states=TAKES[Act.CANCEL]), dry_run=False)

    async def _cancelled(self, job_id: str) -> State:
        return (await self.cancel(job_id)).state

    def _with_progress(self, job: Job) -> Job:
        run = self._feeder.running.get(job.id)
        if run is not None and run.progress is not None and job.state is State.RUNNING:
            job.progress = run.progress_json()
        return job

    async def _read(self, fn: Callable[[Reader], T]) -> T:
        """A longer read, beside the writer; it sees everything that was answered before, and what runs as running."""
        await self._committer.settle()
        return await self._look(fn)

    async def _look(self, fn: Callable[[Reader], T]) -> T:
        """The same of what is committed already, without hurrying what is on its way."""
        async with self._reading:
            return await trio.to_thread.run_sync(fn, self._reader)

    # -- queues, pools, the daemon -----------------------------------------------------------------------------------

    async def counts(self) -> Sequence[QueueCounts]:
        """Of all queues that have jobs, as they are on disk. Raises StoreUnavailable."""
        return await self._look(lambda reader: reader.counts())

    async def queues(self, name: str | None) -> list[QueueView]:
        """All, or that one. Raises UnknownQueue for one that has neither a configuration nor jobs."""
        counts = {one.queue: one for one in await self._read(lambda reader: reader.counts())}
        if name is not None and name not in counts:
            self.queue(name)
        names = [name] if name is not None else sorted({*self._queues, *counts})
        lines = {name: line for name, line in self._feeder.lines.items() if line.configured}
        return [queue_view(one, lines.get(one), counts.get(one), self._now()) for one in names]

    async def pause(self, queue: str) -> QueueView:
        """When this returns, no child receives a job of the queue any more."""
        return await self._pause(queue, True)

    async def resume(self, queue: str) -> QueueView:
        return await self._pause(queue, False)

    async def _pause(self, queue: str, paused: bool) -> QueueView:
        self.queue(queue)
        # The feeder hears of it in the order of the commits, and also when who asked has gone: it and the store agree.
        await self._committer.write(
            lambda store: store.pause(queue, paused), lambda _: self._feeder.pause(queue, paused)
        )
        return (await self.queues(queue))[0]

    def pools(self, pool: str | None) -> list[PoolView]:
        return [one.view() for one in self._some_pools(pool)]

    def workers(self, pool: str | None) -> list[WorkerView]:
        return [worker for one in self._some_pools(pool) for worker in one.workers()]

    async def restart(self, name: str) -> RestartView:
        """Returns when every worker of the pool has been replaced, by what the configuration says of it now; it goes on
        when nobody waits for it any more. Raises RestartFailed when the old workers stay, Conflict while there is
        another or the daemon stops, and Invalid for a configuration that would not be accepted at a start."""
        pool = self._changeable(name)
        done = await (pool.restart() if self.reloader is None else self.reloader.restart(pool))
        return RestartView(pool=name, generation=done.generation, replaced=done.replaced)

    async def reload(self) -> ReloadView:
        """Returns when the daemon is as the configuration says now. Raises Invalid with everything that is wrong with
        the file, Conflict where it cannot be done while the daemon runs, and ReloadFailed; it goes on when nobody
        waits for it."""
        if self._feeder.stopped or self.reloader is None:
            raise Conflict(f"the daemon is {self.state}, and reads nothing any more: the next start goes by the file")
        return await self.reloader.reload()

    def resize(self, name: str, low: int, high: int) -> PoolView:
        """From now on the pool has `low` to `high` workers, until the daemon's end. Raises Conflict while it stops,
        and Invalid where what is reserved would leave a queue without any."""
        pool = self._changeable(name)
        pool.resize(low, high)
        return pool.view()

    def _changeable(self, name: str) -> Pool:
        [pool] = self._some_pools(name)
        if self._feeder.stopped:
            raise Conflict(
                f"the daemon is {self.state}, and its pools stay as they are: start it anew, which starts all workers"
            )
        return pool

    async def status(self) -> StatusView:
        queues = await self.queues(None)
        return StatusView(
            version=self.version,
            pid=os.getpid(),
            state=self.state,
            started_at=to_rfc3339(self._started_at),
            uptime_secs=round(time.monotonic() - self._started, 3),
            config=str(self.config.source),
            connections=self.connections,
            store=self._store_view(),
            pools=self.pools(None),
            queues=queues,
            unserved=[one.queue for one in queues if not one.pools],
            batches=self.batches_view(),
        )

    def _store_view(self) -> StoreView:
        failing = self._committer.failing
        return StoreView(
            url=self.config.store.url,
            state="failing" if failing is not None else "low" if self.space.low else "ok",
            reason=failing or self.space.reason,
            epoch=self._epoch,
            disk_free=self.space.free,
        )

    @property
    def state(self) -> str:
        if not self._feeder.stopped:
            return "running"
        return "draining" if self._feeder.running else "drained"

    def stop_feeding(self) -> None:
        """Nothing is checked out any more."""
        self._feeder.stopped = True
        if not self._feeder.running:
            self._drained.set()

    async def drain(self) -> None:
        """Check nothing out any more; return when nothing runs. Submits are accepted still."""
        self.stop_feeding()
        await self._drained.wait()

    def _nothing_runs(self) -> None:
        if self._feeder.stopped:
            self._drained.set()

    def _some_pools(self, name: str | None) -> list[Pool]:
        if name is None:
            return list(self._pools)
        found = next((pool for pool in self._pools if pool.name == name), None)
        if found is None:
            known = ", ".join(sorted(pool.name for pool in self._pools))
            raise NotFound(f'there is no pool "{cut(name)}": the configuration has {known}')
        return [found]


class _Shown:
    """A verb on one job, and the job as it leaves it. Read in the same transaction, since a moment later somebody else
    may have retried or deleted it, and who had asked would be told that nothing had come of it."""

    def __init__(self, job_id: str, verb: Callable[[Store], list[Changed]]) -> None:
        self._job_id = job_id
        self._verb = verb

    def __call__(self, store: Store) -> tuple[Changed, Job | None]:
        [changed] = self._verb(store)
        [job] = store.get([self._job_id])
        return changed, job


def _running(job_id: str) -> Conflict:
    return Conflict(f"job {job_id} is running: cancel it first")
