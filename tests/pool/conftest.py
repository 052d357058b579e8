"""A folder for cgroups, where this machine lets the tests make one."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.pool import clock, watch
from supervisor.pool.delegation import own_place


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the daemon looks at about once a second, it looks at twenty times a second here."""
    monkeypatch.setattr(watch, "SOFT", 0.05)
    monkeypatch.setattr(watch, "HARD", 0.05)
    monkeypatch.setattr(clock, "LONGEST_SLEEP", 0.05)


@pytest.fixture
def cgroup_folder() -> Iterator[Path]:
    """An empty cgroup v2, gone after the test with all that lives in it."""
    own = own_place()
    if own is None:
        pytest.skip("there is no cgroup v2 to be seen")
    folder = own.mount / f"stoker-test-{os.getpid()}-{os.urandom(4).hex()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error}")
    yield folder
    (folder / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + 10
    while "populated 1" in (folder / "cgroup.events").read_text():
        assert time.monotonic() < deadline, "the processes of the test do not die"
        time.sleep(0.005)
    for below, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(below)
