from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.store.port import Store
from tests.store.support import Backend, MemoryBackend, SqliteBackend


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    made: Backend = MemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(backend: Backend) -> Store:
    return backend.open()
