"""Stores that outlive a daemon."""

from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.batch import batches, collecting
from supervisor.pool import clock
from supervisor.store import writer
from supervisor.store.memory import Disk, MemoryStore
from supervisor.store.port import Store
from supervisor.store.sqlite import open_sqlite


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "AGAIN", 0.01)
    monkeypatch.setattr(collecting, "EVERY", 0.01)
    monkeypatch.setattr(batches, "GC_EVERY", 0.01)
    monkeypatch.setattr(writer, "RETRY_EVERY", 0.02)
    monkeypatch.setattr(clock, "LONGEST_SLEEP", 0.05)


@pytest.fixture(params=[pytest.param("memory", marks=pytest.mark.long), "sqlite"])
def reopened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens the same store each time; whoever had it before must have closed it."""
    if request.param == "sqlite":
        return lambda: open_sqlite(tmp_path / "stoker.db")
    disk = Disk()
    return lambda: MemoryStore(disk)
