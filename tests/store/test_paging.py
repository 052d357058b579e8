"""Every backend: pages of a list, while jobs are submitted, run, end, are retried and deleted between them."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.job import Cause, Job, State
from supervisor.store.memory.reader import matches
from supervisor.store.port import Filter, Store
from tests.store.support import (
    NOW,
    Backend,
    MemoryBackend,
    SqliteBackend,
    add,
    claim,
    ending,
    error,
    finish,
    transaction,
)

WANTS = (
    Filter(),
    Filter(queue="q"),
    Filter(states=(State.PENDING,)),
    Filter(states=(State.PENDING, State.RUNNING)),
    Filter(states=(State.DONE,), queue="q"),
    Filter(states=(State.FAILED, State.CANCELLED)),
    Filter(tag="t"),
    Filter(client="c"),
    Filter(name="n", states=(State.DONE, State.FAILED)),
    Filter(cause=Cause.ERROR),
    Filter(created_after=NOW + 5),
    Filter(finished_after=NOW + 10, tag="t"),
)
options = st.fixed_dictionaries(
    {"queue": st.sampled_from(["q", "r"])},
    optional={
        "priority": st.integers(-1, 1),
        "tags": st.just(("t",)),
        "client": st.just("c"),
        "name": st.just("n"),
        "run_at": st.sampled_from([NOW, NOW + 100]),
        "created_at": st.integers(NOW, NOW + 10),
    },
)
picks = st.integers(0, 40)
acts = st.one_of(
    st.tuples(st.just("submit"), options),
    st.tuples(st.sampled_from(["claim", "done", "failed", "repeat", "cancel", "retry", "delete"]), picks),
)
between = st.lists(st.lists(acts, max_size=4), max_size=12)


class House:
    """A store, and jobs in it that are moved about."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.ids: list[str] = []

    def jobs(self) -> dict[str, Job]:
        return {job.id: job for job in self.store.get(self.ids) if job is not None}

    def do(self, act: str, what: Any) -> None:
        if act == "submit":
            self.ids.append(add(self.store, **what).id)
            return
        jobs = list(self.jobs().values())
        if not jobs:
            return
        job = jobs[what % len(jobs)]
        match act:
            case "claim":
                claim(self.store, job, attempt=job.attempt + 1)
            case "done":
                finish(self.store, ending(job, attempt=job.attempt))
            case "failed":
                finish(self.store, ending(job, State.FAILED, attempt=job.attempt, error=error()))
            case "repeat":
                finish(self.store, ending(job, State.PENDING, attempt=job.attempt, error=error()))
            case _:
                with transaction(self.store):
                    _change(self.store, act, job.id)


def _change(store: Store, act: str, job_id: str) -> None:
    match act:
        case "cancel":
            store.cancel([job_id], NOW + 10)
        case "retry":
            store.retry([job_id], NOW + 10)
        case "delete":
            store.delete([job_id], NOW)


@contextmanager
def opened(kind: str) -> Iterator[House]:
    """With limits so low that every way of reading is taken."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch("supervisor.store.sqlite.listing._FEW", 3),
        mock.patch("supervisor.store.sqlite.listing.PAGE_BYTES", 20),
        mock.patch("supervisor.store.memory.reader.PAGE_BYTES", 20),
    ):
        backend: Backend = MemoryBackend() if kind == "memory" else SqliteBackend(Path(folder), synchronous="OFF")
        try:
            yield House(backend.open())
        finally:
            backend.close()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@given(
    before=st.lists(acts, max_size=40),
    between=between,
    want=st.sampled_from(WANTS),
    limit=st.integers(1, 5),
    full=st.booleans(),
)
def test_what_matches_from_the_first_page_to_the_last_is_listed_exactly_once(
    kind: str, before: list[Any], between: list[list[Any]], want: Filter, limit: int, full: bool
) -> None:
    with opened(kind) as house:
        for act, what in before:
            house.do(act, what)
        there = set(house.ids)
        always = {job.id for job in house.jobs().values() if matches(job, want)}
        reader = house.store.reader()
        listed: list[str] = []
        place = None
        meanwhile = iter(between)
        while True:
            page = reader.list(want, limit=limit, before=place, full=full)
            assert page.total == sum(matches(job, want) for job in house.jobs().values())
            listed += [job.id for job in page.jobs]
            place = page.next_seq
            if place is None:
                break
            for act, what in next(meanwhile, []):
                house.do(act, what)
                always &= {job.id for job in house.jobs().values() if matches(job, want)}
        reader.close()
        assert len(listed) == len(set(listed))
        assert set(listed) <= there
        assert always <= set(listed)
