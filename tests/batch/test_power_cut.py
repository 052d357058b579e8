"""Batches and power cuts: after any of them a batch is there whole or not at all, and each of its lines is answered at
most once, and those exactly that were said to be."""

import io
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from supervisor.batch.spool import Spool, Spools
from supervisor.batch.words import BatchState, Checkpoint
from supervisor.lines.line import line_of
from supervisor.lines.reading import LineReader
from supervisor.lines.records import cause_of, number_of
from tests.batch.spooling import ROOMY, new_status, passed, received, refused
from tests.lines.machine import LOSSES, Machine, PowerCut, after_a_kill

TEXT = b'{"custom_id":"a"}\n\n2\nnonsense\n \n6\n7\n8'
LINES = {1, 3, 4, 6, 7, 8}
NEVER = 1 << 30

Recovery = Callable[[Machine, Path, random.Random], None]


class Work:
    """A batch is taken, answered and removed; another one is there before and after. What was acknowledged of it."""

    def __init__(self) -> None:
        self.id = ""
        self.other = ""
        self.taken = False
        self.answered: set[int] = set()
        self.removing = False
        self.removed = False

    def before(self, root: Path) -> None:
        other = received(Spools(root / "batches"), TEXT)
        other.close()
        self.other = other.status.id
        self.id = new_status().id

    def run(self, root: Path) -> None:
        """From wherever it is to the end."""
        spools = Spools(root / "batches")
        spools.sweep()
        if not self.taken and self.id not in [status.id for status in spools.all()[0]]:
            self._submit(spools)
        self.taken = True
        if not self.removing:
            spool = spools.open(self.id)
            try:
                self._answer(spool)
            finally:
                spool.close()
        self.removing = True
        if self.id in [status.id for status in spools.all()[0]]:
            spools.remove(self.id)
        self.removed = True

    def _submit(self, spools: Spools) -> None:
        dropped = spools.create(new_status(), ROOMY)
        try:
            dropped.append(TEXT)
            dropped.drop()
        finally:
            dropped._close()
        receiving = spools.create(new_status(id=self.id), ROOMY)
        try:
            receiving.append(TEXT[:20])
            receiving.append(TEXT[20:])
            receiving.finish()
        finally:
            receiving._close()  # the descriptor, which a machine that is off has no more

    def _answer(self, spool: Spool) -> None:
        self.answered |= {number for number in LINES if number in spool.answered}
        status = spool.status
        place = status.checkpoint
        text = io.BytesIO((spool.folder / "input.jsonl").read_bytes()[place.offset :])
        reader = LineReader(text, number=place.number, offset=place.offset)
        while True:
            found, blank = reader.read(2, 1 << 20)
            if not (found or blank):
                break
            lines = [line_of(one, max_payload=100) for one in found if one.number not in spool.answered]
            outputs = [line.number for line in lines if line.payload is not None]
            errors = [line.number for line in lines if line.payload is None]
            # In the middle of a group, as if some of its answers had come earlier.
            for some, others in ((outputs[:1], errors), (outputs[1:], [])):
                if some or others:
                    spool.answer(b"".join(map(passed, some)), b"".join(map(refused, others)), some + others)
                    self.answered |= {*some, *others}
                    status.counts.completed += len(some)
                    status.counts.failed += len(others)
            spool.answered.update(blank)
            status.checkpoint = Checkpoint(number=reader.number, offset=reader.offset)
            spool.write(status)
        status.state = BatchState.FAILED
        spool.write(status)


def check(root: Path, work: Work) -> None:
    """What is there when the power is back, in the words of the guarantees."""
    spools = Spools(root / "batches")
    spools.sweep()
    found, broken = spools.all()
    assert broken == []
    ids = [status.id for status in found]
    assert work.other in ids
    assert set(ids) <= {work.other, work.id}
    if work.taken and not work.removing:
        assert work.id in ids
    if work.removed:
        assert work.id not in ids
    if work.id in ids:
        check_batch(spools.open(work.id), work)


def check_batch(spool: Spool, work: Work) -> None:
    spool.close()
    assert (spool.folder / "input.jsonl").read_bytes() == TEXT
    files = [(spool.folder / f"{name}.jsonl").read_bytes() for name in ("output", "errors")]
    records = [record for file in files for record in file.splitlines(keepends=True)]
    numbers = [number_of(record) for record in records]
    assert None not in numbers
    assert max(Counter(numbers).values(), default=0) <= 1
    assert work.answered <= set(numbers) <= LINES
    assert {number for number in LINES if number in spool.answered} == set(numbers)
    counts = spool.status.counts
    assert counts.total == len(LINES)
    assert counts.completed == sum(1 for record in records if not cause_of(record))
    assert counts.failed == sum(1 for record in records if cause_of(record))
    assert spool.status.checkpoint.number < min(LINES - set(numbers), default=NEVER)


def recoveries() -> list[Recovery]:
    def losing(loss: Callable[..., Iterable[object]]) -> Recovery:
        return lambda machine, folder, rng: machine.recover(folder, loss, rng)  # type: ignore[arg-type]

    return [*map(losing, LOSSES), lambda machine, folder, rng: after_a_kill(machine._root, folder)]


def cut(folder: Path, work: Work, cut_at: int, seed: int = 0, ignored: Iterable[str] = ()) -> tuple[Machine, bool]:
    """Run the work in this folder until then, or to its end (False)."""
    machine = Machine(folder, cut_at, ignored=ignored, seed=seed)
    with machine.running():
        try:
            work.run(folder)
        except PowerCut:
            return machine, True
    return machine, False


def begun(folder: Path) -> Work:
    folder.mkdir()
    work = Work()
    work.before(folder)
    return work


def test_wherever_the_power_fails_nothing_acknowledged_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    cut_at, more = 0, True
    while more:
        cut_at += 1
        before = tmp_path / f"{cut_at}"
        work = begun(before)
        machine, more = cut(before, work, cut_at, seed=cut_at)
        for number, recover in enumerate(recoveries()):
            after = tmp_path / f"{cut_at}-{number}"
            recover(machine, after, random.Random(cut_at))
            check(after, work)
            shutil.rmtree(after)
        shutil.rmtree(before)
    assert cut_at > 50


@pytest.mark.parametrize("seeds", [range(40), pytest.param(range(40, 300), marks=pytest.mark.long)], ids=str)
def test_one_cut_after_the_other_ends_with_each_line_answered_once(tmp_path: Path, seeds: range) -> None:
    for seed in seeds:
        rng = random.Random(seed)
        folder = tmp_path / f"{seed}"
        work = begun(folder)
        for life in range(1, 1000):
            machine, more = cut(folder, work, rng.randrange(1, 40), seed=rng.randrange(1 << 30))
            if not more:
                break
            after = tmp_path / f"{seed}-{life}"
            rng.choice(recoveries())(machine, after, rng)
            shutil.rmtree(folder)
            folder = after
            check(folder, work)
        assert work.removed
        assert work.answered == LINES
        shutil.rmtree(folder)


@pytest.mark.parametrize("ignored", ["fsync", "fdatasync", "sync_folder"])
def test_without_one_of_the_syncs_something_is(tmp_path: Path, ignored: str) -> None:
    """The tests above can fail."""
    noticed = 0
    for cut_at in range(1, 100):
        before, after = tmp_path / f"{cut_at}", tmp_path / f"{cut_at}-after"
        work = begun(before)
        machine, _ = cut(before, work, cut_at, ignored=[ignored])
        machine.recover(after, LOSSES[0], random.Random(cut_at))
        try:
            check(after, work)
        except AssertionError:
            noticed += 1
    assert noticed >= 5
