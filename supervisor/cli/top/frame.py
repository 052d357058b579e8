"""What stoker top shows: a pure function of what the daemon said and of the room there is.

From top to bottom: a line for the daemon, what is wrong, queues, pools, workers with their jobs, the keys. Each of the
three tables gets what it needs where that is little, and the others share the rest. In 80 columns and 24 rows all of a
small house is there; in less, columns go first, then tables, and the line for the daemon stays.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from supervisor.cli.moments import since
from supervisor.cli.tables import COLOURS
from supervisor.cli.top.columns import Column, Line, Piece, clip, plain, table
from supervisor.cli.top.progress import BAR, bar, words
from supervisor.cli.top.watching import News, Snapshot
from supervisor.cli.troubles import View
from supervisor.cli.views import brief, memory, notes, rate, size
from supervisor.core.words import about_duration

QUEUES = (
    Column("QUEUE", floor=10, give=True),
    Column("PENDING", floor=7, right=True),
    Column("RUN", floor=4, right=True),
    Column("OLDEST", floor=6, right=True, spare=3),
    Column("IN/S", floor=5, right=True, spare=2),
    Column("OUT/S", floor=5, right=True),
    Column("FAIL/S", floor=6, right=True, spare=4),
    Column("WAIT95", floor=6, right=True, spare=5),
    Column("RUN95", floor=6, right=True, spare=6),
    Column("FAILED", floor=6, right=True, spare=7),
    Column("NOTE", floor=6, give=True, spare=1, maybe=True),
)
POOLS = (
    Column("POOL", floor=10, give=True),
    Column("STATE", floor=8),
    Column("SIZE", floor=4, right=True),
    Column("BUSY", floor=4, right=True),
    Column("IDLE", floor=4, right=True),
    Column("DONE", floor=7, right=True, spare=1),
    Column("CRASHES", floor=7, right=True, spare=2),
    Column("RECYCLED", floor=8, right=True, spare=4),
    Column("QUEUES", floor=6, give=True, spare=3),
)
WORKERS = (
    Column("WORKER", floor=8, give=True),
    Column("PID", floor=7, right=True, spare=5),
    Column("RSS", floor=4, right=True, spare=4),
    Column("FOR", floor=5, right=True),
    Column("QUEUE", floor=6, give=True, spare=2, maybe=True),
    Column("JOB", floor=8, give=True),
    Column("ID", floor=36, spare=6, maybe=True),
    Column("", floor=BAR, spare=3, maybe=True),
    Column("PROGRESS", floor=8, give=True, spare=1, maybe=True),
)
LEAST_ROWS = 2  # of a table worth its header
AIRY = 18  # rows, from which on there is an empty one between the tables
MOST_TROUBLES = 3

Rows = list[tuple[Piece, ...]]


class Scene(NamedTuple):
    """`offset`: so many workers are scrolled past. `keys`: what can be pressed."""

    news: News
    offset: int = 0
    frozen: bool = False
    keys: str = "q quit  p freeze  j k scroll"


class Frame(NamedTuple):
    """`offset` is the scene's, or the last one that makes sense; `page` is how many workers are shown."""

    lines: list[Line]
    offset: int
    page: int


def frame(scene: Scene, width: int, height: int | None) -> Frame:
    """At most `height` lines, none wider than `width`; with None, all there is to show."""
    snapshot = scene.news.snapshot
    top = [_daemon(snapshot, scene.frozen), *_troubles(scene.news, height)]
    keys = [(Piece(scene.keys, "dim"),)] if height is not None and height > len(top) + 1 else []
    left = None if height is None else height - len(top) - len(keys)
    tables = [_queues(snapshot), _pools(snapshot), _workers(snapshot)]
    shares = _share([len(rows) for _, rows in tables], left)
    offset = max(0, min(scene.offset, len(tables[-1][1]) - shares[-1]))
    lines = list(top)
    airy = left is None or left >= AIRY
    for (columns, rows), room, skipped in zip(tables, shares, (0, 0, offset), strict=True):
        if not room:
            continue
        if airy:
            lines.append(())
        shown = rows[skipped : skipped + room]
        lines += table(_counted(columns, skipped, len(shown), len(rows)), shown, width)
    if height is not None:
        lines += [()] * (height - len(lines) - len(keys))
        lines = [*lines, *keys][:height]
    return Frame([clip(line, width) for line in lines], offset, shares[-1])


def _share(wanted: Sequence[int], left: int | None) -> list[int]:
    """Rows for each table. Where there are too few for all, the first ones are left out before the last."""
    if left is None:
        return list(wanted)
    shares = [0] * len(wanted)
    air = left >= AIRY
    left -= sum(1 + air for rows in wanted if rows)
    open_ = [place for place, rows in enumerate(wanted) if rows]
    while open_ and left < LEAST_ROWS * len(open_) and len(open_) > 1:
        # Of what has to go, the pools are missed least: the workers tell most of it.
        gone = 1 if 1 in open_ else open_[0]
        open_.remove(gone)
        left += 1 + air
    for n, place in enumerate(sorted(open_, key=lambda place: wanted[place])):
        shares[place] = max(0, min(wanted[place], left // (len(open_) - n)))
        left -= shares[place]
    return shares


def _counted(columns: Sequence[Column], skipped: int, shown: int, total: int) -> list[Column]:
    """With `3-9/20` in the header where not all is shown."""
    first, *rest = columns
    if shown < total:
        first = first._replace(header=f"{first.header} {skipped + 1}-{skipped + shown}/{total}")
    return [first, *rest]


def _daemon(snapshot: Snapshot, frozen: bool) -> Line:
    status = snapshot.status
    queues = status["queues"]
    pending, running = (sum(queue[state] for queue in queues) for state in ("pending", "running"))
    done = sum(queue["finish_rate"] for queue in queues)
    return (
        Piece(snapshot.at.astimezone().strftime("%H:%M:%S ")),
        *((Piece("frozen", "reverse"), Piece(" ")) if frozen else ()),
        Piece("stoker ", "bold"),
        _word(status["state"]),
        Piece(
            f" up {about_duration(status['uptime_secs'])}, {pending} pending, {running} running, {rate(done)}/s done"
        ),
    )


def _troubles(news: News, height: int | None) -> list[Line]:
    status = news.snapshot.status
    found: list[Line] = []
    if news.trouble is not None:
        found.append((Piece(f"nothing new for {about_duration(news.silent)}: {plain(news.trouble)}", "reverse"),))
    store = status["store"]
    if store["state"] != "ok":
        found.append((Piece("store "), _word(store["state"]), Piece(f": {plain(store['reason'] or '')}")))
    for pool in status["pools"]:
        if pool["reason"]:
            told = (Piece(f"pool {plain(pool['pool'])} "), _word(pool["state"]), Piece(f": {plain(pool['reason'])}"))
            found.append(told)
    if status["unserved"]:
        found.append((Piece("no pool serves " + ", ".join(map(plain, status["unserved"])), "yellow"),))
    most = MOST_TROUBLES if height is None or height >= AIRY else 1
    if len(found) > most:
        *first, last = found[:most]
        found = [*first, (Piece(f"({len(found) - most} more: stoker status) ", "dim"), *last)]
    return found


def _queues(snapshot: Snapshot) -> tuple[tuple[Column, ...], Rows]:
    """Busy ones first: where not all have room, these are meant."""
    queues = sorted(snapshot.status["queues"], key=lambda queue: (not _busy(queue), queue["queue"]))
    return QUEUES, [_queue(queue, snapshot.at) for queue in queues]


def _busy(queue: View) -> bool:
    return bool(queue["pending"] or queue["running"] or queue["submit_rate"] or queue["finish_rate"])


def _queue(queue: View, now: datetime) -> tuple[Piece, ...]:
    oldest = queue["oldest_pending_secs"]
    told = plain(", ".join(notes(queue, now, briefly=True)))
    failing = queue["ends_1m"]["failed"]
    return (
        Piece(plain(queue["queue"])),
        Piece(str(queue["pending"])),
        Piece(str(queue["running"]), "cyan" if queue["running"] else ""),
        Piece("" if oldest is None else about_duration(oldest)),
        Piece(rate(queue["submit_rate"])),
        Piece(rate(queue["finish_rate"])),
        Piece(rate(failing), "red" if failing else ""),
        Piece(_p95(queue["wait_secs"])),
        Piece(_p95(queue["run_secs"])),
        Piece(str(queue["failed"]), "red" if queue["failed"] else ""),
        Piece(told, "yellow" if told else ""),
    )


def _p95(spread: View | None) -> str:
    return "" if spread is None else brief(spread["p95"])


def _pools(snapshot: Snapshot) -> tuple[tuple[Column, ...], Rows]:
    return POOLS, [_pool(pool) for pool in snapshot.status["pools"]]


def _pool(pool: View) -> tuple[Piece, ...]:
    state = "restarting" if pool["restarting"] and pool["state"] in ("starting", "ready") else pool["state"]
    return (
        Piece(plain(pool["pool"])),
        _word(state),
        Piece(size(pool)),
        *(Piece(str(pool[count])) for count in ("busy", "idle", "jobs_done")),
        Piece(str(pool["crashes"]), "red" if pool["crashes"] else ""),
        Piece(str(pool["recycled"])),
        Piece(plain(", ".join(pool["queues"])), "dim"),
    )


def _workers(snapshot: Snapshot) -> tuple[tuple[Column, ...], Rows]:
    """Who has had its job for longest comes first, then those without one: what is not idle first."""
    jobs = {job["id"]: job for job in snapshot.running["jobs"]}
    workers = sorted(snapshot.workers, key=lambda worker: _rank(worker, jobs, snapshot.at))
    # Where each pool serves one queue of its own name, the queue says nothing.
    several = any(job["queue"] != worker["pool"] for worker in workers if (job := jobs.get(worker["job"])))
    named = any(job["name"] for job in jobs.values())
    return WORKERS, [_worker(worker, jobs.get(worker["job"]), snapshot.at, several, named) for worker in workers]


def _rank(worker: View, jobs: dict[str, View], now: datetime) -> tuple[object, ...]:
    job = jobs.get(worker["job"])
    order = 0 if job else 1 if worker["job"] else 3 if worker["state"] == "idle" else 2
    return order, -since(job["started_at"], now) if job else 0, worker["pool"], worker["slot"]


def _worker(worker: View, job: View | None, now: datetime, several: bool, named: bool) -> tuple[Piece, ...]:
    place = (
        Piece(f"{plain(worker['pool'])}/{worker['slot']}"),
        Piece(str(worker["pid"] or "")),
        Piece("" if worker["rss"] is None else memory(worker["rss"])),
    )
    if job is None:
        return (*place, Piece(""), Piece(""), _word(worker["job"] or worker["state"]), Piece(""), Piece(""), Piece(""))
    progress = job["progress"]
    return (
        *place,
        Piece(about_duration(max(0.0, since(job["started_at"], now)))),
        Piece(plain(job["queue"]) if several else ""),
        Piece(plain(job["name"] or job["id"])),
        Piece(plain(job["id"]) if named else "", "dim"),
        Piece(bar(progress), "cyan"),
        Piece(words(progress)),
    )


def _word(word: str) -> Piece:
    return Piece(plain(word), COLOURS.get(word, ""))
