"""Submits are refused before the disk is full."""

from pathlib import Path

import pytest
import trio
import trio.testing

from supervisor.control.space import EVERY, Space
from supervisor.errors import StoreUnavailable
from tests.control.conftest import open_house
from tests.control.fake_service import FakeService

MIB = 1024 * 1024
FOLDER = Path("/var/lib/stoker")


class Disk:
    def __init__(self, free: int) -> None:
        self.free: int | None = free
        self.looks = 0

    def __call__(self, folder: Path) -> int:
        self.looks += 1
        if self.free is None:
            raise PermissionError(folder)
        return self.free


def refused(space: Space, size: int = 0) -> bool:
    try:
        space.take(size)
    except StoreUnavailable:
        return True
    return False


def test_with_less_than_the_reserve_nothing_is_taken_and_the_refusal_says_why() -> None:
    disk = Disk(64 * MIB)
    space = Space(FOLDER, 64 * MIB, disk)
    space.look()
    assert not refused(space)
    disk.free = 63 * MIB
    space.look()
    with pytest.raises(StoreUnavailable, match=r"63 MiB is free in /var/lib/stoker, less than daemon\.disk_reserve"):
        space.take(0)
    assert space.reason is not None


def test_only_with_somewhat_more_than_the_reserve_are_jobs_taken_again() -> None:
    disk = Disk(60 * MIB)
    space = Space(FOLDER, 64 * MIB, disk)
    for free, full in ((60, True), (65, True), (72, False), (65, False), (60, True)):
        disk.free = free * MIB
        space.look()
        assert refused(space) is full


def asked_once(disk: Disk, inside: int) -> Space:
    """After the first look at such a disk."""

    async def ask() -> int:
        return inside

    async def look_once() -> Space:
        space = Space(FOLDER, 64 * MIB, disk, ask)
        with trio.move_on_after(EVERY / 2):
            await space.run()
        return space

    return trio.run(look_once, clock=trio.testing.MockClock(autojump_threshold=0))


@pytest.mark.parametrize(("free", "inside", "full"), [(63, 1, False), (63, 0, True), (16, 48, False), (15, 900, True)])
def test_room_in_the_stores_file_counts_up_to_three_times_what_is_free_beside_it(
    free: int, inside: int, full: bool
) -> None:
    assert refused(asked_once(Disk(free * MIB), inside * MIB)) is full


def test_the_refusal_tells_of_the_room_in_the_file() -> None:
    reason = asked_once(Disk(40 * MIB), 10 * MIB).reason
    assert reason is not None
    assert reason.startswith("40 MiB is free in /var/lib/stoker and 10 MiB in the store's own file, less than")


def test_what_is_submitted_between_two_looks_is_taken_from_the_room_in_the_file() -> None:
    assert refused(asked_once(Disk(60 * MIB), 12 * MIB), 9 * MIB)
    assert not refused(asked_once(Disk(60 * MIB), 14 * MIB), 9 * MIB)


async def test_a_store_that_cannot_be_read_has_no_room(autojump_clock: trio.testing.MockClock) -> None:
    async def ask() -> int:
        raise StoreUnavailable("it cannot be read")

    space = Space(FOLDER, MIB, Disk(MIB - 1), ask)
    with trio.move_on_after(EVERY / 2):
        await space.run()
    assert refused(space)


def test_where_the_reserve_is_free_again_but_not_somewhat_more_it_does_not_say_less() -> None:
    disk = Disk(64 * MIB - 1)
    space = Space(FOLDER, 64 * MIB, disk)
    space.look()
    assert space.reason == "63 MiB is free in /var/lib/stoker, less than daemon.disk_reserve (64MiB)"
    disk.free = 66 * MIB
    space.look()
    assert space.reason == "66 MiB is free in /var/lib/stoker, not yet an eighth more than daemon.disk_reserve (64MiB)"


def test_large_submits_have_it_look_at_once_and_small_ones_do_not() -> None:
    disk = Disk(80 * MIB)
    space = Space(FOLDER, 64 * MIB, disk)
    space.look()
    disk.free = 10 * MIB
    assert not any(refused(space, 100) for _ in range(1000))
    assert disk.looks == 1
    assert [refused(space, MIB) for _ in range(9)] == [False] * 7 + [True, True]
    assert disk.looks == 2


async def test_without_a_reserve_nobody_looks(autojump_clock: trio.testing.MockClock) -> None:
    disk = Disk(0)
    space = Space(FOLDER, 0, disk)
    with trio.move_on_after(10 * EVERY):
        await space.run()
    assert not refused(space, 100 * MIB)
    assert (disk.looks, space.free, space.reason) == (0, None, None)


def test_a_disk_that_does_not_say_takes_everything() -> None:
    disk = Disk(1)
    space = Space(FOLDER, MIB, disk)
    space.look()
    disk.free = None
    space.look()
    assert not refused(space)


async def test_it_looks_every_second(autojump_clock: trio.testing.MockClock) -> None:
    disk = Disk(MIB)
    with trio.move_on_after(10.5 * EVERY):
        await Space(FOLDER, MIB, disk).run()
    assert disk.looks == 11


async def test_a_key_that_is_known_is_answered_on_a_full_disk_too() -> None:
    service = FakeService()
    async with open_house(service) as house:
        talk = await house.connect()
        first = await talk.ask("submit", queue="thumbs", payload=1, client="c", key="k")
        service.space = Space(FOLDER, MIB, Disk(0))
        service.space.look()
        again = {"queue": "thumbs", "payload": 1, "client": "c", "key": "k"}
        assert (await talk.ask("submit", **again))["id"] == first["id"]
        assert (await talk.ask("submit_many", jobs=[again]))["jobs"][0]["id"] == first["id"]
        fresh = {**again, "key": "l"}
        for refusal in (await talk.refusal("submit", **fresh), await talk.refusal("submit_many", jobs=[again, fresh])):
            assert refusal.word == "store_unavailable"
            assert refusal.message.startswith("0 MiB is free in")
        assert [entry["event"] for entry in house.logs] == ["disk_low"]
        house.logs.clear()
