"""The journal does not grow without end."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import trio

from protocol.control import SubscribeParams
from supervisor.config.model import StoreConfig
from supervisor.control.access import Caller
from supervisor.control.context import Context
from supervisor.control.following import subscribe
from supervisor.control.receiving import Receptions
from supervisor.core.access import Peer
from supervisor.core.denials import Denials
from supervisor.core.job import MICROS
from supervisor.core.roles import Role
from supervisor.pool import trimmer
from supervisor.pool.trimmer import Trimmer
from supervisor.store.committer import Committer
from supervisor.store.memory import MemoryStore
from tests.pool.rig import rig
from tests.store.support import NOW, new_job, submit
from tests.workers import command

DAY = 86400 * MICROS


async def numbers_left(config: StoreConfig, *ages: int) -> list[int]:
    """Of events that are so many days old, in this order."""
    store = MemoryStore()
    for age in ages:
        submit(store, new_job(), now=NOW - age * DAY)
    committer = Committer(store)
    async with trio.open_nursery() as nursery:
        await nursery.start(committer.run)
        trimmed = await Trimmer(committer, config, now=lambda: NOW).trim()
        left = [event.n for event in store.reader().events(None, limit=1000).events]
        assert trimmed == len(ages) - len(left)
        committer.close()
    return left


async def test_events_over_a_week_old_are_removed_unless_said_otherwise() -> None:
    assert await numbers_left(StoreConfig(), 9, 8, 6, 0) == [3, 4]
    assert await numbers_left(StoreConfig(events_max_age=10 * 86400), 9, 8, 6, 0) == [1, 2, 3, 4]


async def test_more_events_than_wanted_are_removed_however_many_steps_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trimmer, "STEPS", (2, 2))
    assert await numbers_left(StoreConfig(events_max_count=3), *([0] * 10)) == [8, 9, 10]


async def test_a_subscriber_is_told_of_events_that_are_removed_before_he_took_them(tmp_path: Path) -> None:
    async with rig(command("echo"), folder=tmp_path) as daemon:
        caller = Caller(daemon.service, Peer(1, 0, frozenset(), None), Role.ADMIN, Denials())
        context = Context(daemon.service, daemon.now, caller, Receptions().of(0))
        stream = (await subscribe(context, SubscribeParams())).lines
        async with aclosing(stream):
            first, _ = await daemon.submit(1, 2)
            await daemon.ends(first, _)
            told = await notified(stream)
            assert [one["method"] for one in told] == ["event"] * len(told)
            await daemon.ends(*await daemon.submit(*range(10)))
            config = StoreConfig(events_max_count=3)
            await Trimmer(daemon.committer, config, now=daemon.now).trim()
            [gap] = await notified(stream)
            rest = await notified(stream)
        assert gap["method"] == "gap"
        assert gap["params"]["missed"] + len(told) + len(rest) == 36
        assert gap["params"]["first"] == 34
        assert len(rest) == 3


async def notified(stream: AsyncGenerator[bytes, None]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (await anext(stream)).splitlines()]
