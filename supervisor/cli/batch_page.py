"""A batch as a person reads it: in a row, in full, in a line while it goes on, in a sentence at its end."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypeAlias

from supervisor.cli import output, tables
from supervisor.cli.moments import relative, since
from supervisor.core.pace import Pace
from supervisor.core.words import about_duration, about_size, lines, per_second

Batch: TypeAlias = dict[str, Any]

STATES = ("pending", "in_progress", "completed", "failed", "cancelled")
FINAL = ("completed", "failed", "cancelled")
USUAL_PRIORITY = -10
COLUMNS = (
    tables.Column("ID"),
    tables.Column("QUEUE"),
    tables.Column("STATE", word=True),
    tables.Column("LINES", right=True),
    tables.Column("PASSED", right=True),
    tables.Column("FAILED", right=True),
    tables.Column("AGE", right=True, spare=True),
    tables.Column("NOTE", give=True, spare=True),
)


def answered(batch: Batch) -> int:
    """How many of its lines have ended, in whatever way."""
    counts = batch["counts"]
    return int(counts["completed"] + counts["failed"] + counts["cancelled"])


def show_batches(batches: list[Batch]) -> None:
    tables.show(COLUMNS, [_row(batch) for batch in batches])


def _row(batch: Batch) -> tuple[str, ...]:
    counts = batch["counts"]
    figures = (f"{counts[name]:,}" for name in ("total", "completed", "failed"))
    age = about_duration(since(batch["created_at"]))
    return (batch["id"], batch["queue"], batch["state"], *figures, age, _note(batch))


def _note(batch: Batch) -> str:
    told = ""
    if batch["state"] not in FINAL:
        told = ", ".join(filter(None, (f"{percent(batch)}%", _standing(batch))))
    elif batch["counts"]["cancelled"]:
        told = f"{batch['counts']['cancelled']:,} cancelled"
    return ": ".join(filter(None, (batch["name"], told)))


def _standing(batch: Batch) -> str:
    """What keeps it, if anything does."""
    if batch["cancel_requested"]:
        return "is being cancelled"
    return f"waits: {output.one_line(batch['waiting'])}" if batch["waiting"] else ""


def percent(batch: Batch) -> int:
    """Rounded down: 100 means that nothing is left."""
    total: int = batch["counts"]["total"]
    return 100 * answered(batch) // max(1, total)


def show_batch(batch: Batch) -> None:
    """Write it to stdout; what is not there or says nothing is left out."""
    facts = [(name, value) for name, value in _facts(batch) if value]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        shown = output.one_line(value)
        output.write(f"{name:{width}}  {tables.highlight(shown) if name == 'state' else shown}")


def _facts(batch: Batch) -> Iterator[tuple[str, str]]:
    yield "id", batch["id"]
    yield "name", batch["name"] or ""
    yield "queue", batch["queue"]
    yield "state", batch["state"]
    yield "now", "" if batch["state"] in FINAL else _standing(batch)
    yield "lines", _counted(batch)
    yield "tags", " ".join(batch["tags"])
    yield "client", batch["client"] or ""
    yield "key", batch["key"] or ""
    yield "priority", "" if batch["priority"] == USUAL_PRIORITY else str(batch["priority"])
    yield "max attempts", str(batch["max_attempts"] or "")
    yield "timeout", about_duration(batch["timeout_secs"]) if batch["timeout_secs"] else ""
    yield "submitted", _moment(batch["created_at"])
    yield "ended", _moment(batch["finished_at"])
    yield "took", about_duration(took(batch)) if batch["finished_at"] else ""
    yield "input", about_size(batch["input_bytes"])
    yield "folder", batch["folder"]


def _counted(batch: Batch) -> str:
    """`1,000: 900 passed, 45 failed, 55 to go`"""
    counts = batch["counts"]
    rest = counts["total"] - answered(batch)
    told = [f"{counts['completed']:,} passed"]
    told += [f"{counts[name]:,} {name}" for name in ("failed", "cancelled") if counts[name]]
    told += [f"{rest:,} to go"] if rest else []
    return f"{counts['total']:,}: {', '.join(told)}"


def _moment(moment: str | None) -> str:
    return f"{moment} ({relative(moment)})" if moment else ""


def took(batch: Batch) -> float:
    """Seconds from its submit to its end."""
    begun, ended = (datetime.fromisoformat(batch[name]) for name in ("created_at", "finished_at"))
    return (ended - begun).total_seconds()


def how_far(batch: Batch, pace: Pace) -> str:
    """`45%  450,111 passed, 12 failed of 1,000,000  2,345/s  ETA 3m55s`"""
    counts = batch["counts"]
    failed = f", {counts['failed']:,} failed" if counts["failed"] else ""
    parts = [f"{percent(batch):>3}%", f"{counts['completed']:,} passed{failed} of {counts['total']:,}"]
    rate = pace.rate()
    if rate is not None:
        parts.append(f"{per_second(rate)}/s")
    left = pace.left(counts["total"] - answered(batch))
    if standing := _standing(batch):
        parts.append(standing)
    elif left is not None:
        parts.append(f"ETA {about_duration(left)}")
    return "  ".join(parts)


def ending(batch: Batch) -> str:
    """A sentence about one that is final, with where to read on."""
    counts, batch_id = batch["counts"], batch["id"]
    secs = took(batch)
    done = counts["completed"] + counts["failed"]
    speed = f", {per_second(done / secs)}/s" if secs > 0 and done else ""
    time = f"in {about_duration(secs)}{speed}"
    passed = f"{counts['completed']:,} of {lines(counts['total'])} passed"
    failed = f", {counts['failed']:,} failed" if counts["failed"] else ""
    cancelled = f", {counts['cancelled']:,} cancelled" if counts["cancelled"] else ""
    if batch["state"] == "completed":
        return f"batch {batch_id} completed: {lines(counts['total'])} passed, {time}"
    look = f"; `stoker batch output {batch_id} --errors` says why" if counts["failed"] else ""
    state = "was cancelled" if batch["state"] == "cancelled" else batch["state"]
    return f"batch {batch_id} {state}: {passed}{failed}{cancelled}, {time}{look}"
