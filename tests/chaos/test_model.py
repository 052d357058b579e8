"""The model and the check themselves: a chaos run proves nothing if they pass whatever comes."""

from typing import Any

import pytest

from tests.chaos.check import Diary, problems
from tests.chaos.model import ANSWERS, CAUSES, Ending, Policy, predict
from tests.chaos.script import FATES, POLICY, Fate, Script, Scripts

DONE = {"do": "done"}
ERROR = {"do": "error", "message": "not this time", "retry": True}
FATAL = {"do": "error", "message": "never do this again", "retry": False}
CRASH = {"do": "crash", "signal": "SIGSEGV"}
THROTTLE = {"do": "throttle", "secs": 0}
FORK = {"do": "fork", "then": {"do": "leave_early", "code": 9}}


@pytest.mark.parametrize(
    ("steps", "ending"),
    [
        ([], None),
        ([DONE], Ending("done", None, 0, 0, (), 1)),
        ([THROTTLE, THROTTLE, DONE], Ending("done", None, 0, 0, (), 3)),
        ([ERROR, ERROR], None),
        ([ERROR, ERROR, ERROR], Ending("failed", "error", 3, 0, ("error",) * 3, 3)),
        ([ERROR, CRASH, DONE], Ending("done", None, 2, 1, ("error", "exited"), 3)),
        ([FATAL, DONE], Ending("failed", "error", 1, 0, ("error",), 1)),
        ([CRASH, FORK], Ending("failed", "poison", 2, 2, ("exited", "poison"), 2)),
        (
            [{"do": "desync"}, {"do": "oversize"}, {"do": "hang_on"}],
            Ending("failed", "timeout", 3, 0, ("desync", "oversize", "timeout"), 3),
        ),
    ],
)
def test_what_a_script_comes_to(steps: list[dict[str, Any]], ending: Ending | None) -> None:
    assert predict(steps, Policy(max_attempts=3, max_crashes=2)) == ending


def test_the_same_seed_writes_the_same_scripts() -> None:
    first, second, other = (Scripts("a", seed, ("fd", "memory"), cancelled=0.1) for seed in (1, 1, 2))
    scripts = [first.next() for _ in range(300)]
    assert scripts == [second.next() for _ in range(300)]
    assert scripts != [other.next() for _ in range(300)]


def test_every_kind_of_run_occurs_and_comes_to_something() -> None:
    scripts = Scripts("a", 1, ("fd", "memory", "require_id"), cancelled=0.1)
    many = [scripts.next() for _ in range(5000)]
    assert {step["do"] for script in many for step in script.steps} == {*ANSWERS, *CAUSES, "fork", "throttle"}
    assert {(script.ending.state, script.ending.cause) for script in many} >= {
        ("done", None),
        *(("failed", cause) for cause in ("error", "poison", "timeout", "desync", "garbage", "oversize")),
    }
    assert 300 < sum(script.cancel_after is not None for script in many) < 700
    assert {len(script.steps) for script in many} >= {1, 2, 3, 4}
    assert all(script.ending.runs == len(script.steps) for script in many)


# -- the check: a job that ended as it should, and one thing wrong with it -----------------------------------------


def written(*steps: dict[str, Any], fate: Fate = FATES[0], cancel_after: float | None = None) -> Script:
    ending = predict(steps, POLICY)
    assert ending is not None
    return Script("a-1", list(steps), fate, ending, cancel_after)


SCRIPT = written(ERROR, {"do": "leave_early", "code": 7}, {"do": "progress", "lines": 3})


def failure(cause: str, message: str, code: int | None = None, stderr: str | None = None) -> dict[str, Any]:
    return {"error": {"cause": cause, "message": message, "exit_code": code, "signal": None, "stderr": stderr}}


def job(**changes: Any) -> dict[str, Any]:
    """As SCRIPT makes it."""
    attempts = [
        failure("error", "not this time"),
        failure("exited", "the worker exited with code 7 before it replied", 7, "last words of a-1"),
    ]
    return {
        "id": "0199",
        "state": "done",
        "result": {"key": "a-1", "run": 2},
        "error": None,
        "charged": 2,
        "crashes": 1,
        "attempt": 4,
        "interruptions": 0,
        "progress": {"progress": 2},
        "attempts": attempts,
        **changes,
    }


RIGHT = Diary(3, [], [])
CODE_8 = [job()["attempts"][0], failure("exited", "exited with code 8", 8, "last words of a-1")]
SILENT = [job()["attempts"][0], failure("exited", "exited with code 7", 7, "last words of a-2")]


def test_a_job_that_ended_as_it_should_is_no_problem() -> None:
    assert problems(SCRIPT, job(), RIGHT) == []


@pytest.mark.parametrize(
    ("found", "diary", "says"),
    [
        (job(state="failed", error={"cause": "exited"}), RIGHT, "ended"),
        (job(state="cancelled", result=None), RIGHT, "ended"),
        (job(charged=3), RIGHT, "ended"),
        (job(crashes=0), RIGHT, "ended"),
        (job(attempts=job()["attempts"][:1]), RIGHT, "attempts failed"),
        (job(attempts=CODE_8), RIGHT, "exit code 8"),
        (job(attempts=SILENT), RIGHT, "last words of a-2"),
        (job(result={"key": "a-2", "run": 2}), RIGHT, "result"),
        (job(result={"key": "a-1", "run": 1}), RIGHT, "result"),
        (job(progress={"progress": 1}), RIGHT, "progress"),
        (job(), Diary(4, [], []), "4 runs instead of 3"),
        (job(), Diary(2, [], []), "2 runs instead of 3"),
        (job(attempt=2), RIGHT, "3 runs in 2 attempts"),
        (job(interruptions=1), RIGHT, "daemon"),
        (job(), Diary(3, [], ["child 12 34"]), "beside"),
    ],
)
def test_whatever_is_wrong_with_a_job_is_found(found: dict[str, Any], diary: Diary, says: str) -> None:
    words = problems(SCRIPT, found, diary)
    assert words
    assert any(says in one for one in words), words


CANCELLED = written(*SCRIPT.steps, cancel_after=0.1)


@pytest.mark.parametrize(
    ("found", "diary"),
    [
        (job(), RIGHT),
        (job(state="cancelled", result=None, charged=0, crashes=0, attempt=0, attempts=[]), Diary(0, [], [])),
        (job(state="cancelled", result=None, charged=1, crashes=0, attempts=job()["attempts"][:1]), Diary(2, [], [])),
        (job(state="cancelled", result=None), RIGHT),
    ],
)
def test_a_cancelled_job_may_end_at_any_step(found: dict[str, Any], diary: Diary) -> None:
    assert problems(CANCELLED, found, diary) == []


@pytest.mark.parametrize(
    ("found", "diary", "says"),
    [
        (job(state="failed", error={"cause": "error"}), RIGHT, "ended"),
        (job(state="cancelled"), RIGHT, "with a result"),
        (job(state="cancelled", result=None, charged=1), RIGHT, "charged 1"),
        (job(state="cancelled", result=None, attempts=job()["attempts"][1:], charged=1), RIGHT, "was to come"),
        (job(state="cancelled", result=None), Diary(4, [], []), "4 runs"),
    ],
)
def test_a_cancelled_job_still_has_to_follow_its_script(found: dict[str, Any], diary: Diary, says: str) -> None:
    words = problems(CANCELLED, found, diary)
    assert any(says in one for one in words), words


def test_a_job_that_nobody_cancelled_must_not_be_cancelled() -> None:
    assert problems(SCRIPT, job(state="cancelled", result=None), RIGHT)
