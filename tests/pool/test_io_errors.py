"""Jobs, real children and a disk on which any single operation fails, once or for a while."""

import gc
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import apsw
import pytest
import trio
import uuid_utils
from structlog.testing import capture_logs

from supervisor.config.model import QueueConfig
from supervisor.core.job import NewJob, State
from supervisor.errors import StoreUnavailable
from supervisor.store import writer
from supervisor.store.sqlite import open_sqlite, opening
from tests.pool.marked import begun, marked_pool
from tests.pool.rig import Rig, rig
from tests.store.vfs import Failing, observed

JOBS = 5
SMALL_LOG = 64 * 1024  # so that it is often copied into the database, which are writes, reads and syncs of their own
SMALL_CACHE = 1  # KiB: pages are read from the file, and written before their transaction ends
RETRY_EVERY = 0.005  # seconds
AWHILE = 25  # operations
BUGS = {"claim_refused", "outcomes_not_recorded", "stale_outcome", "store_batch_failed"}


@pytest.fixture(autouse=True)
def sensitive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_EVERY", RETRY_EVERY)
    monkeypatch.setattr(opening, "_WRITER_CACHE_KIB", SMALL_CACHE)
    monkeypatch.setattr(opening, "_READER_CACHE_KIB", SMALL_CACHE)


@pytest.fixture(autouse=True)
def told_twice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a statement has raised, apsw meets again when its cursor goes away, and can hand to this hook alone."""
    hook = sys.unraisablehook

    def others(problem: "sys.UnraisableHookArgs") -> None:
        if not issubclass(problem.exc_type, apsw.Error):
            hook(problem)

    monkeypatch.setattr(sys, "unraisablehook", others)
    yield
    gc.collect()  # their errors keep the last cursors alive


class Trial:
    """A rig on a disk that fails, and what its clients were told."""

    def __init__(self, daemon: Rig, disk: Failing) -> None:
        self.daemon = daemon
        self.disk = disk
        self.acknowledged: list[str] = []
        self.refused: list[str] = []

    async def submit(self) -> None:
        now = self.daemon.now()
        job = NewJob(
            id=str(uuid_utils.uuid7()), queue="q", payload=b'"' + b"x" * 3000 + b'"', created_at=now, run_at=now
        )
        try:
            await self.daemon.service.submit([job])
        except StoreUnavailable:
            self.refused.append(job.id)
            return
        self.acknowledged.append(job.id)

    async def wait(self, job_id: str) -> None:
        while True:
            try:
                await self.daemon.ends(job_id)
            except StoreUnavailable:
                await trio.sleep(RETRY_EVERY)  # asking again is all that a client needs to do
            else:
                return

    async def run_jobs(self) -> None:
        """Some at once and some after another, as clients do."""
        first = len(self.acknowledged)
        async with trio.open_nursery() as nursery:
            for _ in range(JOBS - 2):
                nursery.start_soon(self.submit)
        for _ in range(2):
            await self.submit()
        for job_id in self.acknowledged[first:]:
            await self.wait(job_id)

    async def recovers(self) -> None:
        await self.daemon.until(lambda: self.daemon.committer.failing is None and not self.daemon.feeder.running)

    async def check(self, folder: Path) -> None:
        self.disk.heal()
        await self.recovers()
        jobs = await self.daemon.ends(*self.acknowledged)
        assert {(job.state, len(job.attempts), job.charged) for job in jobs} == {(State.DONE, 0, 0)}
        assert Counter(begun(folder)) == Counter(self.acknowledged)
        stored = await self.daemon.committer.read(lambda store: store.get(self.refused))
        assert stored == [None] * len(self.refused)
        assert (await self.daemon.run(None)).state is State.DONE


@asynccontextmanager
async def trial(folder: Path, queue: QueueConfig | None = None) -> AsyncIterator[Trial]:
    disk = Failing()
    with observed(disk) as vfs, capture_logs() as events:
        store = open_sqlite(folder / "stoker.db", vfs=vfs, log_bytes=SMALL_LOG)
        pools = [marked_pool(folder, size=2)]
        async with rig(folder=folder, pools=pools, queue=queue, store=store) as daemon:
            try:
                yield Trial(daemon, disk)
            finally:
                disk.heal()
    assert BUGS.isdisjoint(event["event"] for event in events)
    connection = apsw.Connection(str(folder / "stoker.db"))
    assert connection.pragma("integrity_check") == "ok"
    connection.close()


@pytest.mark.parametrize(
    ("what", "last"),
    [("write", 60), ("sync", 12), ("read", 40)],
)
@pytest.mark.parametrize("times", [1, AWHILE])
async def test_whichever_operation_fails_every_acknowledged_job_is_done_once(
    tmp_path: Path, what: str, last: int, times: int
) -> None:
    async with trial(tmp_path) as jobs:
        for n in range(last):
            jobs.disk.fail(what, (apsw.IOError, apsw.FullError)[n % 2], after=n, times=times)
            with trio.fail_after(10):
                while not jobs.disk.failed(what):  # how many there are depends on how many jobs share a commit
                    await jobs.run_jobs()
                await jobs.recovers()
        await jobs.check(tmp_path)
    assert len(jobs.acknowledged) > last
    assert jobs.refused or times == 1, "no failure was ever noticed"


@pytest.mark.parametrize(("what", "last"), [("write", 40), ("sync", 12)])
@pytest.mark.parametrize("times", [1, AWHILE])
async def test_where_a_claim_comes_first_its_failure_begins_no_job_twice_and_none_is_forgotten(
    tmp_path: Path, what: str, last: int, times: int
) -> None:
    async with trial(tmp_path, QueueConfig(name="q", max_attempts=1, on_daemon_crash="fail")) as jobs:
        for n in range(last):
            jobs.disk.fail(what, (apsw.IOError, apsw.FullError)[n % 2], after=n, times=times)
            with trio.fail_after(10):
                while not jobs.disk.failed(what):
                    await jobs.run_jobs()
                await jobs.recovers()
        await jobs.check(tmp_path)


@pytest.mark.parametrize("what", ["open", "read", "write", "sync", "truncate"])
async def test_whichever_operation_fails_at_a_start_the_next_one_runs_every_job(tmp_path: Path, what: str) -> None:
    """After a start that was refused, and after one that only met the failure on its way."""
    async with trial(tmp_path) as jobs:
        await jobs.submit()
        [job_id] = jobs.acknowledged
        await jobs.wait(job_id)
    path = tmp_path / "stoker.db"
    disk = Failing()
    refused = 0
    for n in range(15):
        with observed(disk) as vfs:
            disk.fail(what, apsw.IOError, after=n, times=1)
            try:
                store = open_sqlite(path, vfs=vfs, log_bytes=SMALL_LOG)
            except StoreUnavailable:
                refused += 1
            else:
                disk.heal()
                store.close()
    assert refused or what == "truncate"  # which SQLite does without
    async with rig(folder=tmp_path, pools=[marked_pool(tmp_path)]) as daemon:
        assert (await daemon.service.get(job_id)).state is State.DONE
        assert (await daemon.run(None)).state is State.DONE
