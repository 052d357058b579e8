"""Pages of several queues as one."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from supervisor.control.seeing import merged
from supervisor.core.job import Job
from supervisor.store.port import PAGE_BYTES, Page
from tests.control.fake_service import a_job

NOTHING = Page(jobs=(), total=0, next_seq=None)


def page(jobs: list[Job], limit: int, before: int | None) -> Page:
    """As a reader's, of one queue."""
    rest = [job for job in sorted(jobs, key=lambda job: -job.seq) if before is None or job.seq < before]
    shown = rest[:limit]
    return Page(jobs=tuple(shown), total=len(jobs), next_seq=shown[-1].seq if len(rest) > limit else None)


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(1, 7))
def test_page_by_page_each_job_comes_once_newest_first(queues: list[str], limit: int) -> None:
    jobs = [a_job(seq=seq, queue=queue) for seq, queue in enumerate(queues, start=1)]
    by_queue = [[job for job in jobs if job.queue == queue] for queue in "abc"]
    seen: list[int] = []
    before: int | None = None
    while True:
        one = reduce(lambda all, some: merged(all, page(some, limit, before), limit), by_queue, NOTHING)
        assert len(one.jobs) == limit or one.next_seq is None
        assert one.total == len(jobs)
        seen += [job.seq for job in one.jobs]
        before = one.next_seq
        if before is None:
            break
    assert seen == [job.seq for job in reversed(jobs)]


def test_a_page_is_no_heavier_than_one_queues_and_holds_at_least_one_job() -> None:
    heavy = [a_job(seq=seq, payload=b"x" * (PAGE_BYTES // 2 + 1)) for seq in (1, 2, 3)]
    both = merged(page(heavy[:2], 9, None), page(heavy[2:], 9, None), 9)
    assert ([job.seq for job in both.jobs], both.total, both.next_seq) == ([3], 3, 3)
    alone = merged(page([a_job(seq=1, payload=b"x" * (PAGE_BYTES + 1))], 9, None), NOTHING, 9)
    assert ([job.seq for job in alone.jobs], alone.next_seq) == ([1], None)
