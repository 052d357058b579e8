import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import StoreUnavailable, Unsound
from supervisor.lines.appending import AppendFile
from supervisor.lines.records import number_of, result_record

RECORDS = [result_record(number, None, b'"%s"' % (b"x" * number)) for number in range(1, 8)]


def is_record(line: bytes) -> bool:
    return number_of(line) is not None


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int, *, after: int = 0) -> Iterator[None]:
    """os.`name` writes half of what it is asked to, and then fails, as on a disk that runs full."""
    true, calls = getattr(os, name), 0

    def fail(fd: int, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= after:
            return true(fd, *arguments)
        if calls == after + 1 and name == "pwrite" and len(arguments[0]) > 1:
            return true(fd, bytes(arguments[0])[: len(arguments[0]) // 2], arguments[1])
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        yield


def test_what_was_appended_is_there(tmp_path: Path) -> None:
    path = tmp_path / "output"
    file, adopted = AppendFile.open(path)
    assert adopted == []
    file.append(b"".join(RECORDS[:2]))
    file.append(RECORDS[2])
    file.sync()
    assert file.size == path.stat().st_size
    file.close()
    assert path.read_bytes() == b"".join(RECORDS[:3])
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kept", [0, 2])
def test_whatever_the_length_of_a_torn_tail_whole_lines_are_adopted_and_the_rest_is_cut_off(
    tmp_path: Path, kept: int
) -> None:
    path, good = tmp_path / "output", sum(map(len, RECORDS[:kept]))
    whole = b"".join(RECORDS)
    for length in range(good, len(whole) + 1):
        path.write_bytes(whole[:length])
        file, adopted = AppendFile.open(path, good, is_record)
        complete = whole[:length].count(b"\n")
        assert adopted == RECORDS[kept:complete]
        assert file.size == path.stat().st_size == sum(map(len, RECORDS[:complete]))
        file.append(RECORDS[6])
        file.close()
        assert path.read_bytes() == b"".join([*RECORDS[:complete], RECORDS[6]])


def test_behind_a_line_that_is_no_record_nothing_is_adopted(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(RECORDS[0] + bytes(len(RECORDS[1]) - 1) + b"\n" + RECORDS[2])
    file, adopted = AppendFile.open(path, 0, is_record)
    file.close()
    assert adopted == [RECORDS[0]]
    assert path.read_bytes() == RECORDS[0]


def test_without_a_say_in_it_nothing_is_adopted(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(RECORDS[0] + RECORDS[1])
    file, adopted = AppendFile.open(path, len(RECORDS[0]))
    file.close()
    assert adopted == []
    assert path.read_bytes() == RECORDS[0]


def test_a_file_that_is_shorter_than_what_is_known_to_be_good_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(b"short")
    with pytest.raises(Unsound, match="has 5 bytes, and 6 were written"):
        AppendFile.open(path, 6, is_record)
    assert path.read_bytes() == b"short"


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    (tmp_path / "output").symlink_to(target)
    with pytest.raises(StoreUnavailable):
        AppendFile.open(tmp_path / "output")
    assert target.read_bytes() == b"precious"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_an_append_that_fails_half_way_leaves_nothing_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "output"
    file, _ = AppendFile.open(path)
    file.append(RECORDS[0])
    with (
        failing(monkeypatch, "pwrite", code),
        pytest.raises(StoreUnavailable, match=f"cannot write .*output: {os.strerror(code)}"),
    ):
        file.append(RECORDS[1])
    assert path.read_bytes() == RECORDS[0]
    file.append(RECORDS[2])
    file.sync()
    file.close()
    assert path.read_bytes() == RECORDS[0] + RECORDS[2]


def test_what_could_not_be_cut_off_at_once_is_cut_off_before_the_next_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "output"
    file, _ = AppendFile.open(path)
    with (
        failing(monkeypatch, "ftruncate", errno.EIO),
        failing(monkeypatch, "pwrite", errno.ENOSPC),
        pytest.raises(StoreUnavailable),
    ):
        file.append(RECORDS[5])
    assert path.stat().st_size > 0
    file.append(RECORDS[0])
    file.close()
    assert path.read_bytes() == RECORDS[0]


def test_a_sync_that_fails_takes_back_what_nobody_knows_to_be_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "output"
    file, _ = AppendFile.open(path)
    file.append(RECORDS[0])
    file.sync()
    file.append(RECORDS[1])
    with failing(monkeypatch, "fdatasync", errno.EIO), pytest.raises(StoreUnavailable):
        file.sync()
    assert file.size == len(RECORDS[0])
    file.sync()
    file.append(RECORDS[2])
    file.sync()
    file.close()
    assert path.read_bytes() == RECORDS[0] + RECORDS[2]


@given(st.lists(st.integers(0, 6), max_size=6), st.binary(max_size=40).filter(lambda data: b"\n" not in data))
def test_any_tail_without_a_newline_is_cut_off(
    tmp_path_factory: pytest.TempPathFactory, which: list[int], torn: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "torn"
    whole = [RECORDS[number] for number in which]
    path.write_bytes(b"".join(whole) + torn)
    file, adopted = AppendFile.open(path, 0, is_record)
    file.close()
    assert adopted == whole
    assert path.read_bytes() == b"".join(whole)
