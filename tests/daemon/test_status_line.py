import pytest

from protocol.control import PoolView
from supervisor.daemon import status_line


def pool(name: str = "p", state: str = "ready", size: int = 4, idle: int = 4, busy: int = 0) -> PoolView:
    figures = dict.fromkeys(("generation", "spawned", "crashes", "recycled", "jobs_done"), 0)
    return PoolView(
        pool=name, state=state, reason=None, restarting=False, size=size, min=size, max=size, idle=idle, busy=busy,
        queues=[name], order="fair", shares=[], **figures,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("pools", "running", "pending", "troubles", "line"),
    [
        ([pool(idle=3, busy=1)] * 3, 4, 120, [], "3 pools, 12/12 workers, 4 running, 120 pending"),
        ([pool()], 0, None, [], "1 pool, 4/4 workers, 0 running"),
        ([], 0, 0, [], "0 pools, 0/0 workers, 0 running, 0 pending"),
        (
            [pool("a", "degraded", idle=0), pool("b"), pool("c", "degraded", idle=1)],
            0,
            7,
            ["store failing: disk full"],
            "3 pools, 5/12 workers, 0 running, 7 pending; degraded: a, c; store failing: disk full",
        ),
    ],
)
def test_how_the_daemon_stands(
    pools: list[PoolView], running: int, pending: int | None, troubles: list[str], line: str
) -> None:
    assert status_line.serving(pools, running, pending, troubles) == line


def test_a_stop_says_what_it_waits_for_and_how_long_it_will_at_most() -> None:
    busy = [pool(idle=1, busy=3)]
    assert status_line.stopping(busy, 3, 20.3) == "stopping: 3 running, 20 s left"
    assert status_line.stopping(busy, 3, 0.0) == "stopping: ending 4 workers"
    assert status_line.stopping([pool(idle=1)], 0, 12.0) == "stopping: ending 1 worker"
    assert status_line.stopping([pool(idle=0)], 0, 0.0) == "stopping"
