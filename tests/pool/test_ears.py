"""Hearing many children at once: who is heard, who is not any more, and that the loop goes on meanwhile."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from supervisor.pool import procfs
from supervisor.pool.ears import Ears
from supervisor.pool.launcher import Launcher
from supervisor.pool.pool import Pool
from tests.pool.rig import pool_config, rig
from tests.workers import command


class Speaker:
    """A pipe that is heard; what was read from it."""

    def __init__(self, stack: ExitStack) -> None:
        self.out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, self.out)
        stack.callback(os.close, self._in)
        self.heard: list[bytes] = []

    def say(self, word: bytes) -> None:
        os.write(self._in, word)

    def hear(self) -> None:
        self.heard.append(os.read(self.out, 1))


@pytest.fixture
def speakers() -> Iterator[list[Speaker]]:
    with ExitStack() as stack:
        yield [Speaker(stack) for _ in range(3)]


@pytest.fixture
def ears() -> Iterator[Ears]:
    made = Ears()
    yield made
    made.close()


async def _all_heard(speakers: list[Speaker], count: int) -> None:
    with trio.fail_after(10):
        while sum(len(one.heard) for one in speakers) < count:
            await trio.lowlevel.checkpoint()


async def test_whoever_speaks_is_heard(ears: Ears, speakers: list[Speaker], nursery: trio.Nursery) -> None:
    for one in speakers:
        ears.listen(one.out, one.hear)
    nursery.start_soon(ears.run)
    for number, one in enumerate(speakers):
        one.say(b"%d" % number)
    await _all_heard(speakers, 3)
    assert [one.heard for one in speakers] == [[b"0"], [b"1"], [b"2"]]


async def test_who_is_ignored_is_not_heard_though_it_had_spoken(
    ears: Ears, speakers: list[Speaker], nursery: trio.Nursery
) -> None:
    """One of the two is heard first, and has the other ignored before its turn comes."""
    first, second, third = speakers

    def hear_alone(one: Speaker, other: Speaker) -> None:
        one.hear()
        ears.ignore(other.out)

    ears.listen(first.out, lambda: hear_alone(first, second))
    ears.listen(second.out, lambda: hear_alone(second, first))
    ears.listen(third.out, third.hear)
    first.say(b"a")
    second.say(b"b")
    nursery.start_soon(ears.run)
    await _all_heard(speakers, 1)
    third.say(b"c")
    await _all_heard(speakers, 2)
    assert sorted([len(first.heard), len(second.heard)]) == [0, 1]
    assert third.heard == [b"c"]


def test_ignoring_twice_is_once(ears: Ears, speakers: list[Speaker]) -> None:
    ears.listen(speakers[0].out, speakers[0].hear)
    ears.ignore(speakers[0].out)
    ears.ignore(speakers[0].out)


async def test_one_that_never_stops_speaking_leaves_the_others_their_turn(
    ears: Ears, speakers: list[Speaker], nursery: trio.Nursery
) -> None:
    endless = speakers[0]

    def hear() -> None:
        endless.hear()
        endless.say(b"x")
        assert len(endless.heard) < 1_000_000, "the loop never got its turn"

    ears.listen(endless.out, hear)
    endless.say(b"x")
    nursery.start_soon(ears.run)
    for _ in range(3):
        await _all_heard(speakers, len(endless.heard) + 1)  # which looks between turns of the loop


async def test_a_chatterer_has_a_rest_while_the_others_are_heard(
    ears: Ears, speakers: list[Speaker], nursery: trio.Nursery
) -> None:
    chatterer, other, _ = speakers
    told: list[int] = []  # how often the other had been heard, each time the chatterer was

    def chatter() -> bool:
        chatterer.hear()
        chatterer.say(b"x")
        told.append(len(other.heard))
        return True

    def answer() -> None:
        other.hear()
        other.say(b"y")

    ears.listen(chatterer.out, chatter)
    ears.listen(other.out, answer)
    chatterer.say(b"x")
    other.say(b"y")
    nursery.start_soon(ears.run)
    with trio.fail_after(10):
        while len(told) < 4:
            await trio.lowlevel.checkpoint()
    between = [after - before for before, after in pairwise(told[1:])]
    assert min(between) > 10, "it was heard again without a rest"


async def test_who_rests_can_be_ignored(ears: Ears, speakers: list[Speaker], nursery: trio.Nursery) -> None:
    chatterer, other, _ = speakers

    def chatter() -> bool:
        chatterer.hear()
        return True

    ears.listen(chatterer.out, chatter)
    ears.listen(other.out, other.hear)
    chatterer.say(b"xx")
    nursery.start_soon(ears.run)
    await _all_heard([chatterer], 1)
    ears.ignore(chatterer.out)
    other.say(b"y")
    await _all_heard([other], 1)
    assert chatterer.heard == [b"x"]


async def test_a_pool_that_is_cancelled_ends_its_children(tmp_path: Path) -> None:
    """Nobody hears them then, and they are to go all the same."""
    async with rig(command("echo"), folder=tmp_path) as here:
        config = pool_config(command("echo"), tmp_path, name="other")
        other = Pool(config, here.feeder, Launcher(here.remains, os.environ))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other.run)
            await here.until(lambda: other.slots and other.slots[0].state == "idle")
            child = other.slots[0].child
            assert child is not None
            nursery.cancel_scope.cancel()
        assert procfs.stat(child.pid) is None


def test_who_serves_nobody_else_does_something_while_all_are_silent_and_hears_them_at_once(
    speakers: list[Speaker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor.pool.ears.TURN", 60.0)
    speaker, done = speakers[0], list[int]()

    def meanwhile() -> None:
        done.append(len(speaker.heard))
        if len(done) < 3:
            speaker.say(b"x")

    ears = Ears(meanwhile)
    try:
        ears.listen(speaker.out, speaker.hear)
        ears._hear_some()
    finally:
        ears.close()
    assert (done, speaker.heard) == ([0, 1, 2], [b"x", b"x"])
