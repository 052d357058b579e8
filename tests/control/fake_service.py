"""The service's manners without a daemon behind it: jobs in a dict, which the test ends when it likes."""

import os
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import trio

from protocol.control import (
    EndsView,
    PoolView,
    QueueView,
    ReloadView,
    RestartView,
    SpreadView,
    StatusView,
    StoreView,
    WorkerView,
)
from supervisor.config.model import Config, DaemonConfig, QueueConfig, StoreConfig
from supervisor.control.access import access_of
from supervisor.control.space import Space
from supervisor.core.access import Sight
from supervisor.core.job import Job, NewJob, State
from supervisor.core.journal import Extent, JobEvent, Kind, Wanted, begin
from supervisor.core.sweep import Act, Swept
from supervisor.errors import Conflict, NotFound, TimedOut, UnknownQueue
from supervisor.store.port import EventPage, Filter, Page, Position, Submitted
from tests.control.fake_batches import FakeBatches

T = TypeVar("T")

NOW = 1_735_689_600_000_000  # 2025-01-01T00:00:00Z


def a_config(**daemon: Any) -> Config:
    return Config(
        source=Path("/etc/stoker.toml"),
        daemon=DaemonConfig(socket=Path("/run/stoker.sock"), state_dir=Path("/var/lib/stoker"), **daemon),
        store=StoreConfig(),
        pools=(),
        queues=(QueueConfig(name="thumbs"), QueueConfig(name="small", max_payload=10, max_attempts=7)),
    )


def a_job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "seq": 1,
        "id": "0199f3c2-0000-7000-8000-000000000001",
        "queue": "thumbs",
        "state": State.PENDING,
        "payload": b'{"path":"a.png"}',
        "result": None,
        "error": None,
        "attempt": 0,
        "max_attempts": None,
        "backoff": None,
        "timeout": None,
        "priority": 0,
        "run_at": NOW,
        "created_at": NOW,
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "progress": None,
        "client": None,
        "key": None,
        "unique": None,
        "name": None,
        "tags": (),
        "charged": 0,
        "crashes": 0,
        "interruptions": 0,
    }
    return Job(**{**fields, **changes})


class FakeService:
    """`handed` are the jobs of every submit, in order, from the moment they were handed over. While `hold` is an
    event, submits and gets are answered only once it is set; with `shield` they are not cancelled either. `breakage`
    is raised by the next call of anything, `breakage_of_submit` by the next submit when it was handed over."""

    def __init__(self, config: Config | None = None) -> None:
        self.config = config or a_config()
        self.backups = FakeBackups()
        self.batches = FakeBatches()
        self.access = access_of(self.config, os.geteuid())
        self.version = "1.2.3"
        self.connections = 0
        self.space = Space(self.config.daemon.state_dir, reserve=0)
        self.jobs: dict[str, Job] = {}
        self.handed: list[NewJob] = []
        self.hold: trio.Event | None = None
        self.shield = False
        self.breakage: Exception | None = None
        self.breakage_of_submit: Exception | None = None
        self.answers: list[dict[str, Any]] = []  # what the next submits' answers have besides
        self.waiting = 0
        self.asked: list[Any] = []
        self.journal: list[JobEvent] = []
        self.telling = self
        self.removed = 0  # events that were before these
        self.more_happens = trio.Event()
        self._changed = trio.lowlevel.ParkingLot()

    def add(self, **changes: Any) -> Job:
        job = a_job(**{"seq": len(self.jobs) + 1, **changes})
        self.jobs[job.id] = job
        return job

    def end(self, job_id: str, state: State = State.DONE, result: bytes | None = b"null") -> None:
        self.jobs[job_id].state = state
        self.jobs[job_id].result = result
        self._changed.unpark_all()

    def _break(self) -> None:
        error, self.breakage = self.breakage, None
        if error is not None:
            raise error

    async def _hold_up(self) -> None:
        if self.hold is not None:
            with trio.CancelScope(shield=self.shield):
                await self.hold.wait()
        else:
            await trio.lowlevel.checkpoint()

    def queue(self, name: str) -> QueueConfig:
        self._break()
        queue = self.config.queue(name)
        if queue is None:
            raise UnknownQueue(f"there is no queue {name!r}", known=[one.name for one in self.config.queues])
        return queue

    async def known(self, queue: str) -> None:
        self.queue(queue)

    async def submit(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        self._break()
        self.handed += jobs
        await self._hold_up()
        error, self.breakage_of_submit = self.breakage_of_submit, None
        if error is not None:
            raise error
        made = [self._insert(job) for job in jobs]
        more, self.answers = self.answers or [{}] * len(made), []
        return [msgspec.structs.replace(one, **besides) for one, besides in zip(made, more, strict=True)]

    def _insert(self, new: NewJob) -> Submitted:
        for job in self.jobs.values():
            if new.key is not None and (job.client, job.key) == (new.client, new.key):
                same = (job.queue, job.payload) == (new.queue, new.payload)
                return Submitted(seq=job.seq, id=job.id, created=False, state=job.state, due=False, same=same)
        job = self.add(id=new.id, queue=new.queue, payload=new.payload, client=new.client, key=new.key, tags=new.tags)
        return Submitted(seq=job.seq, id=job.id, created=True, state=job.state, due=True)

    async def get(self, job_id: str) -> Job:
        self._break()
        self.asked.append(job_id)
        await self._hold_up()
        if job_id not in self.jobs:
            raise NotFound(f"there is no job {job_id}")
        return self.jobs[job_id]

    async def find(self, client: str, key: str) -> Job:
        await trio.lowlevel.checkpoint()
        for job in self.jobs.values():
            if (job.client, job.key) == (client, key):
                return job
        raise NotFound(f"client {client} has no job with key {key}")

    async def wait(self, ids: Sequence[str], timeout: float | None) -> list[Job]:
        self.waiting += 1
        try:
            with trio.move_on_after(float("inf") if timeout is None else timeout):
                while not all([(await self.get(job_id)).state.final for job_id in ids]):
                    await self._changed.park()
        finally:
            self.waiting -= 1
        final = [self.jobs[job_id] for job_id in ids if self.jobs[job_id].state.final]
        if len(final) < len(ids):
            raise TimedOut(f"{len(ids) - len(final)} jobs have not ended", jobs=final)
        return final

    async def list_jobs(self, want: Filter, *, limit: int, before: int | None, full: bool) -> Page:
        self.asked.append((want, limit, before, full))
        await trio.lowlevel.checkpoint()
        those = [job for job in reversed(self.jobs.values()) if want.queue in (None, job.queue)]
        jobs = [job for job in those if before is None or job.seq < before]
        left_out: dict[str, Any] = {} if full else {"payload": None, "result": None, "attempts": ()}
        shown = tuple(msgspec.structs.replace(job, **left_out) for job in jobs[:limit])
        return Page(jobs=shown, total=len(those), next_seq=shown[-1].seq if len(jobs) > limit else None)

    async def place(self, after: int | None, *, last: int | None = None) -> int:
        self._break()
        await trio.lowlevel.checkpoint()
        extent = Extent(self.removed + 1, self.removed + len(self.journal))
        return begin(extent, after) if last is None else max(self.removed, extent.last - last)

    async def events(
        self, after: int | None, *, limit: int, want: Wanted, wait: float, tell: Callable[[EventPage], T]
    ) -> tuple[EventPage, T]:
        self._break()
        self.asked.append((after, limit, want, wait))
        with trio.move_on_after(wait):
            while self.removed + len(self.journal) <= (after or 0):
                await self.more_happens.wait()
        await trio.lowlevel.checkpoint()
        place = await self.place(after)
        shown = [event for event in self.journal if event.n > place][:limit]
        reached = shown[-1].n if shown else place
        kept = [event for event in shown if want.kinds in ((), (event.kind,))]
        kept = [event for event in kept if not want.sight or want.sight.shows(event.queue)]
        page = EventPage(events=tuple(kept), last=reached, more=reached < self.removed + len(self.journal))
        return page, tell(page)

    def happen(self, kind: Kind, **changes: Any) -> None:
        """In the journal."""
        n = self.removed + len(self.journal) + 1
        values = {"n": n, "at": NOW + n, "job": "a", "queue": "thumbs", "kind": kind, "attempt": 0}
        self.journal.append(JobEvent(**values | changes))
        self.more_happens.set()
        self.more_happens = trio.Event()

    def forget(self, count: int) -> None:
        """The oldest events of the journal."""
        del self.journal[:count]
        self.removed += count

    async def running(self, queue: str | None, limit: int, sight: Sight | None) -> tuple[list[Job], int]:
        self.asked.append((queue, limit))
        await trio.lowlevel.checkpoint()
        jobs = [
            job for job in self.jobs.values() if job.state is State.RUNNING and (not sight or sight.shows(job.queue))
        ]
        return jobs[:limit], len(jobs)

    def works_on(self, job_id: str) -> str | None:
        return self.jobs[job_id].queue if job_id in self.jobs else None

    async def names(self) -> list[str]:
        await trio.lowlevel.checkpoint()
        return [queue.name for queue in self.config.queues]

    async def queues_of(self, ids: Sequence[str]) -> list[tuple[str, str | None]]:
        await trio.lowlevel.checkpoint()
        return [(job_id, self.works_on(job_id)) for job_id in ids]

    async def position(self, job_id: str) -> Position:
        await self.get(job_id)
        return Position(ahead=2, active=5)

    async def cancel(self, job_id: str) -> Job:
        job = await self.get(job_id)
        self.end(job_id, State.CANCELLED, None)
        return job

    async def retry(self, job_id: str) -> Job:
        job = await self.get(job_id)
        if job.state not in (State.FAILED, State.CANCELLED, State.EXPIRED):
            raise Conflict(f"job {job_id} is {job.state}")
        job.state = State.PENDING
        return job

    async def delete(self, job_id: str) -> None:
        if (await self.get(job_id)).state is State.RUNNING:
            raise Conflict(f"job {job_id} is running: cancel it first")
        del self.jobs[job_id]

    async def sweep(self, act: Act, want: Filter, *, dry_run: bool) -> Swept:
        self.asked.append((act, want, dry_run))
        await self._hold_up()
        return Swept(matched=5, changed=0 if dry_run else 3, skipped=0 if dry_run else 1)

    async def queues(self, name: str | None) -> list[QueueView]:
        await trio.lowlevel.checkpoint()
        names = [queue.name for queue in self.config.queues] if name is None else [self.queue(name).name]
        return [a_queue_view(one) for one in names]

    async def pause(self, queue: str) -> QueueView:
        await trio.lowlevel.checkpoint()
        return a_queue_view(self.queue(queue).name, paused=True)

    async def resume(self, queue: str) -> QueueView:
        await trio.lowlevel.checkpoint()
        return a_queue_view(self.queue(queue).name)

    def pools(self, pool: str | None) -> list[PoolView]:
        if pool not in (None, "thumbs"):
            raise NotFound(f"there is no pool {pool}")
        return [a_pool_view()]

    def workers(self, pool: str | None) -> list[WorkerView]:
        return [
            WorkerView(
                pool=pool or "thumbs",
                slot=0,
                generation=1,
                pid=77,
                state="idle",
                job=None,
                jobs_done=3,
                rss=4096,
                age_secs=1.5,
            )
        ]

    async def restart(self, pool: str) -> RestartView:
        await trio.lowlevel.checkpoint()
        self.pools(pool)
        return RestartView(pool=pool, generation=2, replaced=1)

    def resize(self, pool: str, low: int, high: int) -> PoolView:
        self.pools(pool)
        return a_pool_view(min=low, max=high)

    async def status(self) -> StatusView:
        return StatusView(
            version=self.version,
            pid=4242,
            state="running",
            started_at="2025-01-01T00:00:00.000000Z",
            uptime_secs=12.5,
            config=str(self.config.source),
            connections=self.connections,
            store=StoreView(url="sqlite:stoker.db", state="ok", reason=None, epoch=3, disk_free=None),
            pools=self.pools(None),
            queues=await self.queues(None),
            unserved=["small"],
        )

    async def drain(self) -> None:
        await trio.lowlevel.checkpoint()

    async def reload(self) -> ReloadView:
        await trio.lowlevel.checkpoint()
        names = [name for name in ReloadView.__struct_fields__ if name != "config"]
        return ReloadView(config=str(self.config.source), **{name: [] for name in names})


class FakeBackups:
    """Of a store in which there is nothing."""

    async def check(self) -> int:
        await trio.lowlevel.checkpoint()
        return 0

    async def lines(self) -> AsyncGenerator[bytes, None]:
        await trio.lowlevel.checkpoint()
        for line in ():
            yield line


def a_queue_view(name: str, *, paused: bool = False) -> QueueView:
    return QueueView(
        queue=name,
        paused=paused,
        throttled_until=None,
        limited_by=None,
        pending=2,
        due=1,
        running=1,
        done=3,
        failed=0,
        cancelled=0,
        expired=0,
        oldest_pending_secs=1.5,
        submit_rate=0.5,
        finish_rate=0.25,
        ends_1m=EndsView(done=0.25, failed=0.0, cancelled=0.0, retried=0.0, released=0.0),
        ends_5m=EndsView(done=0.25, failed=0.0, cancelled=0.0, retried=0.0, released=0.0),
        wait_secs=SpreadView(count=3, p50=0.001, p95=0.002, p99=0.003),
        run_secs=None,
        pools=["thumbs"],
    )


def a_pool_view(**changes: Any) -> PoolView:
    fields: dict[str, Any] = {
        "pool": "thumbs",
        "state": "ready",
        "reason": None,
        "generation": 1,
        "restarting": False,
        "size": 1,
        "min": 1,
        "max": 1,
        "idle": 1,
        "busy": 0,
        "spawned": 1,
        "crashes": 0,
        "recycled": 0,
        "jobs_done": 3,
        "queues": ["thumbs"],
        "order": "weight",
        "shares": [],
    }
    return PoolView(**{**fields, **changes})
