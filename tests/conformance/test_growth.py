"""Whether memory grows: samples in, a judgement out."""

import random

import pytest

from supervisor.conformance.growth import KIB, MIB, measure

JOBS = range(0, 10_000, 250)
STEP = 64 * KIB  # an allocator's


def samples(per_job: float, noise: int = 0) -> list[tuple[int, int]]:
    chance = random.Random(1)
    return [(n, int(20 * MIB + n * per_job) // STEP * STEP + chance.randrange(-noise, noise + 1)) for n in JOBS]


@pytest.mark.parametrize("noise", [0, 50 * KIB, 500 * KIB])
@pytest.mark.parametrize("per_job", [2 * KIB, 10 * KIB])
def test_a_leak_is_found_whatever_the_noise(per_job: int, noise: int) -> None:
    growth = measure(samples(per_job, noise))
    assert growth.certain
    assert growth.per_job == pytest.approx(per_job, rel=0.1)


@pytest.mark.parametrize("noise", [0, 500 * KIB, 5 * MIB])
def test_noise_is_no_leak(noise: int) -> None:
    assert not measure(samples(0, noise)).suspect


def test_a_small_leak_is_suspect_only() -> None:
    growth = measure(samples(300))
    assert (growth.suspect, growth.certain) == (True, False)


def test_a_step_is_no_leak() -> None:
    stepped = [(n, 20 * MIB + (30 * MIB if n > 6000 else 0)) for n in JOBS]
    assert not measure(stepped).suspect


def test_a_heap_that_is_collected_now_and_then_is_no_leak() -> None:
    waves = [(n, 20 * MIB + n % 3000 * 4 * KIB) for n in JOBS]
    assert not measure(waves).suspect


def test_a_heap_that_fills_and_then_stays_is_no_leak() -> None:
    filled = [(n, 20 * MIB + min(n, 4000) * 10 * KIB) for n in JOBS]
    assert not measure(filled).suspect
