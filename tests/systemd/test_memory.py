"""Memory limits, on a kernel whose cgroups have them."""

from pathlib import Path

import pytest

from tests.systemd.kernel import run_with_own_kernel
from tests.systemd.service import system_units
from tests.systemd.surroundings import PYTHON

MIB = 1024 * 1024


@pytest.mark.long
def test_a_workers_memory_is_limited_by_its_cgroup(tmp_path: Path) -> None:
    """with_memory.py, test by test."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(128 * MIB)
    tests = Path(__file__).with_name("with_memory.py")
    outcome = run_with_own_kernel(
        *("env", f"BIG_FILE={big}", PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests), show=[tmp_path]
    )
    assert outcome.code == 0, outcome.output
    assert "skipped" not in outcome.output


@pytest.mark.long
def test_a_service_at_its_memory_max_loses_a_worker_and_not_the_daemon() -> None:
    """with_memory_max.py, test by test."""
    tests = Path(__file__).with_name("with_memory_max.py")
    outcome = run_with_own_kernel(PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, units=system_units())
    assert outcome.code == 0, outcome.output
    assert "skipped" not in outcome.output
