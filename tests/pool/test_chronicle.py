"""A job's story in the log: where each attempt ran, what its worker wrote, what came of it; in order, and bounded."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from supervisor.config.model import Backoff, QueueConfig, Rate
from supervisor.core import story
from supervisor.core.job import State
from supervisor.pool.chronicle import Chronicle, Which
from supervisor.store.port import Cut
from tests.pool.rig import Rig, python, rig

# Says its payload on stderr, and answers with the status that is there; "exit" is an end.
OBEYS = python(
    "import json, os, sys",
    "for line in sys.stdin.buffer:",
    "    request = json.loads(line)",
    "    said = request['payload'] if request['attempt'] == 1 else 'ok'",
    "    os.write(2, (f'{request[\"attempt\"]} {said}' + chr(10)).encode())",
    "    if said == 'exit': sys.exit(3)",
    "    reply = {'id': request['id'], 'status': said, 'message': 'no such file', 'retry_after_secs': 0}",
    "    os.write(1, (json.dumps(reply) + chr(10)).encode())",
)
AT_ONCE = QueueConfig(name="q", backoff=Backoff(base=0.0, cap=0.0))
ONE_ATTEMPT = QueueConfig(name="q", max_attempts=1)


def chronicled(house: Rig, which: Which = "all") -> Chronicle:
    house.feeder.chronicle = Chronicle(which)
    return house.feeder.chronicle


def of(events: Sequence[Any], job: str) -> list[Any]:
    return [event for event in events if event.get("job") == job]


def words(events: Sequence[Any]) -> list[str]:
    return [event["event"].removeprefix("job_") for event in events]


async def test_a_jobs_story_is_told_in_order_with_what_its_worker_wrote(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with rig(OBEYS, folder=tmp_path, queue=AT_ONCE) as house:
            chronicled(house)
            good, bad = await house.submit("ok", "error")
            await house.ends(good, bad)
    began, wrote, done = of(events, good)
    where = {"job": good, "queue": "q", "pool": "p", "slot": 0, "pid": began["pid"], "attempt": 1}
    assert began.items() >= {**where, "event": "job_started", "log_level": "info"}.items()
    assert began["waited_secs"] >= 0
    assert wrote.items() >= {**where, "event": "worker_stderr", "line": "1 ok"}.items()
    assert done.items() >= {**where, "event": "job_done", "log_level": "info"}.items()
    assert done["secs"] > 0
    story = of(events, bad)
    assert words(story) == ["started", "worker_stderr", "retrying", "started", "worker_stderr", "done"]
    assert [event["attempt"] for event in story] == [1, 1, 1, 2, 2, 2]
    assert story[2].items() >= {"cause": "error", "message": "no such file", "log_level": "warning", "slot": 0}.items()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", story[2]["retry_at"])


async def test_a_failure_says_the_cause_and_how_the_worker_ended(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with rig(OBEYS, folder=tmp_path, queue=ONE_ATTEMPT) as house:
            chronicled(house, "failed")
            job = (await house.run("exit")).id
    wrote, failed = of(events, job)
    assert wrote["event"] == "worker_stderr"
    assert failed.items() >= {"event": "job_failed", "log_level": "error", "cause": "exited", "exit_code": 3}.items()
    assert (failed["pool"], failed["slot"], failed["attempt"], failed["pid"]) == ("p", 0, 1, wrote["pid"])


@pytest.mark.parametrize(("which", "told"), [("failed", ["worker_stderr"]), ("none", ["worker_stderr"])])
async def test_a_job_that_went_well_is_not_told_where_nobody_asked(
    tmp_path: Path, which: Which, told: list[str]
) -> None:
    with capture_logs() as events:
        async with rig(OBEYS, folder=tmp_path) as house:
            chronicled(house, which)
            job = (await house.run("ok")).id
    assert words(of(events, job)) == told


async def test_none_tells_no_failure_either(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with rig(OBEYS, folder=tmp_path, queue=ONE_ATTEMPT) as house:
            chronicled(house, "none").expired(["x"])
            job = (await house.run("error")).id
    assert words(of(events, job)) == ["worker_stderr"]
    assert of(events, "x") == []


async def test_a_job_that_was_given_back_is_released(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with rig(OBEYS, folder=tmp_path) as house:
            chronicled(house)
            job = (await house.run("throttled")).id
    story = [event for event in of(events, job) if event["event"] != "worker_stderr"]
    assert words(story) == ["started", "released", "started", "done"]
    assert story[1]["retry_at"] is not None


async def test_cancelled_retried_and_expired_jobs_are_told(tmp_path: Path) -> None:
    with capture_logs() as events:
        async with rig(OBEYS, folder=tmp_path) as house:
            chronicled(house)
            await house.service.pause("q")
            [job] = await house.submit("ok")
            [late] = await house.submit("ok", expires_at=house.now() + 1000)
            await house.service.cancel(job)
            await house.service.cancel(job)
            await house.service.retry(job)
            assert (await house.ends(late))[0].state is State.EXPIRED
            await house.service.resume("q")
            await house.ends(job)
    assert words(of(events, job)) == ["cancelled", "retried", "started", "worker_stderr", "done"]
    assert words(of(events, late)) == ["expired"]


def test_what_the_last_daemons_death_cut_short_is_told_by_the_next() -> None:
    with capture_logs() as events:
        Chronicle("failed").interrupted([Cut("a", "q", 2, False), Cut("b", "r", 1, True)])
    assert events == [
        {"event": "job_interrupted", "log_level": "warning", "job": "a", "queue": "q", "attempt": 2},
        {
            "event": "job_failed",
            "log_level": "error",
            "job": "b",
            "queue": "r",
            "attempt": 1,
            "cause": "interrupted",
        },
    ]


async def test_what_is_over_the_rate_is_told_whole_or_not_at_all_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "STORIES_BURST", 3)
    monkeypatch.setattr(story, "STORIES", Rate(count=1, period=10**15))
    with capture_logs() as events:
        async with rig(OBEYS, folder=tmp_path) as house:
            chronicle = chronicled(house)
            jobs = await house.submit(*["ok"] * 10)
            await house.ends(*jobs)
            chronicle.tick()
            chronicle.tick(last=True)
            chronicle.tick(last=True)
    told = [words(of(events, job)) for job in jobs]
    assert told == [["started", "worker_stderr", "done"]] * 3 + [["worker_stderr"]] * 7
    [left] = [event for event in events if event["event"] == "job_lines_left_out"]
    assert (left["stories"], left["failures"], left["log_level"]) == (7, 0, "info")


def test_failures_that_were_left_out_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "FAILURES_BURST", 2)
    now = 0
    chronicle = Chronicle("failed", lambda: now)
    with capture_logs() as events:
        chronicle.expired(map(str, range(5)))
        now = story.EVERY
        chronicle.tick()
    assert words(events) == ["expired", "expired", "lines_left_out"]
    assert (events[-1]["failures"], events[-1]["log_level"]) == (3, "warning")
