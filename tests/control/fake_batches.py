"""The manners of a daemon's batches, without a daemon: each has two files, which the test writes."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import trio

from protocol.control import BatchesView
from supervisor.batch.batches import File
from supervisor.batch.words import BatchState, Counts, NewBatch, Status
from supervisor.errors import Conflict, NotFound, TooLarge

NOW = 1_735_689_600_000_000


def batch_id(n: int) -> str:
    return f"0199f3c2-0000-7000-8000-{n:012}"


class FakeIntake:
    """`data` is what it was given, `dropped` how often it was dropped. What is more than the house's `most` bytes
    is too large, and while its `hold` is an event, nothing is finished."""

    def __init__(self, house: "FakeBatches", id: str, want: NewBatch) -> None:
        self.id = id
        self.data = b""
        self.dropped = 0
        self._house = house
        self._want = want

    async def append(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if len(self.data) + len(data) > self._house.most:
            raise TooLarge(f"more than {self._house.most} bytes (batches.max_bytes)", limit=self._house.most)
        self.data += data

    async def finish(self) -> Status:
        await trio.lowlevel.checkpoint()
        if self._house.hold is not None:
            await self._house.hold.wait()
        return self._house.add(self.id, self._want, self.data)

    async def drop(self) -> None:
        await trio.lowlevel.checkpoint()
        self.dropped += 1


class FakeGrowing:
    def __init__(self, house: "FakeBatches", id: str, path: Path) -> None:
        self.path = path
        self._house = house
        self._id = id

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def final(self) -> bool:
        return self._house.get(self._id).state.final

    async def more(self, size: int) -> int:
        await trio.lowlevel.checkpoint()
        while not self.final and self.size == size:
            await self._house.grown.park()
        return self.size


class FakeBatches:
    def __init__(self, root: Path = Path("/nowhere")) -> None:
        self.root = root
        self.all: dict[str, Status] = {}
        self.intakes: list[FakeIntake] = []
        self.most = 1 << 30
        self.hold: trio.Event | None = None
        self.asked: list[Any] = []
        self.grown = trio.lowlevel.ParkingLot()

    async def begin(self, want: NewBatch) -> FakeIntake | Status:
        await trio.lowlevel.checkpoint()
        self.asked.append(want)
        for status in self.all.values():
            if want.key is not None and (status.client, status.key) == (want.client, want.key):
                return status
        self.intakes.append(FakeIntake(self, batch_id(len(self.intakes) + 100), want))
        return self.intakes[-1]

    def add(self, id: str, want: NewBatch | None = None, data: bytes = b"", **changes: Any) -> Status:
        """One that is there, with both its files."""
        want = want or NewBatch(queue=changes.get("queue", "thumbs"))
        given = {name: getattr(want, name) for name in want.__struct_fields__}
        counts = Counts(total=data.count(b"\n"))
        fixed = {"state": BatchState.PENDING, "counts": counts, "created_at": NOW, "updated_at": NOW}
        status = Status(**{"id": id, "input_bytes": len(data), **fixed, **given, **changes})
        self.all[id] = status
        if self.root.exists():
            folder = self.folder(id)
            folder.mkdir()
            for name in ("output", "errors"):
                (folder / f"{name}.jsonl").touch()
        return status

    def write(self, id: str, data: bytes, file: str = "output") -> None:
        with (self.folder(id) / f"{file}.jsonl").open("ab") as out:
            out.write(data)
        self.grown.unpark_all()

    def end(self, id: str, state: BatchState = BatchState.COMPLETED) -> None:
        self.all[id].state = state
        self.grown.unpark_all()

    def get(self, batch_id: str) -> Status:
        try:
            return self.all[batch_id]
        except KeyError:
            raise NotFound(f"no {batch_id}") from None

    def folder(self, batch_id: str) -> Path:
        return self.root / self.get(batch_id).id

    def list(
        self,
        *,
        limit: int,
        before: str | None = None,
        queue: str | None = None,
        states: Collection[BatchState] = (),
        sees: Callable[[str], bool] = lambda queue: True,
    ) -> tuple[Any, int, str | None]:
        self.asked.append((limit, before, queue, states))
        found = [one for one in reversed(self.all.values()) if sees(one.queue) and queue in (None, one.queue)]
        rest = [one for one in found if before is None or one.id < before]
        return rest[:limit], len(found), rest[limit - 1].id if len(rest) > limit else None

    async def cancel(self, batch_id: str) -> Status:
        await trio.lowlevel.checkpoint()
        if self.hold is not None:
            await self.hold.wait()
        status = self.get(batch_id)
        if not status.state.final:
            self.end(batch_id, BatchState.CANCELLED)
        return status

    async def delete(self, batch_id: str) -> None:
        await trio.lowlevel.checkpoint()
        if not self.get(batch_id).state.final:
            raise Conflict(f"batch {batch_id} is {self.get(batch_id).state}: cancel it first")
        self.remove(batch_id)

    def remove(self, batch_id: str) -> None:
        for file in self.folder(batch_id).glob("*"):
            file.unlink()
        del self.all[batch_id]

    async def gc(self, **asked: Any) -> Any:
        await trio.lowlevel.checkpoint()
        sees = asked.pop("sees")
        self.asked.append(asked)
        return [one.id for one in self.all.values() if one.state.final and sees(one.queue)]

    def view(self, sees: Callable[[str], bool]) -> BatchesView:
        return BatchesView(pending=sum(sees(one.queue) for one in self.all.values()))

    def output(self, batch_id: str, file: File) -> FakeGrowing:
        return FakeGrowing(self, batch_id, self.folder(batch_id) / f"{file}.jsonl")
