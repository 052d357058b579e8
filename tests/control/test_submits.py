"""What a submit may ask for."""

import re
from typing import Any

import msgspec
import pytest

from protocol.control import SubmitParams
from supervisor.config.model import Backoff, QueueConfig
from supervisor.control.durations import MAX_SECS
from supervisor.control.submits import new_job
from supervisor.core.job import OnConflict
from supervisor.errors import Invalid, TooLarge
from tests.control.fake_service import NOW

QUEUE = QueueConfig(name="thumbs", max_payload=20)
SECOND = 1_000_000


def job(**params: Any) -> Any:
    given = {"queue": "thumbs", "payload": None, **params}
    return new_job(msgspec.json.decode(msgspec.json.encode(given), type=SubmitParams), QUEUE, NOW)


def test_a_plain_submit_is_due_at_once_and_leaves_the_rest_to_the_queue_and_the_pool() -> None:
    new = job(payload={"a": 1})
    assert (new.queue, new.payload, new.created_at, new.run_at) == ("thumbs", b'{"a":1}', NOW, NOW)
    assert (new.priority, new.timeout, new.max_attempts, new.expires_at) == (0, None, None, None)
    assert (new.client, new.key, new.unique, new.name, new.tags) == (None, None, None, None, ())
    assert new.on_conflict is OnConflict.EXISTING


def test_ids_are_uuids_of_version_7_in_the_order_of_submission() -> None:
    ids = [job().id for _ in range(2000)]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id) for id in ids)


def test_everything_that_is_said_is_kept() -> None:
    new = job(
        priority=-3,
        timeout_secs=1.5,
        max_attempts=2,
        expires_in_secs=60,
        client="shop",
        key="order-7",
        unique="cart",
        name="thumbnail",
        tags=["a", "b"],
    )
    assert (new.priority, new.timeout, new.max_attempts, new.expires_at) == (-3, 1.5, 2, NOW + 60 * SECOND)
    assert (new.client, new.key, new.unique, new.name, new.tags) == ("shop", "order-7", "cart", "thumbnail", ("a", "b"))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([1, 10.5], Backoff(delays=(1.0, 10.5))),
        ({"delays_secs": [0], "jitter": 0}, Backoff(delays=(0.0,), jitter=0.0)),
        ({}, Backoff()),
        ({"base_secs": 1, "factor": 1, "cap_secs": 7, "jitter": 1}, Backoff(base=1.0, factor=1.0, cap=7.0, jitter=1.0)),
        ({"cap_secs": 3600}, Backoff(cap=3600.0)),
    ],
)
def test_a_job_may_bring_its_own_backoff(given: Any, kept: Backoff) -> None:
    assert job(backoff=given).backoff == kept


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "backoff: must have 1 to 100 delays, got 0; the last one repeats"),
        ([1] * 101, "backoff: must have 1 to 100 delays, got 101"),
        ([1, -1], "backoff[1]: must be at least 0"),
        ({"delays_secs": []}, "backoff.delays_secs: must have 1 to 100"),
        ({"delays_secs": [1, MAX_SECS * 2]}, "backoff.delays_secs[1]: must be at least 0"),
        ({"delays_secs": [1], "cap_secs": 3}, "backoff.delays_secs: not together with base_secs"),
        ({"base_secs": -1}, "backoff.base_secs: must be at least 0"),
        ({"cap_secs": MAX_SECS * 2}, "backoff.cap_secs: must be at least 0"),
        ({"cap_secs": 1}, "backoff.base_secs: must be at most cap_secs, which is 1, got 2"),
        ({"factor": 0.5}, "backoff.factor: must be between 1 and 100, got 0.5"),
        ({"factor": 101}, "backoff.factor: must be between 1 and 100"),
        ({"jitter": 1.1}, "backoff.jitter: must be between 0 and 1, got 1.1"),
    ],
)
def test_a_backoff_that_makes_no_sense_is_refused(given: Any, said: str) -> None:
    with pytest.raises(Invalid) as refusal:
        job(backoff=given)
    assert refusal.value.message.startswith(said)


def test_a_job_can_start_later() -> None:
    assert job(delay_secs=1.5).run_at == NOW + 3 * SECOND // 2
    assert job(delay_secs=0).run_at == NOW
    assert job(run_at="2025-01-01T01:00:01+01:00").run_at == NOW + SECOND
    assert job(run_at="2024-01-01T00:00:00Z").run_at < NOW


@pytest.mark.provokes("max_payload")
def test_a_payload_over_the_queues_limit_is_refused_with_both_sizes() -> None:
    assert job(payload="x" * 18).payload == b'"' + b"x" * 18 + b'"'
    with pytest.raises(TooLarge, match=r"payload: 21 bytes .* queue thumbs takes 20") as caught:
        job(payload="x" * 19)
    assert caught.value.data == {"size": 21, "limit": 20}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"run_at": "2030-01-01T00:00:00Z", "delay_secs": 1}, "run_at: not together with delay_secs"),
        ({"run_at": "2030-01-01T00:00:00"}, "run_at: expected RFC 3339 with an offset or Z"),
        ({"run_at": "x" * 9999}, "run_at: expected RFC 3339"),
        ({"delay_secs": -1}, "delay_secs: must be at least 0 and at most 3162240000 seconds, got -1"),
        ({"delay_secs": 1e300}, "delay_secs: must be at least 0"),
        ({"timeout_secs": 0}, "timeout_secs: must be more than 0"),
        ({"timeout_secs": -0.5}, "timeout_secs: must be more than 0"),
        ({"timeout_secs": MAX_SECS * 2}, "timeout_secs: must be more than 0"),
        ({"expires_in_secs": 0}, "expires_in_secs: must be more than 0"),
        ({"expires_in_secs": MAX_SECS * 2}, "expires_in_secs: must be more than 0"),
        ({"max_attempts": 0}, "max_attempts: must be between 1 and 2147483647"),
        ({"max_attempts": 2**31}, "max_attempts: must be between 1 and 2147483647"),
        ({"priority": 2**31}, "priority: must be between -2147483647 and 2147483647"),
        ({"priority": -(2**31)}, "priority: must be between -2147483647 and 2147483647"),
        ({"key": "k"}, "key: needs client beside it"),
        ({"client": ""}, "client: must have 1 to 255 characters, got 0"),
        ({"client": "c", "key": "k" * 256}, "key: must have 1 to 255 characters, got 256"),
        ({"unique": ""}, "unique: must have 1 to 255 characters"),
        ({"on_conflict": "replace"}, "on_conflict: needs unique beside it"),
        ({"on_conflict": "existing"}, "on_conflict: needs unique beside it"),
        ({"unique": "u", "on_conflict": "rejct"}, 'on_conflict: there is none called "rejct"; did you mean "reject"?'),
        ({"name": "n" * 256}, "name: must have 1 to 255 characters"),
        ({"tags": ["t"] * 21}, "tags: at most 20 to a job, got 21"),
        ({"tags": ["a", ""]}, "tags[1]: must have 1 to 100 characters, got 0"),
        ({"tags": ["t" * 101]}, "tags[0]: must have 1 to 100 characters, got 101"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(params: dict[str, Any], message: str) -> None:
    with pytest.raises(Invalid) as caught:
        job(**params)
    assert caught.value.message.startswith(message)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    "params",
    [
        {"priority": 2**31 - 1},
        {"priority": -(2**31 - 1)},
        {"max_attempts": 1},
        {"timeout_secs": 0.001},
        {"client": "only to list by"},
        {"client": "c" * 255, "key": "é" * 255},
        {"tags": ["t" * 100] * 20},
        {"delay_secs": MAX_SECS},
    ],
)
def test_the_limits_themselves_are_allowed(params: dict[str, Any]) -> None:
    assert job(**params)
