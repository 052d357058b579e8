"""What the measurements do with a queue: fill it, empty it, and look whether every job got what it asked for."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from tests.bench.daemon import QUEUE
from tests.bench.wire import Wire, ids, submits

_PAGE = 200


class WrongResult(AssertionError):
    """A benchmark that loses jobs measures nothing."""


def payload(number: int) -> dict[str, int]:
    return {"n": number}


def fill(
    wire: Wire, count: int, *, group: int = 1000, ahead: int = 4, delay_secs: float | None = None
) -> tuple[float, list[str]]:
    """Submit `count` jobs; the seconds it took to have all answered, and their ids."""
    requests = submits(QUEUE, map(payload, range(count)), group, delay_secs)
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


def pause(wire: Wire) -> None:
    wire.call("pause", {"queue": QUEUE})


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


def check_done(wire: Wire, wanted: Sequence[str]) -> None:
    """Every one of these jobs, the newest of the queue, is done once, with its own result. Raises WrongResult."""
    missing = set(wanted)
    for job in _newest(wire, len(wanted)):
        if job["id"] not in missing:
            raise WrongResult(f"job {job['id']} is listed twice, or was never submitted")
        missing.remove(job["id"])
        if (job["state"], job["result"], job["attempt"]) != ("done", job["payload"], 1):
            raise WrongResult(f"job {job['id']} is {job['state']} with result {job['result']} for {job['payload']}")
    if missing:
        raise WrongResult(f"{len(missing)} of {len(wanted)} jobs are gone, one of them {missing.pop()}")


def _newest(wire: Wire, count: int) -> Iterator[dict[str, Any]]:
    cursor = None
    while count > 0:
        params = {"queue": QUEUE, "full": True, "limit": min(_PAGE, count)}
        page = wire.call("list", params if cursor is None else {**params, "cursor": cursor})
        yield from page["jobs"]
        count -= len(page["jobs"])
        cursor = page["next"]
        if cursor is None:
            return
