"""Somebody who never ends a line costs the daemon what one line may be, and no more."""

import random
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from supervisor.control.intake import Intake
from supervisor.core.blame import Why
from supervisor.core.job import Cause, State
from supervisor.pool.conversation import Broken, Conversation
from tests.pool.rig import rig
from tests.workers import command

KIB = 1024
MIB = 1024 * KIB
MAX_LINE = 64 * KIB
CHUNK = 64 * KIB
ENDLESS = 32 * MIB
# The line, an eighth more that it grows ahead, the chunk, and two copies of it on the way.
BOUND = MAX_LINE + MAX_LINE // 8 + 3 * CHUNK + 16 * KIB


@pytest.fixture(autouse=True)
def traced() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def peak(work: Callable[[], object]) -> int:
    """Bytes that `work` held at most."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    work()
    return tracemalloc.get_traced_memory()[1] - before


def endless(rng: random.Random) -> Iterator[bytes]:
    left = ENDLESS
    while left > 0:
        size = min(left, rng.choice((rng.randint(1, 100), rng.randint(1, CHUNK), CHUNK)))
        yield b"x" * size
        left -= size


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("asked", [True, False])
def test_a_worker_whose_line_never_ends_costs_one_line(seed: int, asked: bool) -> None:
    conversation = Conversation(MAX_LINE, lambda: False)
    if asked:
        conversation.request("0199f3c2-0000-7000-8000-000000000000")
    reasons: set[Why] = set()

    def hear() -> None:
        for chunk in endless(random.Random(seed)):
            reasons.update(step.why for step in conversation.hear(chunk) if isinstance(step, Broken))

    assert peak(hear) < BOUND
    assert Why.OVERSIZE in reasons


@pytest.mark.parametrize("seed", range(3))
def test_a_client_whose_line_never_ends_costs_one_line_and_one_error(seed: int) -> None:
    intake = Intake(MAX_LINE)
    found = 0

    def feed() -> None:
        nonlocal found
        for chunk in endless(random.Random(seed)):
            found += len(intake.feed(chunk))

    assert peak(feed) < BOUND
    assert found == 1
    assert intake.feed(b"\nnext\n") == [b"next"]


async def test_a_daemon_whose_worker_never_ends_its_line_holds_one_line(tmp_path) -> None:
    max_line = 2 * MIB
    async with rig(command("oversize"), folder=tmp_path, max_line=max_line) as daemon:
        assert (await daemon.run(None)).state is State.DONE
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        job = await daemon.run({"endless": True})
        assert (job.state, job.error.cause) == (State.FAILED, Cause.OVERSIZE)
        held = tracemalloc.get_traced_memory()[1] - before
        assert max_line // 2 < held < max_line + max_line // 8 + MIB
        assert (await daemon.run(None)).state is State.DONE
        assert tracemalloc.get_traced_memory()[0] - before < MIB
