"""Batches at work: real files, a real store and real workers, without the socket."""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from supervisor.batch.batches import Batches
from supervisor.batch.intake import Intake
from supervisor.batch.surroundings import Surroundings
from supervisor.batch.words import NewBatch, Status
from supervisor.config.model import BatchesConfig
from supervisor.control.space import Space
from tests.pool.rig import PATIENCE, Rig, python, rig

# Answers what it was given, but for {"do": "fail"}, {"do": "sleep"}, and {"do": "grow", "size": n}.
WORKER = python(
    "import json, sys, time",
    "for line in sys.stdin:",
    "    job = json.loads(line); payload = job['payload']",
    "    do = payload.get('do') if isinstance(payload, dict) else None",
    "    if do == 'fail':",
    "        answer = {'status': 'error', 'message': 'as it was told', 'retry': payload.get('retry', False)}",
    "    else:",
    "        if do == 'sleep': time.sleep(60)",
    "        answer = {'status': 'ok', 'result': 'x' * payload['size'] if do == 'grow' else payload}",
    "    print(json.dumps({'id': job['id'], **answer}), flush=True)",
)


class Household:
    """A daemon without its socket, and its batches."""

    def __init__(self, made: Rig, config: BatchesConfig, folder: Path, space: Space | None) -> None:
        self.rig = made
        self.root = folder / "batches"
        self.batches = Batches(
            self.root,
            config,
            Surroundings(
                made.committer,
                made.feeder,
                made.store.reader(),
                now=made.now,
                room=space or made.service.space,
                sweep=made.service.cancel_all_of,
                poll=0.01,
            ),
            made.service.queue,
        )

    async def submit(self, *lines: object, **want: Any) -> str:
        """A batch of these lines: what is text already is taken as it is."""
        return (await self.send("".join(as_line(line) for line in lines).encode(), **want)).id

    async def send(self, data: bytes, **want: Any) -> Status:
        intake = await self.batches.begin(NewBatch(**{"queue": "q", **want}))
        assert isinstance(intake, Intake)
        await intake.append(data)
        return await intake.finish()

    async def end(self, batch_id: str) -> Status:
        """Once it is final, and none of its jobs is left."""
        await self.rig.until(lambda: batch_id not in self.batches._runners)
        assert self.batches.get(batch_id).state.final
        return self.batches.get(batch_id)

    def records(self, batch_id: str) -> tuple[list[Any], list[Any]]:
        """Those of its output and of its errors, in the order of their lines; each line has one."""
        folder = self.batches.folder(batch_id)
        output, errors = (
            [json.loads(line) for line in (folder / name).read_text().splitlines()]
            for name in ("output.jsonl", "errors.jsonl")
        )
        numbers = [record["line"] for record in (*output, *errors)]
        assert len(set(numbers)) == len(numbers)
        return sorted(output, key=by_line), sorted(errors, key=by_line)

    async def jobs(self) -> int:
        """How many jobs there are in the store."""
        await self.rig.committer.settle()
        counts = await self.rig.service.counts()
        return sum(one.pending + one.running + one.done + one.failed + one.cancelled for one in counts)


def as_line(line: object) -> str:
    return f"{line if isinstance(line, str) else json.dumps(line)}\n"


def by_line(record: Any) -> int:
    return record["line"]


def numbered(count: int, **more: object) -> Iterable[dict[str, object]]:
    return ({"n": n, **more} for n in range(1, count + 1))


@asynccontextmanager
async def household(
    folder: Path,
    command: Sequence[str] = WORKER,
    *,
    config: BatchesConfig = BatchesConfig(),  # noqa: B008  # it is frozen
    space: Space | None = None,
    **options: Any,
) -> AsyncIterator[Household]:
    houses: list[Household] = []

    async def first(made: Rig) -> None:
        houses.append(Household(made, config, folder, space))
        with trio.fail_after(PATIENCE):
            await houses[0].batches.open()

    async with rig(command, folder=folder, first=first, **options) as made:
        [house] = houses
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(house.batches.run)
                yield house
                made.service.stop_feeding()
                await house.batches.flush()
                nursery.cancel_scope.cancel()
        finally:
            house.batches.close()
