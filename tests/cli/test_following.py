"""stoker events."""

import json
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.samples import ID, queue
from tests.cli.scripted import Params, Refuse, ScriptedDaemon


def event(kind: str, **changes: Any) -> dict[str, Any]:
    told = {"cursor": "c1", "at": "2025-01-31T12:00:00.123456Z", "job": ID, "queue": "thumbs", "kind": kind}
    return {**told, "data": {"attempt": 0}, **changes}


def page(*events: dict[str, Any], next: str = "c9", more: bool = False) -> dict[str, Any]:
    return {"events": list(events), "next": next, "more": more}


@pytest.fixture(autouse=True)
def _in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_an_event_is_a_line_that_says_when_what_and_why(daemon: ScriptedDaemon, stoker: Run) -> None:
    retrying = event("retrying", data={"attempt": 2, "cause": "timeout", "run_at": "2999-01-01T00:00:00Z"})
    daemon.on("events", page(event("submitted"), retrying, event("done", job=None)))
    result = stoker("events")
    first, second, third = result.stdout.splitlines()
    assert first == f"2025-01-31 12:00:00.123 thumbs {ID} submitted"
    assert second.startswith(f"2025-01-31 12:00:00.123 thumbs {ID} retrying attempt 2, timeout, runs in ")
    assert third == "2025-01-31 12:00:00.123 thumbs (deleted) done"
    assert result.stderr == ""
    assert daemon.params("events") == [{"last": 20, "limit": 1000}]


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"progress": 0.4, "done": 4, "total": 10, "message": "page 4"}, "4 of 10: page 4"),
        ({"progress": 0.4}, "0.4"),
        ({"progress": None, "done": 7}, "7"),
        ({"progress": None, "message": "page 4"}, "page 4"),
    ],
)
def test_progress_is_told_by_what_there_is_of_it(
    daemon: ScriptedDaemon, stoker: Run, told: dict[str, Any], line: str
) -> None:
    daemon.on("events", page(event("progress", data={"attempt": 1, "progress": told})))
    assert stoker("events").stdout.rstrip("\n").endswith(f" progress attempt 1, {line}")


def test_json_is_each_event_on_a_line_of_its_own_and_nothing_else(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("events", page(event("submitted"), event("started")))
    result = stoker("events", "--json")
    assert [json.loads(line)["kind"] for line in result.stdout.splitlines()] == ["submitted", "started"]
    assert result.stderr == ""


def test_pages_are_asked_for_until_there_are_no_more(daemon: ScriptedDaemon, stoker: Run) -> None:
    pages = iter([page(event("submitted"), next="c1", more=True), page(next="c2", more=True), page(event("done"))])
    daemon.on("events", lambda params: next(pages))
    daemon.on("position", {"ahead": 0, "active": 0})
    result = stoker("events", "--job", ID, "--queue", "thumbs")
    assert len(result.stdout.splitlines()) == 2
    wanted = {"job": ID, "queue": "thumbs", "limit": 1000}
    assert daemon.params("events") == [wanted, {**wanted, "since": "c1"}, {**wanted, "since": "c2"}]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "no events"),
        (("--job", ID), "no events"),
        (
            ("--queue", "thumbs"),
            (
                "no events of it among the newest 20 of all: --last N looks further back, "
                "and a queue with events = false has none"
            ),
        ),
        (("--kind", "done", "--last", "5"), "no events of it among the newest 5 of all: --last N looks further back"),
    ],
)
def test_nothing_to_show_is_said_on_stderr(
    daemon: ScriptedDaemon, stoker: Run, options: tuple[str, ...], told: str
) -> None:
    daemon.on("events", page())
    daemon.on("queues", {"queues": [queue()]})
    daemon.on("position", {"ahead": 0, "active": 0})
    result = stoker("events", *options)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", f"{told}\n")
    assert (result.exit_code, stoker("events", "--json", *options).stderr) == (0, "")


@pytest.mark.parametrize("follow", [(), ("--follow",)])
def test_a_queue_that_does_not_exist_is_refused(daemon: ScriptedDaemon, stoker: Run, follow: tuple[str, ...]) -> None:
    """Whoever follows a misspelled one would wait for ever."""

    def refuse(_: object) -> None:
        raise Refuse("unknown_queue", "no queue thumbz; known queues: thumbs")

    daemon.on("events", refuse)
    daemon.on("subscribe", refuse)
    result = stoker("events", "--queue", "thumbz", *follow)
    assert (result.exit_code, result.stderr) == (1, "stoker: no queue thumbz; known queues: thumbs\n")


def test_since_and_last_exclude_each_other(daemon: ScriptedDaemon, stoker: Run) -> None:
    result = stoker("events", "--since", "c1", "--last", "3")
    assert result.exit_code == 2
    assert "--since and --last do not go together" in result.stderr


def test_a_place_that_is_gone_is_a_refusal(daemon: ScriptedDaemon, stoker: Run) -> None:
    def answer(params: Params) -> None:
        raise Refuse("gone", "events after number 3 were removed")

    daemon.on("events", answer)
    result = stoker("events", "--since", "c1")
    assert (result.exit_code, result.stderr) == (1, "stoker: events after number 3 were removed\n")


@pytest.mark.parametrize("options", [(), ("--follow",)])
def test_a_job_of_which_nothing_is_known_is_refused(
    daemon: ScriptedDaemon, stoker: Run, options: tuple[str, ...]
) -> None:
    daemon.on("position", no_such_job)
    daemon.on("events", page())
    result = stoker("events", "--job", ID, *options)
    assert (result.exit_code, result.stderr) == (1, f"stoker: there is no job {ID}\n")


def test_a_deleted_job_is_told_of_as_long_as_the_journal_has_it(daemon: ScriptedDaemon, stoker: Run) -> None:
    daemon.on("position", no_such_job)
    daemon.on("events", page(event("deleted")))
    assert stoker("events", "--job", ID).stdout.rstrip().endswith("deleted")


def no_such_job(params: Params) -> None:
    raise Refuse("not_found", f"there is no job {ID}")
