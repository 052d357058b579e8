"""retry_many, cancel_many, delete_many, purge, and the filter they share with list."""

from typing import Any

import pytest

from supervisor.core.job import Cause, State
from supervisor.core.sweep import Act
from supervisor.store.port import Filter
from tests.control.fake_service import NOW, FakeService
from tests.control.talk import Talk

ACTS = [(f"{act}_many", act) for act in Act]
ENDED = (State.DONE, State.FAILED, State.CANCELLED, State.EXPIRED)
WHOLE: dict[str, Any] = {
    "queue": "thumbs",
    "cause": "timeout",
    "tag": "t",
    "client": "c",
    "name": "n",
    "created_after": "2025-01-01T00:00:00Z",
    "created_before": "2025-01-01T01:00:01+01:00",
    "finished_after": "2025-01-01T00:00:02Z",
    "finished_before": "2025-01-01T00:00:03Z",
}
OF_WHAT_IS_OVER = ("cause", "finished_after", "finished_before")
FILTER = Filter(
    queue="thumbs",
    cause=Cause.TIMEOUT,
    tag="t",
    client="c",
    name="n",
    created_after=NOW,
    created_before=NOW + 1_000_000,
    finished_after=NOW + 2_000_000,
    finished_before=NOW + 3_000_000,
)


async def test_list_has_the_whole_filter(talk: Talk, service: FakeService) -> None:
    await talk.ask("list", **WHOLE)
    assert service.asked[-1][0] == FILTER


@pytest.mark.parametrize(
    ("act", "states"),
    [
        (Act.RETRY, (State.FAILED,)),
        (Act.CANCEL, (State.PENDING, State.RUNNING)),
        (Act.DELETE, ENDED),
    ],
)
async def test_each_act_has_its_own_states_unless_said(
    talk: Talk, service: FakeService, act: Act, states: tuple[State, ...]
) -> None:
    given = {name: value for name, value in WHOLE.items() if act is not Act.CANCEL or name not in OF_WHAT_IS_OVER}
    answer = await talk.ask(f"{act}_many", **given)
    assert answer == {"matched": 5, "changed": 3, "skipped": 1, "dry_run": False}
    said, want, dry_run = service.asked[-1]
    assert (said, want.states, dry_run) == (act, states, False)
    assert {name: getattr(want, name) for name in given} == {name: getattr(FILTER, name) for name in given}


@pytest.mark.parametrize("name", OF_WHAT_IS_OVER)
async def test_a_cancel_by_what_only_jobs_have_that_are_over_is_refused(
    talk: Talk, service: FakeService, name: str
) -> None:
    refusal = await talk.refusal("cancel_many", queue="thumbs", **{name: WHOLE[name]})
    assert refusal.message == f"{name}: jobs that wait or run have none, and no others can be cancelled: leave it out"
    assert not service.asked


async def test_a_retry_by_a_cause_that_only_cancelled_jobs_have_means_these(talk: Talk, service: FakeService) -> None:
    await talk.ask("retry_many", cause="replaced")
    await talk.ask("retry_many", cause="replaced", state="failed")
    states = [want.states for _, want, _ in service.asked]
    assert states == [(State.CANCELLED,), (State.FAILED,)]


async def test_states_that_are_said_hold(talk: Talk, service: FakeService) -> None:
    await talk.ask("retry_many", state=["cancelled", "failed"])
    await talk.ask("cancel_many", state="pending", tag="t")
    await talk.ask("delete_many", state="pending", dry_run=True)
    assert service.asked == [
        (Act.RETRY, Filter(states=(State.CANCELLED, State.FAILED)), False),
        (Act.CANCEL, Filter(states=(State.PENDING,), tag="t"), False),
        (Act.DELETE, Filter(states=(State.PENDING,)), True),
    ]


@pytest.mark.parametrize(("method", "act"), ACTS)
async def test_an_empty_filter_is_refused_unless_all_is_said(
    talk: Talk, service: FakeService, method: str, act: Act
) -> None:
    for empty in ({}, {"dry_run": True}, {"state": []}):
        refusal = await talk.refusal(method, **empty)
        assert (refusal.word, "which jobs?" in refusal.message) == ("invalid", True)
    assert not service.asked
    await talk.ask(method, all=True)
    assert service.asked[0][0] is act
    refusal = await talk.refusal(method, all=True, queue="thumbs")
    assert refusal.message.startswith("all: not together with a filter")


@pytest.mark.parametrize(
    ("method", "wrong", "message"),
    [
        ("retry_many", {"state": "done"}, "state: done jobs cannot be retried, only failed, cancelled, expired ones"),
        ("cancel_many", {"state": ["pending", "failed"]}, "state: failed jobs cannot be cancelled"),
        ("delete_many", {"state": "running"}, "state: running jobs cannot be deleted"),
        ("purge", {"queue": "thumbs", "state": "running"}, "state: running jobs cannot be deleted"),
        ("delete_many", {"state": "dead"}, 'state: there is none called "dead"'),
        ("retry_many", {"cause": "timeuot"}, 'cause: there is none called "timeuot"; did you mean "timeout"?'),
        ("retry_many", {"finished_before": "yesterday"}, "finished_before: expected RFC 3339"),
        ("list", {"created_after": "2025-01-01"}, "created_after: expected RFC 3339"),
    ],
)
async def test_what_cannot_be_is_refused(
    talk: Talk, service: FakeService, method: str, wrong: dict[str, Any], message: str
) -> None:
    refusal = await talk.refusal(method, **wrong)
    assert refusal.word == "invalid"
    assert refusal.message.startswith(message)
    assert not service.asked


async def test_a_single_id_is_no_filter(talk: Talk) -> None:
    assert "id: not a parameter" in (await talk.refusal("delete_many", id="x")).message
    assert "queue: not a parameter" in (await talk.refusal("delete", id="x", queue="q")).message


async def test_purge_means_what_is_pending_unless_said(talk: Talk, service: FakeService) -> None:
    assert (await talk.ask("purge", queue="thumbs"))["changed"] == 3
    await talk.ask("purge", queue="thumbs", state=["pending", "failed"], dry_run=True)
    assert service.asked == [
        (Act.DELETE, Filter(queue="thumbs", states=(State.PENDING,)), False),
        (Act.DELETE, Filter(queue="thumbs", states=(State.PENDING, State.FAILED)), True),
    ]
    assert "queue: required" in (await talk.refusal("purge")).message
