"""restart and resize, from the socket to a pool: who waits for what, and what a daemon that stops says."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing

from protocol.control import PoolView
from supervisor.control.service import Service
from supervisor.errors import Conflict, RestartFailed
from tests.control.conftest import House, open_house
from tests.control.fake_service import NOW, a_config, a_pool_view


class Restarted(NamedTuple):
    generation: int
    replaced: int


class FakePool:
    """A pool that restarts in a task of its own, and has done so when the test says `come_up`."""

    def __init__(self, name: str, nursery: trio.Nursery) -> None:
        self.name = name
        self.come_up = trio.Event()
        self.generation = 1
        self.caps = (1, 1)
        self.refusal: Exception | None = None
        self.asked = trio.Event()
        self._done = trio.Event()
        self._nursery = nursery

    async def restart(self) -> Restarted:
        if self.refusal is not None:
            raise self.refusal
        self.asked.set()
        self._nursery.start_soon(self._restart)
        await self._done.wait()
        return Restarted(self.generation, replaced=1)

    async def _restart(self) -> None:
        await self.come_up.wait()
        self.generation += 1
        self._done.set()

    def resize(self, low: int, high: int) -> None:
        self.caps = (low, high)

    def view(self) -> PoolView:
        return a_pool_view(pool=self.name, generation=self.generation, min=self.caps[0], max=self.caps[1])


class FakeFeeder:
    stopped = False
    running: tuple[object, ...] = ()


class Daemon(NamedTuple):
    house: House
    pool: FakePool
    feeder: FakeFeeder


@asynccontextmanager
async def a_daemon() -> AsyncIterator[Daemon]:
    async with trio.open_nursery() as nursery:
        pool, feeder, nothing = FakePool("thumbs", nursery), FakeFeeder(), None
        pools: Any = [pool, FakePool("mail", nursery)]
        service: Any = Service(
            a_config(),
            nothing,  # type: ignore[arg-type]
            nothing,  # type: ignore[arg-type]
            feeder,  # type: ignore[arg-type]
            pools,
            version="1.2.3",
            epoch=1,
            now=lambda: NOW,
        )
        async with open_house(service) as house:
            yield Daemon(house, pool, feeder)
        nursery.cancel_scope.cancel()


async def test_restart_is_answered_when_it_is_over_and_holds_nobody_up() -> None:
    async with a_daemon() as (house, pool, _):
        talk = await house.connect()
        restart = await talk.send("restart", pool="thumbs")
        assert (await talk.ask("ping"))["version"] == "1.2.3"
        pool.come_up.set()
        assert await talk.result(restart) == {"pool": "thumbs", "generation": 2, "replaced": 1}


async def test_a_restart_goes_on_when_the_one_who_asked_has_gone() -> None:
    async with a_daemon() as (house, pool, _):
        talk = await house.connect()
        await talk.send("restart", pool="thumbs")
        await pool.asked.wait()
        talk.close()
        while house.service.connections:
            await trio.testing.wait_all_tasks_blocked()
        pool.come_up.set()
        await trio.testing.wait_all_tasks_blocked()
        assert pool.generation == 2


async def test_what_the_pool_refuses_reaches_the_client_in_its_words() -> None:
    async with a_daemon() as (house, pool, _):
        talk = await house.connect()
        pool.refusal = RestartFailed("the new worker exited with code 3: the old ones serve on", replaced=0)
        refusal = await talk.refusal("restart", pool="thumbs")
        assert (refusal.word, refusal.data["replaced"]) == ("restart_failed", 0)
        assert refusal.message == "the new worker exited with code 3: the old ones serve on"
        pool.refusal = Conflict("pool thumbs is being restarted already")
        assert (await talk.refusal("restart", pool="thumbs")).word == "conflict"


async def test_resize_moves_the_caps_of_its_pool() -> None:
    async with a_daemon() as (house, pool, _):
        talk = await house.connect()
        answer = await talk.ask("resize", pool="thumbs", min=2, max=8)
        assert (pool.caps, answer["min"], answer["max"]) == ((2, 8), 2, 8)
        await talk.ask("resize", pool="thumbs", size=3)
        assert pool.caps == (3, 3)


@pytest.mark.parametrize(("method", "params"), [("restart", {}), ("resize", {"size": 2})])
async def test_a_wrong_name_is_told_the_right_ones(method: str, params: dict[str, object]) -> None:
    async with a_daemon() as (house, _, _):
        refusal = await (await house.connect()).refusal(method, pool="thumb", **params)
        assert refusal.word == "not_found"
        assert refusal.message == 'there is no pool "thumb": the configuration has mail, thumbs'


@pytest.mark.parametrize(("running", "state"), [((), "drained"), (("a job",), "draining")])
@pytest.mark.parametrize(("method", "params"), [("restart", {}), ("resize", {"size": 2})])
async def test_a_daemon_that_drains_leaves_its_pools_as_they_are(
    method: str, params: dict[str, object], running: tuple[str, ...], state: str
) -> None:
    async with a_daemon() as (house, pool, feeder):
        feeder.stopped, feeder.running = True, running
        refusal = await (await house.connect()).refusal(method, pool="thumbs", **params)
        assert refusal.word == "conflict"
        assert f"the daemon is {state}" in refusal.message
        assert not pool.asked.is_set()
        assert pool.caps == (1, 1)
