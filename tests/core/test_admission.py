"""Who enters a queue that holds only so many, and when the others should ask again."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.admission import RETRY_LEAST, RETRY_MOST, Full, Taken, admit, retry_after
from supervisor.core.identity import Holder
from supervisor.core.job import NewJob, OnConflict, State
from tests.store.support import new_job


def jobs(count: int, queue: str = "q", **values: object) -> list[NewJob]:
    return [new_job(queue=queue, **values) for _ in range(count)]


def test_groups_enter_in_their_order_until_the_queue_is_full() -> None:
    full = Full(queue="q", wanted=2, pending=4, limit=5)
    assert admit([jobs(2), jobs(2), jobs(1)], {}, {"q": 2}, {"q": 5}) == [None, full, None]


def test_a_group_enters_as_a_whole_or_not_at_all() -> None:
    mixed = [*jobs(1, "free"), *jobs(1, "q"), *jobs(1, "other")]
    assert admit([mixed, jobs(1, "other")], {}, {"q": 1, "other": 0}, {"q": 1, "other": 1}) == [
        Full(queue="q", wanted=1, pending=1, limit=1),
        None,
    ]


def test_a_queue_without_a_limit_takes_everything() -> None:
    assert admit([jobs(1000)], {}, {}, {"r": 1}) == [None]


def test_jobs_that_an_earlier_one_answers_need_no_room() -> None:
    known = jobs(3)
    assert admit([known], {job.id: Holder("x", State.PENDING) for job in known}, {"q": 1}, {"q": 1}) == [None]


def test_of_the_same_key_or_unique_only_the_first_needs_room() -> None:
    for values in ({"client": "c", "key": "k"}, {"unique": "u"}):
        assert admit([jobs(2, **values), jobs(1, **values)], {}, {"q": 0}, {"q": 1}) == [None, None]


def test_what_was_refused_answers_for_nobody() -> None:
    refused = [*jobs(1, unique="u"), *jobs(1)]
    assert admit([refused, jobs(1, unique="u")], {}, {"q": 0}, {"q": 1})[1] is None


def one(**values: object) -> list[NewJob]:
    return [new_job(**{"unique": "u", **values})]


def replace(**values: object) -> list[NewJob]:
    return one(on_conflict=OnConflict.REPLACE, **values)


def reject(**values: object) -> list[NewJob]:
    return one(on_conflict=OnConflict.REJECT, **values)


def test_a_job_that_takes_anothers_place_needs_no_room() -> None:
    stored = replace()
    holders = {stored[0].id: Holder("x", State.PENDING)}
    assert admit([stored, replace(), [*replace(), *replace()]], holders, {"q": 1}, {"q": 1}) == [None] * 3
    assert admit([replace()], {}, {"q": 1}, {"q": 1}) == [Full(queue="q", wanted=1, pending=1, limit=1)]


def test_a_job_that_runs_or_may_not_be_touched_is_named() -> None:
    first, second = replace(), [*jobs(1), *reject()]
    runs, waits = Holder("x", State.RUNNING), Holder("y", State.PENDING)
    assert admit([first, second], {first[0].id: runs, second[1].id: waits}, {}, {}) == [
        Taken(index=0, holder=runs, same_group=False),
        Taken(index=1, holder=waits, same_group=False),
    ]


def test_what_is_known_from_this_batch_is_newer_than_what_the_store_knew() -> None:
    first, second = replace(), reject()
    old = Holder("x", State.PENDING)
    verdicts = admit([first, second], {first[0].id: old, second[0].id: old}, {}, {})
    newer = Holder(first[0].id, State.PENDING)
    assert verdicts == [None, Taken(index=0, holder=newer, same_group=False)]


def test_a_job_of_the_same_group_is_no_more_there_than_its_rival() -> None:
    both = [*reject(), *reject()]
    [verdict, after] = admit([both, reject()], {}, {}, {})
    assert verdict == Taken(index=1, holder=Holder(both[0].id, State.PENDING), same_group=True)
    assert after is None


def test_a_key_answers_before_its_value_is_looked_at() -> None:
    known, first, again = reject(client="c", key="k"), replace(client="c", key="n"), reject(client="c", key="n")
    holders = {known[0].id: Holder("x", State.RUNNING, by_key=True)}
    assert admit([known, first, again, replace()], holders, {"q": 0}, {"q": 1}) == [None] * 4


@given(
    sizes=st.lists(st.integers(0, 5), max_size=8),
    names=st.lists(st.sampled_from(["a", "b", "c", None]), min_size=40, max_size=40),
    pending=st.integers(0, 12),
    limit=st.integers(1, 12),
)
def test_no_group_brings_a_queue_over_its_limit_and_none_is_refused_needlessly(
    sizes: list[int], names: list[str | None], pending: int, limit: int
) -> None:
    rest = iter(names)
    groups = [[new_job(unique=next(rest)) for _ in range(size)] for size in sizes]
    waiting, taken = pending, set[str]()
    for group, verdict in zip(groups, admit(groups, {}, {"q": pending}, {"q": limit}), strict=True):
        uniques = {job.unique for job in group if job.unique is not None} - taken
        wanted = len(uniques) + sum(job.unique is None for job in group)
        if wanted and waiting + wanted > limit:
            assert verdict == Full(queue="q", wanted=wanted, pending=waiting, limit=limit)
        else:
            assert verdict is None
            waiting += wanted
            taken |= uniques
    assert waiting <= max(pending, limit)


def full(pending: int, wanted: int = 1, limit: int = 100) -> Full:
    return Full(queue="q", wanted=wanted, pending=pending, limit=limit)


def test_the_advice_is_how_long_the_queue_takes_to_make_room() -> None:
    assert retry_after(full(100, 20), 4.0) == 5.0


def test_the_advice_stays_within_bounds() -> None:
    assert retry_after(full(100), 1000.0) == RETRY_LEAST
    assert retry_after(full(10_000), 1.0) == RETRY_MOST
    assert retry_after(full(100), 0.0) == RETRY_MOST


def test_what_never_fits_gets_no_advice_to_wait() -> None:
    assert retry_after(full(0, 101), 50.0) is None
