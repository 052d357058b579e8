"""When a worker is replaced as planned."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from supervisor.config.model import PoolConfig
from supervisor.core.recycle import Limits, draw, due

MIB = 1024 * 1024


def pool(**limits):
    return PoolConfig(name="thumbs", command=("thumb",), queues=("thumbs",), cwd=Path("/"), **limits)


def why(limits, *, jobs_done=0, age=0.0, idle=0.0, rss=0):
    return due(limits, jobs_done=jobs_done, age=age, idle=idle, rss=rss)


limited = st.builds(
    pool,
    max_jobs=st.none() | st.integers(1, 10**9),
    max_age=st.none() | st.floats(1, 1e8),
    max_idle=st.none() | st.floats(1, 1e8),
    max_rss=st.none() | st.integers(MIB, 2**50),
    recycle_jitter=st.floats(0, 0.9),
)


def named(limits):
    return (limits.jobs, limits.age, limits.idle, limits.rss)


def said(config):
    return (config.max_jobs, config.max_age, config.max_idle, config.max_rss)


@given(limited, st.floats(0, 1, exclude_max=True))
def test_a_limit_is_never_later_than_said_and_earlier_by_the_jitter_at_most(config, place):
    for drawn, limit in zip(named(draw(config, lambda: place)), said(config), strict=True):
        if limit is None:
            assert drawn is None
        else:
            rounding = 0.5 if isinstance(limit, int) else 0
            assert 0 < drawn <= limit
            assert drawn >= limit * (1 - config.recycle_jitter) * (1 - 1e-12) - rounding


@given(limited, st.randoms())
def test_without_jitter_the_limits_are_those_of_the_configuration(config, luck):
    exact = replace(config, recycle_jitter=0.0)
    assert named(draw(exact, luck.random)) == said(config)


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_the_workers_of_a_pool_of_fifty_do_not_go_together(spread):
    config = pool(max_jobs=10_000, max_age=3600.0, recycle_jitter=spread)
    for seed in range(50):
        luck = random.Random(seed)
        limits = [draw(config, luck.random) for _ in range(50)]
        # At random moments of the whole span, a twentieth of it would see 2.5 of them go.
        assert most_within(sorted(one.jobs for one in limits), 10_000 * spread / 20) <= 12
        assert most_within(sorted(one.age for one in limits), 3600 * spread / 20) <= 12


def most_within(moments, window):
    return max(sum(start <= moment <= start + window for moment in moments) for start in moments)


def test_each_limit_has_its_own_luck():
    luck = iter([0.0, 0.25, 0.5, 0.75])
    limits = draw(pool(max_jobs=100, max_age=100.0, max_idle=100.0, max_rss=100 * MIB), lambda: next(luck))
    assert limits == Limits(jobs=100, age=95.0, idle=90.0, rss=85 * MIB)


def test_a_worker_does_one_job_at_least():
    assert draw(pool(max_jobs=1, recycle_jitter=0.9), lambda: 0.999).jobs == 1


def test_a_small_number_of_jobs_is_spread_too():
    config = pool(max_jobs=10)  # 8, 9 or 10
    luck = iter(range(100))
    drawn = {draw(config, lambda: next(luck) / 100).jobs for _ in range(100)}
    assert drawn == {8, 9, 10}


LIMITS = Limits(jobs=1000, age=5400.0, idle=60.0, rss=300 * MIB)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"jobs_done": 1000}, "it has done 1000 jobs (max_jobs: 1000 for this one)"),
        ({"age": 5412.0}, "it is 1h30m old (max_age: 1h30m for this one)"),
        ({"idle": 60.01}, "it has been idle for 1m (max_idle: 1m for this one)"),
        ({"rss": 312 * MIB}, "its memory is 312MiB (max_rss: 300MiB for this one)"),
    ],
)
def test_the_reason_names_the_key_with_its_figures(state, reason):
    assert why(LIMITS, **state) == reason


def test_one_job_is_one_job():
    assert why(Limits(jobs=1), jobs_done=1) == "it has done 1 job (max_jobs: 1 for this one)"


@pytest.mark.parametrize("state", [{"jobs_done": 999}, {"age": 5399.9}, {"idle": 59.9}, {"rss": 300 * MIB - 1}])
def test_below_its_limit_a_worker_stays(state):
    assert why(LIMITS, **state) is None


def test_memory_that_is_not_known_is_no_reason():
    assert why(LIMITS, rss=None) is None


@given(st.integers(0, 10**12), st.floats(0, 1e12), st.floats(0, 1e12), st.none() | st.integers(0, 2**60))
def test_a_worker_without_limits_stays_for_ever(jobs_done, age, idle, rss):
    assert due(draw(pool(), random.random), jobs_done=jobs_done, age=age, idle=idle, rss=rss) is None
