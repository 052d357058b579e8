import errno
import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.errors import StoreUnavailable
from supervisor.lines.whole import PART, write_whole


def test_a_file_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["status.json"]


@pytest.mark.parametrize("call", ["pwrite", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "status.json"
    write_whole(path, b"one")

    def fail(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(StoreUnavailable, match=r"status\.json: No space left on device") as caught:
            write_whole(path, b"two")
    assert caught.value.data == {"errno": errno.ENOSPC}
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["status.json"]


def test_a_leftover_of_a_crash_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    (tmp_path / f"status.json{PART}").write_bytes(b"something much longer, and torn")
    write_whole(path, b"one")
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["status.json"]
