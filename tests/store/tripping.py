"""A store that stumbles on command, and the committer that has to live with it."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from supervisor.core.job import Claim, Job, NewJob, Outcome
from supervisor.errors import StoreUnavailable
from supervisor.store.committer import Committer
from supervisor.store.memory import MemoryStore
from supervisor.store.port import Store, Submitted

PATIENCE = 20.0  # seconds; a test that needs them has failed


class Tripping:
    """Any store. `full`: the reason why no commit succeeds, or only the next `trips` do not; `bug`: what a submit of
    certain jobs raises; `unreadable`: what `get` raises. `commits` counts those that succeeded, `tries` all."""

    def __init__(self, store: Store | None = None) -> None:
        self.inner: Any = MemoryStore() if store is None else store
        self.full: str | None = None
        self.trips: float = float("inf")
        self.bug: Callable[[NewJob], Exception | None] = lambda job: None
        self.unreadable: Exception | None = None
        self.commits = 0
        self.tries = 0
        self.verbs: list[str] = []  # as they were played, commits included
        self.recorded_at: list[float] = []  # monotonic
        self.committing = threading.Event()  # a commit has begun
        self._passage = threading.Event()
        self._passage.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def hold(self) -> None:
        """The next commit lasts until `let_go`."""
        self.committing.clear()
        self._passage.clear()

    def let_go(self) -> None:
        self._passage.set()

    async def held(self) -> None:
        """Return when a commit has begun."""
        assert await trio.to_thread.run_sync(self.committing.wait, PATIENCE)

    def commit(self) -> None:
        self.tries += 1
        self.committing.set()
        assert self._passage.wait(PATIENCE)
        if self.full is not None and self.trips > 0:
            self.trips -= 1
            raise StoreUnavailable(self.full)
        self.inner.commit()
        self.commits += 1
        self.verbs.append("commit")

    def submit(self, jobs: Sequence[NewJob], now: int) -> list[Submitted]:
        for job in jobs:
            if (error := self.bug(job)) is not None:
                raise error
        self.verbs.append(f"submit {len(jobs)}")
        return self.inner.submit(jobs, now)

    def record(self, claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> tuple[list[bool], list[bool]]:
        self.recorded_at.append(time.monotonic())
        self.verbs.append(f"record {len(claims)} {len(outcomes)}")
        return self.inner.record(claims, outcomes)

    def get(self, job_ids: Sequence[str]) -> list[Job | None]:
        if self.unreadable is not None:
            raise self.unreadable
        return self.inner.get(job_ids)


class Heard:
    """What the committer told, in the order in which it did."""

    def __init__(self, committer: Committer) -> None:
        self.words: list[str] = []
        self.tokens: list[Any] = []
        self.oks: list[bool] = []
        self.found: dict[str, Job | None] = {}
        self.failing: list[str | None] = []
        committer.recorded = self._recorded
        committer.found = self._found
        committer.on_failing = self.failing.append

    def _recorded(self, tokens: Sequence[Any], oks: Sequence[bool]) -> None:
        self.words.append("recorded")
        self.tokens += tokens
        self.oks += oks

    def _found(self, jobs: Sequence[Job | None], ids: Sequence[str]) -> None:
        self.words.append("found")
        self.found |= dict(zip(ids, jobs, strict=True))


@asynccontextmanager
async def committing(store: Tripping, **limits: int) -> AsyncIterator[tuple[Committer, Heard]]:
    """A committer at work, with the `limits` of queues; closed, and so flushed, at the end."""
    committer = Committer(store, limits)
    heard = Heard(committer)
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        try:
            yield committer, heard
        finally:
            store.let_go()
            committer.close()


async def until(true: Callable[[], object]) -> None:
    """Return when `true()` is. What is waited for happens on the store's thread, in real time whatever trio's clock."""
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        await trio.to_thread.run_sync(time.sleep, 0.002)
