import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.e2e.daemon import Daemon


class Start(Protocol):
    def __call__(self, pools: dict[str, Any], queues: dict[str, Any] | None = None, **settings: object) -> Daemon: ...


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts daemons. At the end each that still runs is stopped, which it must do well; its last words go to stdout,
    where pytest shows them beside a failure."""
    started: list[Daemon] = []

    def start(pools: dict[str, Any], queues: dict[str, Any] | None = None, **settings: object) -> Daemon:
        folder = tmp_path / f"daemon{len(started)}"
        folder.mkdir()
        daemon = Daemon(folder, pools, queues, **settings)
        started.append(daemon)
        daemon.start()
        return daemon

    yield start
    try:
        for daemon in started:
            if daemon.running:
                daemon.stop()
    finally:
        for daemon in started:
            print(daemon.last_words())
            daemon.end()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
