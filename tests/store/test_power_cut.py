"""SQLite and power cuts: nothing that a commit had acknowledged is lost, wherever the power fails."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from supervisor.core.job import Claim, Job, Outcome, State
from supervisor.store.sqlite import SqliteStore, open_sqlite
from tests.store.power import LOSSES, Disk
from tests.store.support import NOW, ending, error, new_job
from tests.store.vfs import observed

SMALL_LOG = 128 * 1024  # some transactions long, so that checkpoints, and cuts during them, are frequent
ENOUGH = 1000  # interruptions, so that none gives up

View = dict[str, tuple[State, int, bytes | None, bytes | None, int] | None]


class Workload:
    """Random transactions, one after the other, and what was acknowledged of them."""

    def __init__(self, path: Path, vfs: str, disk: Disk, synchronous: str, rng: random.Random) -> None:
        self._path = path
        self._vfs = vfs
        self._disk = disk
        self._synchronous = synchronous
        self._rng = rng
        self.ids: list[str] = []
        self.epoch = 0
        self.acknowledged: View = {}
        self.under_way: View = {}

    def run(self) -> None:
        """Until the power fails."""
        while not self._disk.is_off:
            store = open_sqlite(self._path, synchronous=self._synchronous, vfs=self._vfs, log_bytes=SMALL_LOG)
            try:
                self._life(store)
            finally:
                store.close()

    def _life(self, store: SqliteStore) -> None:
        self.under_way = after_recovery(self.acknowledged)
        recovered = store.recover(NOW, max_interruptions=ENOUGH)
        if self._disk.is_off:
            return
        self.epoch = recovered.epoch
        self.acknowledged = view(store, self.ids)
        while not self._disk.is_off and self._rng.random() > 0.02:
            store.begin()
            self._transaction(store)
            self.under_way = view(store, self.ids)
            store.commit()
            if not self._disk.is_off:
                self.acknowledged = self.under_way
            store.tidy()

    def _transaction(self, store: SqliteStore) -> None:
        rng = self._rng
        jobs = [new_job(payload=b'"' + b"x" * rng.randrange(1000) + b'"') for _ in range(rng.choice([0, 1, 1, 8]))]
        self.ids += [answer.id for answer in store.submit(jobs, NOW)]
        known = [job for job in store.get(self.ids) if job is not None]
        pending = some(rng, [job for job in known if job.state is State.PENDING], 12)
        claims = [Claim(seq=job.seq, attempt=job.attempt + 1, started_at=NOW) for job in pending]
        running = some(rng, [job for job in known if job.state is State.RUNNING], 6)
        attempts = [(job, job.attempt) for job in running] + [(job, job.attempt + 1) for job in pending[::2]]
        store.record(claims, [self._outcome(job, attempt) for job, attempt in attempts])
        if rng.random() < 0.2:
            store.delete([job.id for job in some(rng, known, 3)], NOW)
            store.cancel([job.id for job in some(rng, known, 3)], NOW)
            store.retry([job.id for job in some(rng, known, 3)], NOW)

    def _outcome(self, job: Job, attempt: int) -> Outcome:
        state = self._rng.choice([State.DONE, State.DONE, State.FAILED, State.PENDING])
        result = b'"' + b"y" * self._rng.randrange(500) + b'"' if state is State.DONE else None
        told = error() if state is State.FAILED else None
        return ending(job, state, attempt=attempt, result=result, error=told, interruptions=job.interruptions)


def some(rng: random.Random, jobs: Sequence[Job], most: int) -> list[Job]:
    return rng.sample(jobs, min(len(jobs), rng.randint(0, most)))


def view(store: SqliteStore, ids: list[str]) -> View:
    """All that matters of all jobs."""
    found = zip(ids, store.get(ids), strict=True)
    return {
        job_id: None if job is None else (job.state, job.attempt, job.payload, job.result, len(job.attempts))
        for job_id, job in found
    }


def after_recovery(before: View) -> View:
    return {
        job_id: (State.PENDING, *row[1:]) if row is not None and row[0] is State.RUNNING else row
        for job_id, row in before.items()
    }


def present(rows: View) -> View:
    return {job_id: row for job_id, row in rows.items() if row is not None}


def cut_power(folder: Path, synchronous: str, seed: int) -> list[str]:
    """One workload and one cut; the ways of losing the unsynced writes that lost something acknowledged."""
    rng = random.Random(seed)
    disk = Disk(cut_at=rng.randrange(1, 1500))
    folder.mkdir()
    with observed(disk) as vfs:
        workload = Workload(folder / "stoker.db", vfs, disk, synchronous, rng)
        workload.run()
    lost = []
    for loss in LOSSES:
        after = folder / loss.__name__
        after.mkdir()
        disk.recover(after, loss, rng)
        if not kept(after / "stoker.db", workload):
            lost.append(loss.__name__)
    shutil.rmtree(folder)
    return lost


def kept(path: Path, workload: Workload) -> bool:
    """Whether the file is sound and holds all that was acknowledged: with or without the transaction under way, but
    nothing between the two."""
    store = open_sqlite(path, synchronous="OFF", log_bytes=SMALL_LOG)
    try:
        assert store._connection.pragma("integrity_check") == "ok"
        found = present(view(store, workload.ids))
        epoch = store.recover(NOW, max_interruptions=ENOUGH).epoch
    finally:
        store.close()
    whole = found in (present(workload.acknowledged), present(workload.under_way))
    return whole and epoch > workload.epoch


@pytest.mark.parametrize("seeds", [range(50), pytest.param(range(50, 250), marks=pytest.mark.long)], ids=str)
def test_power_cuts_lose_nothing_acknowledged(tmp_path: Path, seeds: range) -> None:
    for seed in seeds:
        lost = cut_power(tmp_path / str(seed), "FULL", seed)
        assert lost == [], f"seed {seed}"


def test_without_a_sync_at_each_commit_they_do(tmp_path: Path) -> None:
    """The test above can fail: with synchronous=NORMAL the file stays sound, but acknowledged commits are gone."""
    lost = [cut_power(tmp_path / str(seed), "NORMAL", seed) for seed in range(40)]
    assert sum("everything" in one for one in lost) >= 8


def test_a_file_whose_log_is_lost_is_noticed(tmp_path: Path) -> None:
    """Nor does it pass because nothing of note is in the log when the power fails: about half the time it has just been
    copied."""
    noticed = [not kept_without_log(tmp_path / str(cut_at), cut_at) for cut_at in range(500, 1500, 50)]
    assert sum(noticed) >= 5


def kept_without_log(folder: Path, cut_at: int) -> bool:
    folder.mkdir()
    rng = random.Random(7)
    disk = Disk(cut_at=cut_at)
    with observed(disk) as vfs:
        workload = Workload(folder / "stoker.db", vfs, disk, "FULL", rng)
        workload.run()
    after = folder / "after"
    after.mkdir()
    disk.recover(after, LOSSES[0], rng)
    (after / "stoker.db-wal").unlink()
    return kept(after / "stoker.db", workload)
