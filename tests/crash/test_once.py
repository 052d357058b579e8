"""Work that must not run twice: a real daemon, killed at any moment and at chosen ones, begins no job again.

Its queue says `on_daemon_crash = "fail"` and `max_attempts = 1`; jobs that fail on their own are not repeated either,
so that whatever the workers' side files have twice was begun twice.
"""

from collections import Counter
from itertools import pairwise

import pytest

from supervisor.core.job import Cause, Job, State
from tests.crash.campaign import ANY, Campaign, timed
from tests.crash.checks import (
    check_leftovers_are_gone_before_the_first_run,
    check_no_accepted_job_is_missing,
    check_nothing_runs_after_its_end,
    check_one_key_is_one_job,
    check_what_was_answered_was_on_disk,
    story,
)
from tests.crash.clients import QUEUE
from tests.crash.conftest import Build
from tests.crash.history import History
from tests.crash.house import House
from tests.workers import command, wrapped

OFTEN = 8
KINDS = {"plain": command("marker"), "wrapped": wrapped("marker")}
# Before a claim is on disk, when it is, and with the job begun in all ways.
MOMENTS = ["checked out", "before commit", "after commit", "claim on disk", "request written", "half a reply", ANY]
MOMENTS += ["reply read", "outcome on disk", "tree ending", "recovering", "recovered"]
CAUSES = {Cause.ERROR, Cause.TIMEOUT, Cause.INTERRUPTED}


def house_of(build: Build, kind: str) -> House:
    pool = {"command": KINDS[kind], "size": 4, "boot_timeout": "1s"}
    return build({QUEUE: pool}, queue={"on_daemon_crash": "fail", "max_attempts": 1})


def check_no_job_begins_twice(history: History) -> None:
    for job_id, runs in history.runs.items():
        assert len(runs) == 1, story(history, job_id)


def check_what_began_was_on_disk_as_running(history: History) -> None:
    """With the attempt that its worker was told, by the time its daemon was dead."""
    for job_id, runs in history.runs.items():
        for run in runs:
            left = history.lives[run.daemon].disk[job_id]
            assert left.attempt == run.attempt, story(history, job_id)
            assert left.state is State.RUNNING or left.state.final, story(history, job_id)


def check_what_was_found_running_failed_as_interrupted_and_nothing_else_did(history: History) -> None:
    found: Counter[str] = Counter()
    for before, after in pairwise(history.lives):
        if after.recovered:
            found.update(job_id for job_id, job in before.disk.items() if job.state is State.RUNNING)
    for job_id, job in history.last.items():
        assert job.state.final, story(history, job_id)
        assert found[job_id] == job.interruptions == int(_interrupted(job)), story(history, job_id)
        if job.error is not None:
            assert job.error.cause in CAUSES, story(history, job_id)
        if _interrupted(job):
            assert job.state is State.FAILED, story(history, job_id)
            assert job.attempts[-1].error == job.error, story(history, job_id)


def _interrupted(job: Job) -> bool:
    return job.error is not None and job.error.cause is Cause.INTERRUPTED


def check(campaign: Campaign, plan: list[str]) -> History:
    history, summary = timed(campaign, plan)
    print(summary)
    check_no_job_begins_twice(history)
    check_what_began_was_on_disk_as_running(history)
    check_what_was_found_running_failed_as_interrupted_and_nothing_else_did(history)
    check_no_accepted_job_is_missing(history)
    check_what_was_answered_was_on_disk(history)
    check_one_key_is_one_job(history)
    check_leftovers_are_gone_before_the_first_run(history)
    check_nothing_runs_after_its_end(history)
    assert campaign.house.records() == []
    assert campaign.house.processes() == []
    return history


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.provokes("daemon killed", "on_daemon_crash", program="marker.py")
def test_killed_at_every_moment_no_job_begins_twice(build: Build, kind: str) -> None:
    campaign = Campaign(house_of(build, kind), seed=5)
    history = check(campaign, MOMENTS * OFTEN)
    assert {moment: campaign.hits[moment] for moment in MOMENTS} == dict.fromkeys(MOMENTS, OFTEN)
    # Without any, nothing would have been tried.
    assert sum(_interrupted(job) for job in history.last.values()) >= OFTEN


@pytest.mark.parametrize("kind", ["plain", pytest.param("wrapped", marks=pytest.mark.long)])
@pytest.mark.provokes("daemon killed", "on_daemon_crash", program="marker.py")
def test_killed_a_few_times_no_job_begins_twice(build: Build, kind: str) -> None:
    history = check(Campaign(house_of(build, kind), seed=6), ["claim on disk", "request written", "half a reply", ANY])
    assert any(_interrupted(job) for job in history.last.values())
