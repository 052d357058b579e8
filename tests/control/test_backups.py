"""backup: the store's copy as a stream of lines."""

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from supervisor.control import backups as module
from supervisor.control import handlers
from supervisor.control.backups import Backups
from supervisor.control.space import Space
from supervisor.errors import StoreUnavailable
from supervisor.store.committer import Committer
from supervisor.store.sqlite import SqliteStore, open_sqlite
from supervisor.store.sqlite import snapshot as stepping
from supervisor.store.sqlite.inspecting import check
from supervisor.store.sqlite.snapshot import SqliteSnapshot
from tests.control.conftest import House, open_house
from tests.control.fake_service import FakeService
from tests.control.talk import Talk
from tests.store.support import new_job, submit

JOBS = 100


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    made = open_sqlite(tmp_path / "stoker.db")
    submit(made, *(new_job(payload=b'"%s"' % (b"x" * 4000)) for _ in range(JOBS)))
    return made


@pytest.fixture
def space(tmp_path: Path) -> Space:
    return Space(tmp_path, reserve=0)


@pytest.fixture
async def served(
    nursery: trio.Nursery, store: SqliteStore, space: Space, service: FakeService
) -> AsyncIterator[Backups]:
    committer = Committer(store)
    await nursery.start(committer.run)
    service.backups = Backups(committer, space, store._path)
    yield service.backups
    committer.close()


@pytest.fixture
async def house(served: Backups, service: FakeService) -> AsyncIterator[House]:
    """Its conversations end before the store does."""
    async with open_house(service) as opened:
        yield opened


async def told(talk: Talk) -> tuple[str, dict[str, Any]]:
    notification = await talk.receive()
    return notification["method"], notification["params"]


async def received(talk: Talk) -> tuple[bytes, dict[str, Any]]:
    """The whole stream, and what is said at its end."""
    data = b""
    while (one := await told(talk))[0] == "chunk":
        assert one[1]["at"] == len(data)
        data += base64.b64decode(one[1]["data"], validate=True)
    assert one[0] == "complete"
    return data, one[1]


def leftovers(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir() if "snapshot" in entry.name]


async def gone(folder: Path) -> None:
    with trio.fail_after(10):
        while leftovers(folder):  # noqa: ASYNC110  # a thread removes it, and nobody says when
            await trio.sleep(0.001)


async def test_the_store_comes_in_chunks_and_is_whole(
    served: Backups, talk: Talk, house: House, tmp_path: Path
) -> None:
    answer = await talk.ask("backup")
    assert answer["version"] == "1.2.3"
    data, complete = await received(talk)
    house.logs.clear()
    assert answer["bytes"] == len(data) == complete["bytes"]
    assert (complete["jobs"], complete["running"]) == (JOBS, 0)
    file = tmp_path / "backup"
    file.write_bytes(data)
    assert check(file, deep=True).jobs == JOBS
    await gone(tmp_path)


async def test_a_second_one_is_refused_while_the_first_lasts(
    served: Backups, talk: Talk, house: House, tmp_path: Path
) -> None:
    service_lines = served.lines()
    await anext(service_lines)
    refusal = await talk.refusal("backup")
    assert (refusal.word, "already" in refusal.message) == ("conflict", True)
    other = served.lines()
    assert b'"method":"failed"' in await anext(other)
    await other.aclose()
    await service_lines.aclose()
    await talk.ask("backup")
    await received(talk)
    house.logs.clear()


async def test_one_that_has_no_room_is_refused_before_it_begins(
    served: Backups, talk: Talk, space: Space, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    space.reserve = 64 * 1024 * 1024
    monkeypatch.setattr(module, "free_bytes", lambda _: space.reserve + 1000)
    refusal = await talk.refusal("backup")
    assert refusal.word == "store_unavailable"
    assert "64 MiB are free, of which daemon.disk_reserve (64MiB) must stay" in refusal.message
    assert leftovers(tmp_path) == []


async def test_it_is_given_up_when_room_becomes_short(
    served: Backups, talk: Talk, house: House, space: Space, tmp_path: Path
) -> None:
    await talk.ask("ping")
    space.low, space.free, space.reserve = True, 0, 1
    await talk.ask("backup")
    method, failed = await told(talk)
    assert (method, failed["code"]) == ("failed", "store_unavailable")
    assert "given up: 0 MiB is free" in failed["message"]
    await gone(tmp_path)
    assert [entry["event"] for entry in house.logs] == ["backup_failed"]
    house.logs.clear()


async def test_an_error_in_the_middle_is_told_and_leaves_nothing(
    served: Backups, talk: Talk, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: SqliteSnapshot) -> None:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(SqliteSnapshot, "step", fails)
    await talk.ask("backup")
    assert await told(talk) == ("failed", {"code": "store_unavailable", "message": "the disk is full"})
    await gone(tmp_path)
    house.logs.clear()
    monkeypatch.undo()
    await talk.ask("backup")
    await received(talk)
    house.logs.clear()


async def test_how_far_it_is_is_told_while_it_takes_long(
    served: Backups, talk: Talk, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TELL_EVERY", 0.0)
    monkeypatch.setattr(module, "FLUSH_EVERY", 4096)
    monkeypatch.setattr(stepping, "_PAGES", 8)
    await talk.ask("backup")
    method, copying = await told(talk)
    assert (method, 0 < copying["bytes"] < copying["of"]) == ("copying", True)
    while (one := await told(talk))[0] == "copying":
        assert one[1]["bytes"] > copying["bytes"]
        copying = one[1]
    while one[0] == "chunk":
        one = await told(talk)
    house.logs.clear()


async def test_a_client_that_goes_away_ends_it(served: Backups, talk: Talk, house: House, tmp_path: Path) -> None:
    await talk.ask("backup")
    await told(talk)
    talk.close()
    await gone(tmp_path)
    other = await house.connect()
    await other.ask("backup")
    await received(other)
    house.logs.clear()


async def test_a_client_that_takes_nothing_more_is_hung_up_on(
    served: Backups, talk: Talk, house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "PATIENCE", 0.05)
    await talk.ask("backup")
    await told(talk)  # and the second one is more than a socket keeps
    await gone(tmp_path)
    other = await house.connect()
    assert await other.ask("ping")
    assert house.service.connections == 1


async def test_the_end_of_the_daemon_ends_it(served: Backups, talk: Talk, house: House, tmp_path: Path) -> None:
    await talk.ask("backup")
    await told(talk)
    house.stop()
    await gone(tmp_path)
    house.logs.clear()
