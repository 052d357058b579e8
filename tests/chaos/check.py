"""Whether one job ended as its script says, what its workers wrote down included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.chaos.model import ANSWERS, Step, final_part
from tests.chaos.script import Script

Job = dict[str, Any]


class Diary(NamedTuple):
    """`runs`, and the processes that were left behind, as "pid start time"; `overlaps` is to be empty."""

    runs: int
    children: list[str]
    overlaps: list[str]

    @classmethod
    def read(cls, path: Path) -> "Diary":
        rows = path.read_text().splitlines() if path.exists() else []
        found = {
            kind: [row.removeprefix(f"{kind} ") for row in rows if row.startswith(f"{kind} ")]
            for kind in ("run", "child", "overlap")
        }
        return cls(len(found["run"]), found["child"], found["overlap"])


def problems(script: Script, job: Job, diary: Diary) -> list[str]:
    """What is wrong; nothing for a job that ended as it should. A cancelled one may have ended on any step before."""
    cut_short = script.cancel_after is not None and job["state"] == "cancelled"
    check = _cancelled if cut_short else _ended
    return [f"{script.key} ({job['id']}): {words}" for words in (*check(script, job, diary), *_always(job, diary))]


def _ended(script: Script, job: Job, diary: Diary) -> Iterator[str]:
    ending = script.ending
    error = job["error"] or {}
    found = (job["state"], error.get("cause") if job["state"] != "done" else None, job["charged"], job["crashes"])
    if found != ending[:4]:
        yield f"ended {found} instead of {ending[:4]}"
    if _causes(job) != ending.failures:
        yield f"its attempts failed with {_causes(job)} instead of {ending.failures}"
    # Of one that hangs, a boot may have taken all the time there was.
    if diary.runs > ending.runs or (diary.runs < ending.runs and script.fate.timeout is None):
        yield f"{diary.runs} runs instead of {ending.runs}"
    if job["state"] == "done" and job["result"] != {"key": script.key, "run": ending.runs - 1}:
        yield f"its result is {job['result']}"
    last = final_part(script.steps[ending.runs - 1])
    if last["do"] == "progress" and (job["progress"] or {}).get("progress") != last["lines"] - 1:
        yield f"its progress is {job['progress']}"
    failing = [step for step in map(final_part, script.steps[: ending.runs]) if not _uncharged(step)]
    for step, attempt in zip(failing, job["attempts"], strict=False):
        yield from _explained(script.key, step, attempt["error"])


def _cancelled(script: Script, job: Job, diary: Diary) -> Iterator[str]:
    ending = script.ending
    causes = _causes(job)
    if causes != ending.failures[: len(causes)] or job["charged"] != len(causes):
        yield f"cancelled after {causes}, charged {job['charged']}, where {ending.failures} was to come"
    if len(causes) == len(ending.failures) and ending.state == "failed":
        yield "cancelled after it had failed"
    if diary.runs > ending.runs:
        yield f"{diary.runs} runs, where {ending.runs} were to come at most"
    if job["result"] is not None:
        yield "cancelled, with a result"


def _always(job: Job, diary: Diary) -> Iterator[str]:
    if diary.overlaps:
        yield f"a run began beside {diary.overlaps}"
    if job["attempt"] < diary.runs:
        yield f"{diary.runs} runs in {job['attempt']} attempts"
    if job["interruptions"]:
        yield "the daemon is said to have died"


def _causes(job: Job) -> tuple[str, ...]:
    return tuple(attempt["error"]["cause"] for attempt in job["attempts"])


def _uncharged(step: Step) -> bool:
    return step["do"] in ANSWERS or step["do"] == "throttle"


def _explained(key: str, step: Step, error: dict[str, Any]) -> Iterator[str]:
    """The error says what the worker did."""
    code, signal, message = error["exit_code"], error["signal"], error["message"]
    does = step["do"]
    says = {
        "error": step.get("message"),
        "desync": "00000000-0000-7000-8000-000000000000",
        "garbage": "Traceback (most recent call last)",
        "oversize": "max_line = 65536",
        "half": "no reply within ",
        "hang_on": "no reply within ",
        "leave_early": f"exited with code {step.get('code')}",
        "crash": f"was killed by {step.get('signal')}",
        "close": "closed its",
    }.get(does)
    if says is not None and says not in message:
        yield f"{does}: the message is {message!r}"
    if (code, signal) != (step.get("code"), step.get("signal")) and does != "gobble":
        yield f"{does}: exit code {code}, signal {signal} instead of {step.get('code')}, {step.get('signal')}"
    if does in ("leave_early", "crash") and f"last words of {key}" not in (error["stderr"] or ""):
        yield f"{does}: its last words were {error['stderr']!r}"
