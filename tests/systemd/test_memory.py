"""Memory limits, on a kernel whose cgroups have them."""

from pathlib import Path

import pytest

from tests.systemd.kernel import run_with_own_kernel
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
