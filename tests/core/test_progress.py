from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.progress import FINE, Advice, Progress, Standing

PATIENCE, LONGEST = 30.0, 10.0

counts = st.integers(0, 2)
looks = st.lists(
    st.tuples(
        st.one_of(st.floats(-5, 15), st.floats(100, 1e6)),  # seconds since the last look, by a clock that may be wrong
        st.lists(
            st.builds(Standing, st.sampled_from("ab"), counts, counts, counts), max_size=2, unique_by=lambda s: s.pool
        ),
    ),
    max_size=40,
)


def stands(idle: int = 1, waiting: int = 1, begun: int = 0, pool: str = "p") -> list[Standing]:
    return [Standing(pool, idle, waiting, begun)]


def seen(progress: Progress, *turns: tuple[float, list[Standing]]) -> list[Advice]:
    return [progress.look(standings, now).advice for now, standings in turns]


def every(step: float, count: int, *, first: float = 0.0, begun: int = 0) -> list[tuple[float, list[Standing]]]:
    return [(first + step * turn, stands(begun=begun)) for turn in range(count)]


def test_jobs_that_wait_beside_idle_workers_are_a_standstill_after_the_patience_and_read_anew_before() -> None:
    said = seen(Progress(PATIENCE, LONGEST), *every(5.0, 8))
    assert said == [Advice.FINE] * 3 + [Advice.RENEW] + [Advice.FINE] * 2 + [Advice.STUCK] * 2


def test_the_finding_says_which_pool_and_for_how_long() -> None:
    progress = Progress(PATIENCE, LONGEST)
    for turn in range(8):
        finding = progress.look([*stands(2, 3, 7, "slow"), *stands(begun=turn, pool="lively")], turn * 5.0)
    assert finding == (Advice.STUCK, Standing("slow", 2, 3, 7), 35.0)


def test_a_job_that_begins_is_progress_and_the_time_begins_again() -> None:
    progress = Progress(PATIENCE, LONGEST)
    assert seen(progress, *every(5.0, 8))[-1] is Advice.STUCK
    assert seen(progress, (40.0, stands(begun=1)), (45.0, stands(begun=1))) == [Advice.FINE] * 2
    assert seen(progress, *every(5.0, 5, first=50.0, begun=1))[1] is Advice.RENEW


def test_a_long_sleep_is_one_look() -> None:
    """A suspended machine, a process that was stopped: nothing could have begun meanwhile."""
    assert seen(Progress(PATIENCE, LONGEST), (0.0, stands()), (86_400.0, stands())) == [Advice.FINE] * 2


def test_a_pool_without_an_idle_worker_or_without_a_job_has_no_past() -> None:
    for pause in (stands(idle=0), stands(waiting=0), []):
        progress = Progress(PATIENCE, LONGEST)
        assert seen(progress, *every(5.0, 6), (30.0, pause), (35.0, stands()))[-2:] == [Advice.FINE] * 2


@given(looks)
def test_no_alarm_where_anything_moved_or_nothing_could_within_the_patience(
    turns: list[tuple[float, list[Standing]]],
) -> None:
    progress, now = Progress(PATIENCE, LONGEST), 1000.0
    history: list[tuple[float, dict[str, Standing]]] = []
    for passed, standings in turns:
        now += passed
        history.append((min(max(passed, 0.0), LONGEST), {one.pool: one for one in standings}))
        finding = progress.look(standings, now)
        if finding == FINE:
            continue
        assert finding.standing is not None
        wanted = PATIENCE if finding.advice is Advice.STUCK else PATIENCE / 2
        looked = 0.0
        for seconds, state in reversed(history):
            mine = state.get(finding.standing.pool)
            assert mine is not None
            assert mine.idle
            assert mine.waiting
            assert mine.begun == finding.standing.begun
            looked += seconds
            if looked >= wanted:
                break
        assert looked >= wanted


@given(looks)
def test_whatever_was_before_a_standstill_is_always_found(turns: list[tuple[float, list[Standing]]]) -> None:
    progress, now = Progress(PATIENCE, LONGEST), 1000.0
    for passed, standings in turns:
        now += passed
        progress.look(standings, now)
    said = seen(progress, *every(5.0, 8, first=now + 1.0, begun=99))
    assert said[-1] is Advice.STUCK
