import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from supervisor.batch.ids import new_id
from supervisor.batch.receiving import Limits
from supervisor.batch.spool import Spools
from supervisor.batch.words import BatchState, Checkpoint, Counts, Status
from supervisor.errors import NotFound, QueueFull, StoreUnavailable, TooLarge, Unsound
from tests.batch.spooling import NOW, ROOMY, new_status, passed, received, refused, shown

TEXT = b'{"a":1}\n\n2\nnonsense\n4'
FILES = ["errors.jsonl", "input.jsonl", "output.jsonl", "status.json"]


@pytest.fixture
def spools(tmp_path: Path) -> Spools:
    return Spools(tmp_path / "batches")


def modes(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mode & 0o777 for name in os.listdir(folder)}


def test_a_batch_is_a_folder_for_its_owner_alone_and_its_input_is_for_reading(spools: Spools) -> None:
    spool = received(spools, TEXT)
    spool.close()
    assert spool.folder == spools.root / spool.status.id
    assert modes(spools.root.parent) == {"batches": 0o700}
    assert modes(spools.root) == {spool.status.id: 0o700}
    others = {"status.json": 0o600, "output.jsonl": 0o600, "errors.jsonl": 0o600}
    assert modes(spool.folder) == {"input.jsonl": 0o400} | others
    assert (spool.folder / "input.jsonl").read_bytes() == TEXT


def test_lines_that_are_not_blank_and_bytes_are_counted(spools: Spools) -> None:
    receiving = spools.create(new_status(), ROOMY)
    for place in range(len(TEXT)):
        receiving.append(TEXT[place : place + 1])
    receiving.finish()
    status = spools.open(receiving.status.id).status
    assert (status.counts.total, status.input_bytes) == (4, len(TEXT))


def test_a_batch_without_lines_is_one(spools: Spools) -> None:
    receiving = spools.create(new_status(), ROOMY)
    receiving.finish()
    spool = spools.open(receiving.status.id)
    assert spool.status.counts == Counts()
    spool.close()


def test_nobody_sees_a_batch_before_it_is_whole(spools: Spools) -> None:
    receiving = spools.create(new_status(), ROOMY)
    receiving.append(TEXT)
    assert spools.all() == ([], [])
    with pytest.raises(NotFound):
        spools.open(receiving.status.id)
    receiving.finish()
    assert [status.id for status in spools.all()[0]] == [receiving.status.id]


def test_one_that_is_dropped_never_was(spools: Spools) -> None:
    receiving = spools.create(new_status(), ROOMY)
    receiving.append(TEXT)
    receiving.drop()
    assert os.listdir(spools.root) == []


def test_one_that_is_there_is_not_dropped(spools: Spools) -> None:
    receiving = spools.create(new_status(), ROOMY)
    receiving.finish()
    receiving.drop()
    assert os.listdir(spools.root) == [receiving.status.id]


def test_one_that_could_not_begin_leaves_nothing(spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
    true = os.open

    def fail(path: Any, *arguments: Any, **named: Any) -> int:
        if str(path).endswith("input.jsonl"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return true(path, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", fail)
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            spools.create(new_status(), ROOMY)
    assert os.listdir(spools.root) == []


@pytest.mark.parametrize("which", range(6))
def test_one_that_cannot_be_finished_is_dropped_whole(
    spools: Spools, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    true, calls = os.fsync, 0

    def fail(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls > which:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        true(fd)

    receiving = spools.create(new_status(), ROOMY)
    receiving.append(TEXT)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        try:
            receiving.finish()
        except StoreUnavailable:
            receiving.drop()
            assert which < 4
            assert os.listdir(spools.root) == []
        else:
            assert which >= 4
            assert [status.id for status in spools.all()[0]] == [receiving.status.id]


@pytest.mark.parametrize(
    ("limits", "key", "figure"),
    [
        (ROOMY._replace(max_lines=2), "batches.max_lines", 2),
        (ROOMY._replace(max_bytes=9), "batches.max_bytes", 9),
        (ROOMY._replace(max_pending_lines=10, pending=lambda: 8), "batches.max_pending_lines", 10),
    ],
)
def test_whoever_passes_a_limit_is_told_which(spools: Spools, limits: Limits, key: str, figure: int) -> None:
    receiving = spools.create(new_status(), limits)
    receiving.append(b"1\n2\n")
    with pytest.raises((TooLarge, QueueFull)) as caught:
        receiving.append(b"3\n4\n5\n")
    assert key in caught.value.message
    assert str(figure) in caught.value.message
    assert (caught.value.data["key"], caught.value.data["limit"]) == (key, figure)
    receiving.drop()
    assert os.listdir(spools.root) == []


def test_what_never_fits_is_not_to_be_tried_again(spools: Spools) -> None:
    for lines, advice in ((b"1\n2\n3\n", "try again later"), (b"1\n" * 11, "split it")):
        receiving = spools.create(new_status(), ROOMY._replace(max_pending_lines=10, pending=lambda: 8))
        with pytest.raises(QueueFull, match=advice):
            receiving.append(lines)
        receiving.drop()


def test_what_is_just_within_the_limits_is_taken(spools: Spools) -> None:
    limits = Limits(max_lines=3, max_bytes=7, max_pending_lines=10, pending=lambda: 7)
    receiving = spools.create(new_status(), limits)
    receiving.append(b"1\n\n2\n3\n")
    receiving.finish()


def test_the_status_file_has_what_the_status_has_and_times_for_people(spools: Spools) -> None:
    status = new_status(name="näme", tags=("a", "b"), client="me", key="k", timeout=1.5, submitted_by=1000)
    spool = received(spools, TEXT, status)
    status.state, status.finished_at, status.waiting = BatchState.FAILED, NOW + 2_000_000, "the queue is paused"
    spool.write(status)
    spool.close()
    written = shown(spool.folder / "status.json")
    assert written["created_at"] == "2023-11-14T22:13:20.000001Z"
    assert written["finished_at"] == "2023-11-14T22:13:22.000001Z"
    assert (written["state"], written["counts"]["total"], written["tags"]) == ("failed", 4, ["a", "b"])
    assert spools.open(status.id).status == status


def test_the_checkpoint_knows_what_is_answered_and_the_place_in_the_input(spools: Spools) -> None:
    spool = received(spools, TEXT)
    spool.answer(passed(1), refused(4), [1, 4])
    spool.answered.add(2)
    status = spool.status
    status.checkpoint = Checkpoint(number=2, offset=9)
    spool.write(status)
    spool.close()
    again = spools.open(status.id)
    again.close()
    assert again.answered.pairs() == [(1, 2), (4, 4)]
    assert again.status.checkpoint == Checkpoint(
        answered=[(1, 2), (4, 4)], number=2, offset=9, output=len(passed(1)), errors=len(refused(4))
    )


def test_records_behind_the_checkpoint_are_adopted_and_what_is_torn_is_cut_off(spools: Spools) -> None:
    spool = received(spools, TEXT)
    spool.answer(passed(1), b"", [1])
    spool.write(spool.status)
    spool.answer(passed(3), refused(4) + refused(5, "cancelled"), [3, 4, 5])
    spool.close()
    with (spool.folder / "output.jsonl").open("ab") as file:
        file.write(passed(9)[:-3])
    again = spools.open(spool.status.id)
    assert again.answered.pairs() == [(1, 1), (3, 5)]
    assert again.status.counts == Counts(total=4, completed=1, failed=1, cancelled=1)
    assert again.sizes == (len(passed(1) + passed(3)), len(refused(4) + refused(5, "cancelled")))
    again.close()
    assert (spool.folder / "output.jsonl").read_bytes() == passed(1) + passed(3)


@pytest.mark.parametrize("tail", [passed(1), passed(3) + passed(3), passed(3) + passed(4) + b"{}\n" + passed(5)])
def test_no_line_is_adopted_twice(spools: Spools, tail: bytes) -> None:
    spool = received(spools, TEXT)
    spool.answer(passed(1), refused(4), [1, 4])
    spool.write(spool.status)
    spool.close()
    with (spool.folder / "output.jsonl").open("ab") as file:
        file.write(tail)
    again = spools.open(spool.status.id)
    again.close()
    assert again.answered.pairs() == ([(1, 1), (3, 4)] if b"3" in tail else [(1, 1), (4, 4)])
    assert (spool.folder / "output.jsonl").read_bytes() == passed(1) + (passed(3) if b"3" in tail else b"")


@pytest.mark.parametrize(("call", "which"), [("pwrite", 0), ("pwrite", 1), ("fdatasync", 0), ("fdatasync", 1)])
def test_answers_that_cannot_be_written_leave_nothing_in_either_file(
    spools: Spools, monkeypatch: pytest.MonkeyPatch, call: str, which: int
) -> None:
    spool = received(spools, TEXT)
    spool.answer(passed(1), refused(4), [1, 4])
    true, calls = getattr(os, call), 0

    def fail(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == which + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return true(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            spool.answer(passed(3), refused(5), [3, 5])
    assert spool.answered.pairs() == [(1, 1), (4, 4)]
    spool.answer(passed(3), refused(5), [3, 5])
    spool.close()
    assert (spool.folder / "output.jsonl").read_bytes() == passed(1) + passed(3)
    assert (spool.folder / "errors.jsonl").read_bytes() == refused(4) + refused(5)


def test_one_that_is_removed_is_gone_and_the_others_stay(spools: Spools) -> None:
    first, second = received(spools, TEXT), received(spools, TEXT)
    first.close()
    second.close()
    spools.remove(first.status.id)
    assert os.listdir(spools.root) == [second.status.id]
    with pytest.raises(NotFound):
        spools.remove(first.status.id)
    with pytest.raises(NotFound):
        spools.open(first.status.id)


def test_what_crashes_left_is_swept_and_what_is_under_way_is_not(spools: Spools) -> None:
    whole = received(spools, TEXT)
    whole.close()
    under_way = spools.create(new_status(), ROOMY)
    for name in (f".new-{new_id()}", f".gone-{new_id()}"):
        shutil.copytree(whole.folder, spools.root / name)
    (spools.root / ".new-something else").mkdir()
    (whole.folder / "status.json.part").write_bytes(b"{")
    assert len(spools.sweep()) == 3
    assert sorted(os.listdir(spools.root)) == sorted(
        [".new-something else", f".new-{under_way.status.id}", whole.status.id]
    )
    assert sorted(os.listdir(whole.folder)) == FILES
    under_way.finish()
    assert spools.sweep() == []


def test_batches_are_listed_oldest_first_and_none_need_be_there(spools: Spools) -> None:
    assert spools.all() == ([], [])
    assert spools.sweep() == []
    made = [received(spools, TEXT) for _ in range(3)]
    assert [status.id for status in spools.all()[0]] == [spool.status.id for spool in made]
    for spool in made:
        spool.close()


def _no_status(folder: Path) -> None:
    (folder / "status.json").unlink()


def _torn_status(folder: Path) -> None:
    (folder / "status.json").write_bytes((folder / "status.json").read_bytes()[:-20])


def _foreign_status(folder: Path) -> None:
    status = folder / "status.json"
    status.write_bytes(status.read_bytes().replace(folder.name.encode(), new_id().encode()))


def _newer_status(folder: Path) -> None:
    status = folder / "status.json"
    status.write_bytes(status.read_bytes().replace(b'"version":1', b'"version":2'))


def _impossible_place(folder: Path) -> None:
    status = folder / "status.json"
    status.write_bytes(status.read_bytes().replace(b'"offset":0', b'"offset":-5'))


def _impossible_ranges(folder: Path) -> None:
    status = folder / "status.json"
    status.write_bytes(status.read_bytes().replace(b'"answered":[[1,1]]', b'"answered":[[3,1]]'))


def _other_input(folder: Path) -> None:
    (folder / "input.jsonl").chmod(0o600)
    (folder / "input.jsonl").write_bytes(TEXT + b"\n5")


def _no_input(folder: Path) -> None:
    (folder / "input.jsonl").unlink()


def _lost_output(folder: Path) -> None:
    (folder / "output.jsonl").write_bytes(b"")


def _a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_bytes(b"")


def _a_link(folder: Path) -> None:
    elsewhere = folder.parent.parent / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)


BREAKING = [
    *[_no_status, _torn_status, _foreign_status, _newer_status, _impossible_place, _impossible_ranges],
    *[_other_input, _no_input, _lost_output, _a_file, _a_link],
]


@pytest.mark.parametrize("broken", BREAKING, ids=lambda breaking: breaking.__name__)
def test_a_broken_folder_is_complained_of_and_left_alone(spools: Spools, broken: Any) -> None:
    good, bad = received(spools, TEXT), received(spools, TEXT)
    for spool in (good, bad):
        spool.answer(passed(1), b"", [1])
        spool.write(spool.status)
        spool.close()
    broken(bad.folder)
    found, complaints = spools.all()
    assert [status.id for status in found] == [good.status.id]
    ((folder, complaint),) = complaints
    assert folder == bad.folder
    assert complaint.startswith(f"{bad.folder} is left alone: ")
    with pytest.raises(Unsound):
        spools.open(bad.status.id)
    assert spools.sweep() == []
    assert os.path.lexists(bad.folder)


def test_what_does_not_belong_there_is_complained_of(spools: Spools) -> None:
    received(spools, TEXT).close()
    (spools.root / "lost+found").mkdir()
    (spools.root / "notes.txt").write_text("mine")
    assert sorted(folder.name for folder, _ in spools.all()[1]) == ["lost+found", "notes.txt"]


def test_a_status_with_every_member_survives_the_file(spools: Spools) -> None:
    status = Status(
        id=new_id(), queue="q", state=BatchState.CANCELLED, counts=Counts(total=4), cancel_requested=True,
        created_at=0, updated_at=NOW, finished_at=NOW, waiting="no", name="n", priority=5, timeout=0.5,
        max_attempts=3, tags=("t",), client="c", key="k", submitted_by=0,
    )  # fmt: skip
    spool = received(spools, TEXT, status)
    spool.close()
    assert spools.open(status.id).status == status
