"""The judges of a crash run: each notices the one promise of its own that a history breaks."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from protocol.times import to_rfc3339
from supervisor.core.job import Job, State
from tests.crash import checks
from tests.crash.checks import check_all
from tests.crash.history import Disk, History, Life
from tests.crash.ledger import Accepted, Ended, Ledger
from tests.workers import Mark

JOB = "0199f3c2-0000-7000-8000-000000000001"
ENDED_AT = 1_700_000_000_000_000


def job(**changes: Any) -> Job:
    fields = dict.fromkeys(Job.__struct_fields__)
    fields |= {"seq": 1, "id": JOB, "queue": "work", "state": State.DONE, "payload": b"null", "priority": 0}
    fields |= {"attempt": 2, "charged": 0, "crashes": 0, "interruptions": 1, "attempts": (), "tags": ("batch",)}
    fields |= {"run_at": 0, "created_at": 0, "key": "k", "client": "crash"}
    fields |= {"finished_at": ENDED_AT, "result": b'{"attempt":2,"pid":20}'}
    return Job(**{**fields, **changes})


RUNNING = {"state": State.RUNNING, "attempt": 1, "interruptions": 0, "finished_at": None, "result": None}


def marks(attempt: int, pid: int, *ats: int) -> list[Mark]:
    events = ["begin", *["alive"] * (len(ats) - 2), "end"]
    return [Mark(event, JOB, attempt, pid, at) for event, at in zip(events, ats, strict=True)]


class Case:
    """A job that was running when daemon 0 died, and was done by daemon 1: nothing wrong with it, until changed."""

    def __init__(self) -> None:
        self.first: Disk = {JOB: job(**RUNNING)}
        self.last: Disk = {JOB: job()}
        self.marks = [marks(1, 10, 100, 110, 120), marks(2, 20, 200, 210, 220)]
        self.ledger = Ledger()
        self.ledger.keys = {"k"}
        self.ledger.batches = {"batch": 1}
        self.ledger.accepted = [Accepted(JOB, True, True, 0, "k", True)]
        view = {"id": JOB, "state": "done", "attempt": 2, "interruptions": 1}
        view |= {"finished_at": to_rfc3339(ENDED_AT), "result": {"attempt": 2, "pid": 20}}
        self.ledger.ended = [Ended(view, 1, 300)]

    def history(self) -> History:
        lives = [
            Life("claim recorded", True, 0, self.marks[0], self.first),
            Life(None, True, 1, self.marks[1], self.last),
        ]
        return History(lives, self.ledger)

    def change(self, **changes: Any) -> None:
        """The job as it was left in the end."""
        self.last = {JOB: msgspec.structs.replace(self.last[JOB], **changes)}


def test_a_good_history_passes() -> None:
    check_all(Case().history())


def missing(case: Case) -> None:
    case.first = {}


def not_ended(case: Case) -> None:
    case.change(state=State.PENDING)


def ended_twice(case: Case) -> None:
    case.first = {JOB: job(state=State.CANCELLED, result=None)}


def answered_too_early(case: Case) -> None:
    case.ledger.ended = [case.ledger.ended[0]._replace(daemon=0)]


def two_jobs_of_one_key(case: Case) -> None:
    case.last["other"] = job(id="other", tags=())
    case.first["other"] = job(id="other", tags=(), state=State.PENDING, attempt=0)


def created_twice(case: Case) -> None:
    case.ledger.accepted *= 2


def half_a_batch(case: Case) -> None:
    case.ledger.batches = {"batch": 2}


def a_stale_answer(case: Case) -> None:
    case.change(result=b'{"attempt":1,"pid":10}')


def an_answer_of_the_dead(case: Case) -> None:
    case.change(result=b'{"attempt":2,"pid":10}')


def an_attempt_again(case: Case) -> None:
    case.marks[1] = marks(1, 20, 200, 220)


def an_overlap(case: Case) -> None:
    case.marks[0] = marks(1, 10, 100, 205)


def an_uncounted_interruption(case: Case) -> None:
    case.change(interruptions=0)


def a_run_after_its_end(case: Case) -> None:
    case.marks[1] += marks(3, 21, 400, 410)


@pytest.mark.parametrize(
    ("break_it", "noticed_by"),
    [
        (missing, checks.check_no_accepted_job_is_missing),
        (not_ended, checks.check_every_job_ended_once),
        (ended_twice, checks.check_every_job_ended_once),
        (answered_too_early, checks.check_what_was_answered_was_on_disk),
        (two_jobs_of_one_key, checks.check_one_key_is_one_job),
        (created_twice, checks.check_one_key_is_one_job),
        (half_a_batch, checks.check_batches_are_whole_or_not_there),
        (a_stale_answer, checks.check_results_are_of_the_attempt_that_counts),
        (an_answer_of_the_dead, checks.check_results_are_of_the_attempt_that_counts),
        (an_attempt_again, checks.check_attempts_rise),
        (an_overlap, checks.check_no_run_overlaps_another),
        (an_overlap, checks.check_leftovers_are_gone_before_the_first_run),
        (an_uncounted_interruption, checks.check_interruptions_are_counted),
        (a_run_after_its_end, checks.check_nothing_runs_after_its_end),
    ],
)
def test_a_broken_promise_is_noticed(break_it: Callable[[Case], None], noticed_by: Callable[[History], None]) -> None:
    case = Case()
    break_it(case)
    with pytest.raises(AssertionError):
        noticed_by(case.history())
