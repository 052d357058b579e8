import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.client import find_socket

ALL = {"STOKER_SOCKET": "/env.sock", "XDG_RUNTIME_DIR": "/run/user/7"}


@pytest.mark.parametrize(
    ("explicit", "environ", "configured", "expected"),
    [
        ("/said.sock", ALL, "/conf.sock", ["/said.sock"]),
        (None, ALL, "/conf.sock", ["/env.sock"]),
        (None, {**ALL, "STOKER_SOCKET": ""}, "/conf.sock", ["/conf.sock"]),
        (None, {"XDG_RUNTIME_DIR": "/run/user/7"}, None, ["/run/user/7/stoker.sock", "/run/stoker.sock"]),
    ],
)
def test_the_first_that_was_said_is_the_only_one(
    explicit: str | None, environ: dict[str, str], configured: str | None, expected: list[str]
) -> None:
    assert find_socket(explicit, environ, configured) == expected


@pytest.fixture
def own_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """/tmp/stoker-UID of a user that does not exist."""
    uid = 4_000_000_000 + os.getpid()
    folder = Path(f"/tmp/stoker-{uid}")
    monkeypatch.setattr(os, "getuid", lambda: uid)
    yield folder
    if folder.is_dir():
        folder.rmdir()


@pytest.mark.parametrize("runtime", [{}, {"XDG_RUNTIME_DIR": ""}, {"XDG_RUNTIME_DIR": "relative"}])
def test_without_a_runtime_folder_the_systems_socket_is_left(own_folder: Path, runtime: dict[str, str]) -> None:
    assert find_socket(None, runtime) == ["/run/stoker.sock"]


def test_a_folder_in_tmp_that_is_somebody_elses_is_not_trusted(own_folder: Path) -> None:
    own_folder.mkdir(mode=0o700)
    assert find_socket(None, {}) == ["/run/stoker.sock"]


@pytest.mark.parametrize(("mode", "trusted"), [(0o700, True), (0o770, False), (0o701, False)])
def test_a_folder_in_tmp_that_is_ours_alone_is_tried(
    monkeypatch: pytest.MonkeyPatch, own_folder: Path, mode: int, trusted: bool
) -> None:
    own_folder.mkdir()
    own_folder.chmod(mode)
    found = os.lstat(own_folder)
    theirs = os.stat_result((*found[:4], os.getuid(), *found[5:]))
    monkeypatch.setattr(os, "lstat", lambda path: theirs)
    assert (f"{own_folder}/stoker.sock" in find_socket(None, {})) is trusted
