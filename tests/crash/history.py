"""What can be known of a house once it is over: what was on disk after each daemon's end, and when workers ran."""

import shutil
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from supervisor.core.job import Job
from supervisor.store.port import Filter
from supervisor.store.sqlite import open_sqlite
from tests.crash.ledger import Ledger
from tests.workers import Mark

Disk = dict[str, Job]  # by id


class Life(NamedTuple):
    """One daemon's. `struck`: the moment at which it ended itself; None: it was ended from outside. `recovered`:
    it came so far that what had been running was pending again. `leftovers`: processes of those before it that it
    had to end, where it lived to tell."""

    struck: str | None
    recovered: bool
    leftovers: int
    marks: list[Mark]
    disk: Disk


class Run(NamedTuple):
    """One attempt as its worker saw it; `ends` is the last that was heard of it, `finished` whether it came to its
    end mark. Times in nanoseconds."""

    daemon: int
    id: str
    attempt: int
    pid: int
    begins: int
    ends: int
    finished: bool


class History:
    def __init__(self, lives: list[Life], ledger: Ledger) -> None:
        self.lives = lives
        self.ledger = ledger
        self.last = lives[-1].disk

    @cached_property
    def runs(self) -> dict[str, list[Run]]:
        """By job, in order of time."""
        found: dict[str, list[Run]] = defaultdict(list)
        for number, life in enumerate(self.lives):
            open_runs: dict[int, list[Mark]] = {}
            for mark in life.marks:
                if mark.event == "begin":
                    open_runs[mark.pid] = [mark]
                    continue
                open_runs[mark.pid].append(mark)
                if mark.event == "end":
                    found[mark.id].append(_run(number, open_runs.pop(mark.pid)))
            for rest in open_runs.values():
                found[rest[0].id].append(_run(number, rest))
        return {job_id: sorted(runs, key=lambda run: run.begins) for job_id, runs in found.items()}


def _run(daemon: int, marks: list[Mark]) -> Run:
    first, last = marks[0], marks[-1]
    assert {(mark.id, mark.attempt) for mark in marks} == {(first.id, first.attempt)}
    return Run(daemon, first.id, first.attempt, first.pid, first.at, last.at, last.event == "end")


def read_disk(state_dir: Path, scratch: Path) -> Disk:
    """What the next start will find, read from a copy, so that it still finds the very files of the crash."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for name in ("stoker.db", "stoker.db-wal"):
        if (state_dir / name).exists():
            shutil.copyfile(state_dir / name, scratch / name)
    store = open_sqlite(scratch / "stoker.db")
    reader = store.reader()
    try:
        jobs: Disk = {}
        page = reader.list(Filter(), limit=1000, before=None, full=True)
        jobs.update((job.id, job) for job in page.jobs)
        while page.next_seq is not None:
            page = reader.list(Filter(), limit=1000, before=page.next_seq, full=True)
            jobs.update((job.id, job) for job in page.jobs)
        assert len(jobs) == page.total
        return jobs
    finally:
        reader.close()
        store.close()
