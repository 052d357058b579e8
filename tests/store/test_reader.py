"""Every backend: lists, positions and counts, beside the writer."""

from typing import Any

import pytest

from supervisor.core.job import Cause, Job, State
from supervisor.store.port import PAGE_BYTES, Filter, Page, Position, QueueCounts, Reader, Store
from tests.store.support import (
    NOW,
    add,
    claim,
    ended,
    ending,
    error,
    finish,
    get,
    new_job,
    running,
    submit,
    transaction,
)


def page(reader: Reader, limit: int = 50, before: int | None = None, full: bool = False, **want: Any) -> Page:
    return reader.list(Filter(**want), limit=limit, before=before, full=full)


def ids(reader: Reader, **want: Any) -> list[str]:
    return [job.id for job in page(reader, **want).jobs]


def walk(reader: Reader, limit: int, **want: Any) -> list[str]:
    """Every id, page by page; a page but the last is full, and every total is the same."""
    seen: list[str] = []
    before, totals = None, set()
    while True:
        found = page(reader, limit=limit, before=before, **want)
        seen += [job.id for job in found.jobs]
        totals.add(found.total)
        if found.next_seq is None:
            assert totals == {len(seen)}
            return seen
        assert len(found.jobs) == limit
        before = found.next_seq


def test_an_empty_store_has_an_empty_page(store: Store) -> None:
    for want in ({}, {"queue": "q"}, {"tag": "t"}, {"client": "c"}, {"states": (State.DONE, State.PENDING)}):
        assert page(store.reader(), **want) == Page(jobs=(), total=0, next_seq=None)


def test_newest_first(store: Store) -> None:
    jobs = submit(store, *[new_job(priority=n % 3) for n in range(10)])
    assert ids(store.reader()) == [job.id for job in reversed(jobs)]


@pytest.fixture
def zoo(store: Store) -> Store:
    """Jobs of three queues in every state, with tags, clients and names, made a microsecond apart."""
    for n in range(60):
        values = {
            "queue": f"q{n % 3}",
            "tags": ("even",) if n % 2 == 0 else ("odd", f"n{n}"),
            "client": f"c{n % 4}" if n % 5 else None,
            "name": f"name {n % 4}" if n % 3 else None,
            "created_at": NOW + n,
        }
        match n % 7:
            case 0:
                add(store, **values)
            case 1:
                add(store, run_at=NOW + 1000 + n, **values)
            case 2:
                running(store, **values)
            case 3:
                ended(store, State.DONE, **values)
            case 4:
                why = error(cause=Cause.TIMEOUT if n % 2 else Cause.ERROR)
                finish(store, ending(running(store, **values), State.FAILED, error=why, finished_at=NOW + 100 + n))
            case 5:
                job = running(store, **values)
                finish(store, ending(job, State.PENDING, error=error(cause=Cause.TIMEOUT)))
                with transaction(store):
                    store.cancel([job.id], NOW + 100 + n)
            case _:
                job = add(store, expires_at=NOW + 1, **values)
                with transaction(store):
                    assert store.promote(NOW + 1, 10).expired == (job.id,)
    return store


FILTERS: list[dict[str, Any]] = [
    {},
    {"queue": "q1"},
    {"queue": "nowhere"},
    {"tag": "even"},
    {"tag": "n9"},
    {"tag": "eve"},
    {"client": "c1"},
    {"client": "c1", "tag": "odd"},
    {"client": "c1", "tag": "odd", "queue": "q0", "states": (State.PENDING, State.FAILED)},
    {"tag": "even", "states": (State.EXPIRED,)},
    {"client": "c2", "queue": "q2"},
    *({"states": (state,)} for state in State),
    *({"states": (state,), "queue": "q2"} for state in State),
    {"states": (State.PENDING, State.RUNNING)},
    {"states": (State.PENDING, State.DONE)},
    {"states": (State.FAILED, State.CANCELLED, State.EXPIRED), "queue": "q0"},
    {"states": tuple(State), "queue": "q0"},
    {"name": "name 1"},
    {"name": "name"},
    {"name": "name 2", "client": "c2", "states": (State.FAILED, State.DONE)},
    {"name": "name 2", "created_after": NOW + 30},
    *({"cause": cause} for cause in (Cause.TIMEOUT, Cause.ERROR, Cause.OOM, Cause.REPLACED)),
    {"cause": Cause.TIMEOUT, "queue": "q1", "states": (State.FAILED, State.CANCELLED)},
    {"cause": Cause.ERROR, "states": (State.CANCELLED,)},
    {"cause": Cause.ERROR, "client": "c0", "created_before": NOW + 40},
    {"cause": Cause.ERROR, "created_before": NOW + 40},
    {"cause": Cause.ERROR, "tag": "even", "finished_after": NOW + 120},
    {"created_after": NOW + 20, "created_before": NOW + 33},
    {"finished_before": NOW + 120},
    {"finished_after": NOW + 111, "queue": "q0", "states": (State.FAILED,)},
    {"finished_after": NOW + 111, "tag": "odd"},
]


def meets(job: Job, want: Filter) -> bool:
    def between(instant: int | None, after: int | None, before: int | None) -> bool:
        if after is None and before is None:
            return True
        return instant is not None and (after or 0) <= instant < (before or NOW * 2)

    failed = job.error.cause if job.error is not None and job.state is State.FAILED else None
    return (
        want.queue in (None, job.queue)
        and (not want.states or job.state in want.states)
        and (want.tag is None or want.tag in job.tags)
        and want.client in (None, job.client)
        and want.name in (None, job.name)
        and want.cause in (None, failed)
        and between(job.created_at, want.created_after, want.created_before)
        and between(job.finished_at, want.finished_after, want.finished_before)
    )


def matching(reader: Reader, want: dict[str, Any]) -> list[str]:
    """Newest first."""
    everything = page(reader, limit=1000).jobs
    assert len(everything) == 60
    return [job.id for job in everything if meets(job, Filter(**want))]


@pytest.mark.parametrize("want", FILTERS, ids=str)
def test_filters_are_met_together(zoo: Store, want: dict[str, Any]) -> None:
    reader = zoo.reader()
    expected = matching(reader, want)
    assert ids(reader, limit=1000, **want) == expected
    assert page(reader, limit=1, **want).total == len(expected)
    for limit in (1, 3, max(1, len(expected))):
        assert walk(reader, limit, **want) == expected


def steps(reader: Reader, want: Filter, limit: int) -> list[str]:
    """All that `find` finds, one call after the other."""
    seen: list[str] = []
    before = None
    while True:
        found = reader.find(want, limit=limit, before=before)
        assert len(found.ids) <= limit
        seen += found.ids
        if found.next_seq is None:
            return seen
        before = found.next_seq


@pytest.mark.parametrize("look", [4, 10_000], ids="looks at {}".format)
@pytest.mark.parametrize("want", FILTERS, ids=str)
def test_what_matches_is_found_step_by_step(
    zoo: Store, monkeypatch: pytest.MonkeyPatch, want: dict[str, Any], look: int
) -> None:
    monkeypatch.setattr("supervisor.store.sqlite.finding.LOOK", look)
    monkeypatch.setattr("supervisor.store.sqlite.listing._FEW", look)
    reader = zoo.reader()
    expected = matching(reader, want)
    for limit in (1, 3, 1000):
        assert steps(reader, Filter(**want), limit) == expected


def test_what_is_submitted_or_removed_between_two_steps_disturbs_neither(store: Store) -> None:
    jobs = [job.id for job in submit(store, *[new_job(tags=("t",)) for _ in range(9)])]
    for want in (Filter(), Filter(tag="t"), Filter(queue="q", states=(State.PENDING,))):
        reader = store.reader()
        first = reader.find(want, limit=4, before=None)
        with transaction(store):
            store.delete(first.ids, NOW)
        new = add(store, tags=("t",)).id
        second = reader.find(want, limit=100, before=first.next_seq)
        assert [*first.ids, *second.ids] == jobs[::-1]
        assert second.next_seq is None
        with transaction(store):
            store.delete([new], NOW)
            store.delete(second.ids, NOW)
        jobs = [job.id for job in submit(store, *[new_job(tags=("t",)) for _ in range(9)])]


def test_the_clients_with_a_prefix(store: Store) -> None:
    for client in ("batch:b", "batch:a", "batch:b", "batch", "batch;", "me", None):
        add(store, client=client)
    assert store.reader().clients("batch:") == ["batch:a", "batch:b"]
    assert store.reader().clients("x") == []


def test_pages_are_stable_while_jobs_are_added(store: Store) -> None:
    jobs = submit(store, *[new_job(tags=("t",), client="c") for _ in range(10)])
    wants: tuple[dict[str, Any], ...] = ({}, {"tag": "t"}, {"client": "c"}, {"states": (State.PENDING,)})
    for want in wants:
        reader = store.reader()
        first = page(reader, limit=4, **want)
        add(store, tags=("t",), client="c")
        second = page(reader, limit=4, before=first.next_seq, **want)
        seen = [job.id for job in (*first.jobs, *second.jobs)]
        assert second.total == first.total + 1
        assert seen == [job.id for job in page(reader, limit=9, **want).jobs][1:]
    assert len(page(store.reader()).jobs) == len(jobs) + len(wants)


def test_a_list_is_short_unless_full(store: Store) -> None:
    job = running(store, name="n", tags=("t",))
    finish(store, ending(job, State.PENDING, error=error(), progress=b"7"))
    claim(store, job, attempt=2)
    finish(store, ending(job, attempt=2, result=b"[1]", progress=b"7"))
    whole = get(store, job)
    (full,) = page(store.reader(), full=True).jobs
    assert full == whole
    (short,) = page(store.reader()).jobs
    assert (short.payload, short.result, short.attempts) == (None, None, ())
    for field in set(whole.__struct_fields__) - {"payload", "result", "attempts"}:
        assert getattr(short, field) == getattr(whole, field), field


def test_a_full_page_ends_where_it_would_be_too_large(store: Store) -> None:
    third = b'"' + b"x" * (PAGE_BYTES // 3) + b'"'
    jobs = [running(store, payload=third) for _ in range(5)]
    finish(store, ending(jobs[0], result=b'"' + b"y" * PAGE_BYTES + b'"'))
    reader = store.reader()
    first = page(reader, full=True)
    assert [job.id for job in first.jobs] == [jobs[4].id, jobs[3].id]
    second = page(reader, full=True, before=first.next_seq)
    assert [job.id for job in second.jobs] == [jobs[2].id, jobs[1].id]
    third_page = page(reader, full=True, before=second.next_seq)
    assert [job.id for job in third_page.jobs] == [jobs[0].id]
    assert third_page.next_seq is None
    assert len(page(reader).jobs) == 5


def test_a_reader_sees_what_is_committed_only(store: Store) -> None:
    job = add(store)
    reader = store.reader()
    store.begin()
    store.submit([new_job()], NOW)
    store.cancel([job.id], NOW)
    assert ids(reader) == [job.id]
    found = reader.get(job.id)
    assert found is not None
    assert found.state is State.PENDING
    store.commit()
    assert page(reader).total == 2


def test_a_reader_gets_a_whole_job(store: Store) -> None:
    job = ended(store, tags=("t",))
    reader = store.reader()
    assert reader.get(job.id) == get(store, job)
    assert reader.get("nowhere") is None


def test_the_heads_of_jobs_are_what_a_list_shows_of_them(zoo: Store) -> None:
    reader = zoo.reader()
    listed = page(reader, limit=1000).jobs
    asked = [job.seq for job in listed[::7]]
    found = reader.heads([*asked, 10**9])
    assert sorted(found, key=lambda job: -job.seq) == list(listed[::7])
    assert list(reader.heads([])) == []


def test_a_place_in_line(store: Store) -> None:
    first, second, urgent, elsewhere, busy, far, near, over = submit(
        store,
        new_job(),
        new_job(),
        new_job(priority=5),
        new_job(queue="other"),
        new_job(),
        new_job(run_at=NOW + 900),
        new_job(run_at=NOW + 800, priority=9),
        new_job(),
    )
    claim(store, busy, over)
    finish(store, ending(over))
    reader = store.reader()
    expected = {busy: 0, urgent: 1, first: 2, second: 3, near: 4, far: 5}
    for job, ahead in expected.items():
        assert reader.position(job.id) == Position(ahead=ahead, active=6)
    assert reader.position(elsewhere.id) == Position(ahead=0, active=1)
    assert reader.position(over.id) == Position(ahead=0, active=0)
    assert reader.position("nowhere") is None


def test_counts_of_every_queue(zoo: Store) -> None:
    jobs = page(zoo.reader(), limit=1000).jobs
    counts = zoo.reader().counts()
    assert [one.queue for one in counts] == ["q0", "q1", "q2"]
    for one in counts:
        mine = [job for job in jobs if job.queue == one.queue]
        for state in State:
            assert getattr(one, state.value) == sum(job.state is state for job in mine)
        assert one.due == sum(job.state is State.PENDING and job.run_at <= NOW for job in mine)
        assert not one.paused


def test_counts_follow_every_change(store: Store) -> None:
    reader = store.reader()

    def counts() -> QueueCounts:
        (one,) = reader.counts()
        return one

    due, later = submit(store, new_job(), new_job(run_at=NOW + 10))
    assert (counts().pending, counts().due) == (2, 1)
    with transaction(store):
        store.promote(NOW + 10, 10)
    assert (counts().pending, counts().due) == (2, 2)
    claim(store, due, later)
    assert (counts().pending, counts().running) == (0, 2)
    finish(store, ending(due, State.PENDING), ending(later, State.FAILED))
    assert (counts().pending, counts().running, counts().failed) == (1, 0, 1)
    with transaction(store):
        store.retry([later.id], NOW)
        store.delete([due.id], NOW)
    assert (counts().pending, counts().failed) == (1, 0)


def test_the_oldest_due_job_is_told(store: Store) -> None:
    add(store, queue="delayed", run_at=NOW + 5)
    submit(store, new_job(run_at=NOW - 50), new_job(priority=3, run_at=NOW - 100), new_job(run_at=NOW - 20))
    by_queue = {one.queue: one.oldest_pending_at for one in store.reader().counts()}
    assert by_queue == {"delayed": None, "q": NOW - 100}
    submit(store, new_job(priority=-3, run_at=NOW - 500))
    assert store.reader().counts()[1].oldest_pending_at == NOW - 500


def test_readers_may_be_many_and_are_closed_alone(store: Store) -> None:
    first, second = store.reader(), store.reader()
    first.close()
    add(store)
    assert page(second).total == 1
    second.close()
