"""The daemon's queues, pools, workers and itself, as a person reads them."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from supervisor.cli import output
from supervisor.cli.moments import relative
from supervisor.cli.tables import Column, highlight, show
from supervisor.cli.troubles import View, pool_troubles, troubles
from supervisor.core.words import about_duration

QUEUES = (
    Column("QUEUE"),
    Column("PENDING", right=True),
    Column("RUNNING", right=True),
    Column("DONE", right=True),
    Column("FAILED", right=True),
    Column("OLDEST", right=True),
    Column("IN/S", right=True),
    Column("OUT/S", right=True),
    Column("NOTE", word=True, give=True),
)
FIGURES = (
    Column("QUEUE"),
    Column("WAIT 50%", right=True),
    Column("95%", right=True),
    Column("99%", right=True),
    Column("RUN 50%", right=True),
    Column("95%", right=True),
    Column("99%", right=True),
    Column("FAIL/S", right=True, spare=True),
    Column("RETRY/S", right=True, spare=True),
)
POOLS = (
    Column("POOL"),
    Column("STATE", word=True),
    Column("SIZE", right=True),
    Column("BUSY", right=True),
    Column("IDLE", right=True),
    Column("DONE", right=True),
    Column("CRASHES", right=True),
    Column("RECYCLED", right=True),
    Column("GEN", right=True),
    Column("QUEUES", give=True, spare=True),
)
GENERATION = Column("GEN", right=True)
WORKERS = (
    Column("WORKER"),
    GENERATION,
    Column("PID", right=True),
    Column("STATE", word=True),
    Column("DONE", right=True),
    Column("RSS", right=True),
    Column("AGE", right=True),
    Column("JOB"),
)


_AT_WORK = (("in_progress", "in progress"), ("pending", "pending"))  # states of batches


def show_status(view: View) -> None:
    output.write(
        f"stoker {view['version']} {highlight(view['state'])}, up {about_duration(view['uptime_secs'])}, "
        f"pid {view['pid']}, {_count(view['connections'], 'connection')}"
    )
    output.write(f"configuration {output.one_line(view['config'])}, store {output.one_line(view['store']['url'])}")
    for trouble in troubles(view):
        output.write(trouble)
    if batches := _batches(view.get("batches")):
        output.write(batches)
    if view["pools"]:
        output.write("")
        show(POOLS, [_pool(pool) for pool in view["pools"]])
    if view["queues"]:
        output.write("")
        show(QUEUES, [_queue(queue) for queue in view["queues"]])


def _batches(view: View | None) -> str:
    """Nothing while there are none to work on, or of a daemon that was not restarted since they came to be."""
    if view is None or not any(view.values()):
        return ""
    told = [f"{view[state]} {word}" for state, word in _AT_WORK if view[state]]
    return f"batches: {', '.join([*told, _count(view['unanswered'], 'line')])} to go"


def show_queues(views: Sequence[View]) -> None:
    show(QUEUES, [_queue(queue) for queue in views])
    rows = [_figures(queue) for queue in views if queue["wait_secs"] is not None or queue["run_secs"] is not None]
    if rows:
        output.write("\nIn the last five minutes, how long jobs waited and ran:")
        show(FIGURES, rows)


def show_pools(views: Sequence[View]) -> None:
    show(POOLS, [_pool(pool) for pool in views])
    for trouble in pool_troubles(views):
        output.write(trouble)


def show_workers(views: Sequence[View]) -> None:
    # The column is worth its room once a pool was restarted.
    generations = any(worker["generation"] > 1 for worker in views)
    columns = [column for column in WORKERS if generations or column is not GENERATION]
    show(columns, [_worker(worker, generations) for worker in views])


def _queue(queue: View) -> tuple[str, ...]:
    oldest = queue["oldest_pending_secs"]
    return (
        queue["queue"],
        *(str(queue[state]) for state in ("pending", "running", "done", "failed")),
        "" if oldest is None else about_duration(oldest),
        rate(queue["submit_rate"]),
        rate(queue["finish_rate"]),
        ", ".join(notes(queue)),
    )


def _figures(queue: View) -> tuple[str, ...]:
    ends = queue["ends_5m"]
    figures = [figure for name in ("wait_secs", "run_secs") for figure in _percentiles(queue[name])]
    return (queue["queue"], *figures, rate(ends["failed"]), rate(ends["retried"]))


def _percentiles(spread: View | None) -> Iterator[str]:
    for name in ("p50", "p95", "p99"):
        yield "" if spread is None else brief(spread[name])


def brief(seconds: float) -> str:
    """A duration that may be far below a millisecond."""
    return f"{seconds * 1000:.1f}ms" if seconds < 0.01 else about_duration(seconds)


# What a queue waits for, where there is little room.
_BRIEF = {"rate": "rate", "concurrency": "concurr.", "rate_per_key": "key rate", "concurrency_per_key": "key conc."}


def notes(queue: View, now: datetime | None = None, *, briefly: bool = False) -> Iterator[str]:
    """What is worth knowing of it beside its numbers, the gravest first."""
    if queue["paused"]:
        yield "paused"
    if queue["throttled_until"] is not None:
        yield f"throttled, goes on {relative(queue['throttled_until'], now)}"
    if queue["limited_by"] is not None and queue["due"]:
        limit = queue["limited_by"].replace("_", " ")
        yield _BRIEF.get(queue["limited_by"], limit) if briefly else f"waits for {limit}"
    if not queue["pools"]:
        yield "no pool"
    if later := queue["pending"] - queue["due"]:
        yield f"{later} not due"
    for state in ("cancelled", "expired"):
        if queue[state]:
            yield f"{queue[state]} {state}"


def _pool(pool: View) -> tuple[str, ...]:
    counts = ("busy", "idle", "jobs_done", "crashes", "recycled", "generation")
    return (
        pool["pool"],
        "restarting" if pool["restarting"] and pool["state"] in ("starting", "ready") else pool["state"],
        size(pool),
        *(str(pool[count]) for count in counts),
        _shares(pool),
    )


def _shares(pool: View) -> str:
    """Its queues: `a, b`; `a weight 3, b reserve 1`; `a before b` in strict order."""
    special = {
        share["queue"]: "".join(
            f" {word} {share[word]}" for word, usual in (("weight", 1), ("reserve", 0)) if share[word] != usual
        )
        for share in pool["shares"]
    }
    between = " before " if pool["order"] == "strict" else ", "
    return between.join(queue + special.get(queue, "") for queue in pool["queues"])


def size(pool: View) -> str:
    """`4`; where it is not what it is to be, `3 of 4`; `3 of 2-8` where it may vary."""
    now, low, high = pool["size"], pool["min"], pool["max"]
    if low != high:
        return f"{now} of {low}-{high}"
    return str(now) if now == low else f"{now} of {low}"


def _worker(worker: View, generations: bool) -> tuple[str, ...]:
    return (
        f"{worker['pool']}/{worker['slot']}",
        *([str(worker["generation"] or "")] if generations else []),
        str(worker["pid"] or ""),
        worker["state"],
        str(worker["jobs_done"]),
        "" if worker["rss"] is None else memory(worker["rss"]),
        "" if worker["age_secs"] is None else about_duration(worker["age_secs"]),
        worker["job"] or "",
    )


def rate(per_second: float) -> str:
    return f"{per_second:.0f}" if per_second >= 100 or per_second == 0 else f"{per_second:.1f}"


def memory(count: float) -> str:
    for unit in ("B", "K", "M"):
        if count < 1000:
            return f"{count:.0f}{unit}"
        count /= 1024
    return f"{count:.1f}G"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
