"""Asking about many jobs: their states alone, or all they carry, however much that is."""

from pathlib import Path

import pytest

from supervisor.core.job import State
from supervisor.store.port import Store
from supervisor.store.sqlite import documents
from tests.store.support import NOW, SqliteBackend, add, ended, running


def test_states_answers_in_the_order_asked_and_none_for_what_is_not_there(store: Store) -> None:
    jobs = [add(store), add(store, run_at=NOW + 1000), running(store), ended(store), ended(store, State.FAILED)]
    ids = [jobs[4].id, "no-such-job", *(job.id for job in jobs[:4])]
    expected = [State.FAILED, None, State.PENDING, State.PENDING, State.RUNNING, State.DONE]
    assert store.states(ids) == expected
    assert store.states([]) == []


def test_many_jobs_are_read_in_portions_and_answered_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = SqliteBackend(tmp_path)
    store = backend.open()
    ids = [add(store, payload=b'"' + b"x" * size + b'"').id for size in (10, 5000, 20, 3000, 40)]
    whole = store.get(ids)
    asked: list[int] = []
    read = documents._jobs

    def counted(connection: object, query: str, which: list[str]) -> object:
        asked.append(len(which))
        return read(connection, query, which)  # type: ignore[arg-type]

    monkeypatch.setattr(documents, "PORTION", 4000)
    monkeypatch.setattr(documents, "_jobs", counted)
    assert store.get(ids) == whole
    assert len(asked) > 1
    assert sum(asked) == len(ids)
    backend.close()
