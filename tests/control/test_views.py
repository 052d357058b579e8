"""Jobs as clients see them."""

import json
from typing import Any

import msgspec
import pytest

from protocol.control import SubmitParams
from supervisor.config.model import Backoff, QueueConfig
from supervisor.control.submits import new_job
from supervisor.control.views import job_view, submitted_view
from supervisor.core.job import Attempt, Cause, JobError, State
from supervisor.store.port import Submitted
from tests.control.fake_service import NOW, a_config, a_job

SECOND = 1_000_000
ERROR = JobError(cause=Cause.EXITED, message="exited with 3", exit_code=3, stderr="boom\n")


def shown(job: Any, *, full: bool = True) -> dict[str, Any]:
    return json.loads(msgspec.json.encode(job_view(job, a_config(), full=full)))


def test_a_fresh_job_shows_every_member() -> None:
    assert shown(a_job()) == {
        "id": "0199f3c2-0000-7000-8000-000000000001",
        "queue": "thumbs",
        "state": "pending",
        "payload": {"path": "a.png"},
        "result": None,
        "error": None,
        "attempt": 0,
        "max_attempts": 5,
        "backoff": None,
        "timeout_secs": None,
        "priority": 0,
        "run_at": "2025-01-01T00:00:00.000000Z",
        "created_at": "2025-01-01T00:00:00.000000Z",
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "progress": None,
        "client": None,
        "key": None,
        "unique": None,
        "name": None,
        "tags": [],
        "charged": 0,
        "crashes": 0,
        "interruptions": 0,
        "attempts": [],
    }


def test_an_ended_job_shows_its_result_and_its_failed_attempts() -> None:
    attempt = Attempt(attempt=1, started_at=NOW, finished_at=NOW + 3 * SECOND // 2, pid=77, error=ERROR)
    view = shown(
        a_job(
            state=State.DONE,
            result=b'[1,"\xc3\xa9"]',
            progress=b'{"progress":0.5}',
            attempt=2,
            started_at=NOW + 2 * SECOND,
            finished_at=NOW + 3 * SECOND,
            expires_at=NOW + 60 * SECOND,
            tags=("a", "b"),
            attempts=(attempt,),
        )
    )
    assert view["result"] == [1, "é"]
    assert view["progress"] == {"progress": 0.5}
    assert view["started_at"] == "2025-01-01T00:00:02.000000Z"
    assert view["finished_at"] == "2025-01-01T00:00:03.000000Z"
    assert view["expires_at"] == "2025-01-01T00:01:00.000000Z"
    assert view["tags"] == ["a", "b"]
    assert view["attempts"] == [
        {
            "attempt": 1,
            "started_at": "2025-01-01T00:00:00.000000Z",
            "finished_at": "2025-01-01T00:00:01.500000Z",
            "duration_secs": 1.5,
            "pid": 77,
            "error": {
                "cause": "exited",
                "message": "exited with 3",
                "exit_code": 3,
                "signal": None,
                "stderr": "boom\n",
                "retry": True,
            },
        }
    ]


def test_an_error_shows_the_workers_details_only_where_there_are_some() -> None:
    error = JobError(cause=Cause.ERROR, message="no", retry=False, details=msgspec.Raw(b'{"line":7}'))
    assert shown(a_job(state=State.FAILED, error=error))["error"]["details"] == {"line": 7}
    assert "details" not in shown(a_job(state=State.FAILED, error=ERROR))["error"]


def test_without_full_payload_result_and_attempts_are_left_out() -> None:
    full, short = shown(a_job()), shown(a_job(payload=None), full=False)
    assert set(full) - set(short) == {"payload", "result", "attempts"}
    assert {name: full[name] for name in short} == short


def test_max_attempts_is_the_jobs_own_else_its_queues_else_the_default() -> None:
    assert shown(a_job(max_attempts=2, queue="small"))["max_attempts"] == 2
    assert shown(a_job(queue="small"))["max_attempts"] == 7
    assert shown(a_job(queue="configured no more"))["max_attempts"] == 5


@pytest.mark.parametrize(
    ("own", "seen"),
    [
        (Backoff(delays=(1.0, 60.0)), {"delays_secs": [1, 60], "jitter": 0.2}),
        (
            Backoff(base=1.0, factor=3.0, cap=9.0, jitter=0.0),
            {"base_secs": 1, "factor": 3, "cap_secs": 9, "jitter": 0},
        ),
    ],
)
def test_a_jobs_own_backoff_is_shown_as_it_could_be_submitted(own: Backoff, seen: dict[str, object]) -> None:
    assert shown(a_job(backoff=own))["backoff"] == seen
    given = {"queue": "thumbs", "payload": None, "backoff": seen}
    params = msgspec.json.decode(msgspec.json.encode(given), type=SubmitParams)
    assert new_job(params, QueueConfig(name="thumbs"), NOW).backoff == own


def test_same_is_said_only_where_an_earlier_job_answers() -> None:
    new = Submitted(seq=1, id="a", created=True, state=State.PENDING, due=True)
    old = Submitted(seq=1, id="a", created=False, state=State.DONE, due=False, same=False)
    assert json.loads(msgspec.json.encode(submitted_view(new))) == {"id": "a", "created": True, "state": "pending"}
    assert json.loads(msgspec.json.encode(submitted_view(old))) == {
        "id": "a",
        "created": False,
        "state": "done",
        "same": False,
    }
