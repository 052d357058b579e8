"""Snapshots, as the daemon could have given them."""

from datetime import datetime
from typing import Any

from supervisor.cli.top.watching import News, Snapshot
from tests.cli.samples import listed, pool, queue, status, worker

AT = datetime.fromisoformat("2030-01-31T08:00:00Z")
STARTED = "2030-01-31T07:58:30Z"
SPREAD = {"count": 7, "p50": 0.0004, "p95": 0.0042, "p99": 3.0}


def job_id(number: int) -> str:
    return f"0199f3c2-7a31-7c9e-8d41-{number:012x}"


def running(number: int = 0, **changes: Any) -> dict[str, Any]:
    return listed("running", **{"id": job_id(number), "started_at": STARTED, **changes})


def busy(slot: int, **changes: Any) -> dict[str, Any]:
    """A worker with the job of its slot's number."""
    return worker(slot, **{"job": job_id(slot), **changes})


def idle(slot: int, **changes: Any) -> dict[str, Any]:
    return worker(slot, **{"state": "idle", "job": None, **changes})


def snapshot(
    *, workers: list[dict[str, Any]] | None = None, jobs: list[dict[str, Any]] | None = None, **changes: Any
) -> Snapshot:
    workers = [busy(0), idle(1)] if workers is None else workers
    jobs = [running()] if jobs is None else jobs
    return Snapshot(status(**changes), workers, {"jobs": jobs, "total": len(jobs)}, AT)


def news(trouble: str | None = None, silent: float = 0.0, **changes: Any) -> News:
    return News(snapshot(**changes), silent, trouble)


def many(queues: int, pools: int, workers: int) -> Snapshot:
    jobs = [running(n, name=f"job {n}", progress={"progress": n / workers}) for n in range(workers // 2)]
    return snapshot(
        queues=[queue(f"queue-{n:03}", wait_secs=SPREAD, run_secs=SPREAD) for n in range(queues)],
        pools=[pool(f"pool-{n:03}", reason="why not" if n % 4 == 0 else None) for n in range(pools)],
        workers=[busy(n) if n < workers // 2 else idle(n) for n in range(workers)],
        jobs=jobs,
        unserved=["lost"],
    )
