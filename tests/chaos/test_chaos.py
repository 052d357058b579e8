"""Whatever workers do, at random and all at once: every job ends as its script says, and nothing is left behind."""

import pytest

from tests.chaos import cgroup
from tests.chaos.conftest import Run
from tests.chaos.model import ANSWERS, CAUSES
from tests.chaos.report import ratio
from tests.chaos.run import Result

MAY_GROW = 32_000_000  # bytes of the daemon from the end of the first slice to that of the last


def check(result: Result) -> None:
    assert not result.tally.troubles, "\n".join(result.tally.troubles)
    assert not result.left, "\n".join(result.left)
    # The last worker of a chaotic pool may have come to nothing a moment ago.
    assert {pool["state"] for pool in result.pools.values()} <= {"ready", "degraded"}
    assert result.pools["healthy"]["state"] == "ready"
    assert result.pools["healthy"]["crashes"] == 0


def test_every_job_ends_as_its_script_says_and_nothing_is_left(run: Run) -> None:
    """Without cgroups, as most have it; the long one is with them where they can be made."""
    result = run(without=["cgroup"], seed=1, seconds=5, slice=5, calm=0)
    check(result)
    assert len(result.tally.endings) > 200


@pytest.mark.long
def test_a_minute_and_a_half_of_chaos(run: Run) -> None:
    result = run(without=[] if cgroup.can_be_made() else ["cgroup"], seed=2, seconds=72, slice=12, calm=8)
    check(result)
    assert {name.split(",")[0].replace(" ", "_") for name in result.tally.behaviours} >= ANSWERS | {*CAUSES} - {"stray"}
    assert result.tally.cancels["in time"] > 10
    assert result.memory[-1] - result.memory[0] < MAY_GROW
    # The goal is 2, on a machine with nothing else to do. On one that has, the median of six pairs may be twice that; a
    # loop that waits for its workers makes it ten and more.
    assert ratio(result) < 4
