"""What the measurements do with a queue: fill it, empty it, and look whether every job got what it asked for."""

import time
from collections.abc import Sequence
from typing import Any

from tests.bench.daemon import QUEUE
from tests.bench.wire import Wire, ids, submits

_PAGE = 1000
_PATIENCE = 10.0  # seconds for each page; jobs that should have ended long ago


class WrongResult(AssertionError):
    """A benchmark that loses jobs measures nothing."""


def payload(number: int) -> dict[str, int]:
    return {"n": number}


def fill(
    wire: Wire,
    count: int,
    *,
    queue: str = QUEUE,
    first: int = 0,
    group: int = 1000,
    ahead: int = 4,
    delay_secs: float | None = None,
) -> tuple[float, list[str]]:
    """Submit `count` jobs, numbered from `first` on; the seconds it took to have all answered, and their ids."""
    requests = submits(queue, map(payload, range(first, first + count)), group, delay_secs)
    start = time.perf_counter()
    answers = wire.ask_all(requests, ahead)
    took = time.perf_counter() - start
    return took, ids(answers)


def drain(wire: Wire, last: str) -> float:
    """Let the paused queue run; the seconds until the job `last`, and but for those in hand all before it, ended."""
    start = time.perf_counter()
    resume(wire)
    wire.call("wait", {"id": last})
    return time.perf_counter() - start


def pause(wire: Wire, queue: str = QUEUE) -> None:
    wire.call("pause", {"queue": queue})


def resume(wire: Wire) -> None:
    wire.call("resume", {"queue": QUEUE})


def finished(wire: Wire) -> int:
    """How many jobs are done, on disk; returns when none runs. For a paused queue."""
    while (queue := _queue(wire))["running"]:
        time.sleep(0.001)
    return int(queue["done"])


def settle(wire: Wire) -> None:
    """Return when all that workers have answered so far is on disk: counts are read behind it."""
    _queue(wire)


def _queue(wire: Wire) -> dict[str, Any]:
    queue: dict[str, Any] = wire.call("queues", {"queue": QUEUE})["queues"][0]
    return queue


def check_done(wire: Wire, jobs: Sequence[str], *, first: int = 0, attempt: int | None = 1) -> None:
    """Each of these jobs, filled in this order from the number `first` on, is done with the result that is its own, at
    that attempt (None: at any). Raises WrongResult."""
    if len(set(jobs)) != len(jobs):
        raise WrongResult("two jobs were given the same id")
    for start in range(0, len(jobs), _PAGE):
        page = jobs[start : start + _PAGE]
        answer = wire.call("wait", {"ids": page, "timeout_secs": _PATIENCE})
        for number, (wanted, job) in enumerate(zip(page, answer["jobs"], strict=True), first + start):
            found = (job["id"], job["state"], job["result"], attempt and job["attempt"])
            if found != (wanted, "done", payload(number), attempt):
                raise WrongResult(f"job {wanted} was to be done with {payload(number)}, and is {found}")


def check_count(wire: Wire, submitted: int) -> None:
    """As many jobs as were ever submitted are pending, running or done. Raises WrongResult."""
    queue = _queue(wire)
    found = {state: queue[state] for state in ("pending", "running", "done")}
    if sum(found.values()) != submitted:
        raise WrongResult(f"{submitted} jobs were submitted, and there are {found}")
