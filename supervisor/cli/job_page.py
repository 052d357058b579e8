"""A job as a person reads it: what it is, how it went, what came out."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from supervisor.cli import output, tables
from supervisor.cli.endings import blame
from supervisor.cli.moments import relative
from supervisor.config.quantities import format_duration
from supervisor.core.words import about_duration

ATTEMPTS = (
    tables.Column("ATTEMPT", right=True),
    tables.Column("WHEN"),
    tables.Column("TOOK", right=True),
    tables.Column("PID", right=True),
    tables.Column("ERROR", give=True, wrap=True),
)


def show_job(job: dict[str, Any]) -> None:
    """Write it to stdout; what is not there or says nothing is left out."""
    facts = [(name, value) for name, value in _facts(job) if value]
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        first, *rest = output.printable(value).splitlines() or [""]
        output.write(f"{name:{width}}  {tables.highlight(first) if name == 'state' else first}")
        for line in rest:
            output.write(f"{'':{width}}  {line}")
    if attempts := job.get("attempts"):
        output.write("\nfailed attempts")
        tables.show(ATTEMPTS, [_attempt(attempt) for attempt in attempts])
        for attempt in attempts:
            _show_stderr(attempt, job["error"])


def _show_stderr(attempt: dict[str, Any], shown: dict[str, Any] | None) -> None:
    """The last lines of an attempt, but not those that stand with the job's error already."""
    error = attempt["error"]
    if not error.get("stderr") or (shown is not None and shown.get("stderr") == error["stderr"]):
        return
    output.write(f"\nstderr of attempt {attempt['attempt']}")
    for line in output.printable(error["stderr"].rstrip()).splitlines():
        output.write(f"  {line}")


def _facts(job: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "id", job["id"]
    yield "name", job["name"] or ""
    yield "queue", job["queue"]
    yield "state", job["state"]
    yield "tags", " ".join(job["tags"])
    yield "client", job["client"] or ""
    yield "key", job["key"] or ""
    yield "unique", job["unique"] or ""
    yield "priority", str(job["priority"] or "")
    yield "attempts", _count(job)
    yield "backoff", _backoff(job["backoff"])
    yield "submitted", _moment(job["created_at"])
    if job["state"] == "pending":
        yield "runs", _moment(job["run_at"])
    yield "started", _moment(job["started_at"])
    yield "ended", _moment(job["finished_at"])
    if job["started_at"] and job["finished_at"]:
        yield "took", about_duration(_seconds(job["started_at"], job["finished_at"]))
    yield "expires", _moment(job["expires_at"])
    if job["timeout_secs"] is not None:
        yield "timeout", about_duration(job["timeout_secs"])
    if job["progress"] is not None:
        yield "progress", output.to_json(job["progress"])
    if "payload" in job:
        yield "payload", output.to_json(job["payload"])
    if job.get("result") is not None or job["state"] == "done":
        yield "result", output.to_json(job.get("result"))
    if job["error"] is not None:
        yield "error", blame(job["error"])
        yield "stderr", (job["error"].get("stderr") or "").rstrip()


def _count(job: dict[str, Any]) -> str:
    """Of checkouts, and how many of which failures they were."""
    failures = f"{job['charged']} of {job['max_attempts']} failures"
    more = [
        f"{job[name]} {word if job[name] == 1 else word + 's'}"
        for name, word in (("crashes", "crash"), ("interruptions", "interruption"))
        if job[name]
    ]
    return f"{job['attempt']} ({', '.join([failures, *more])})"


def _backoff(backoff: dict[str, Any] | None) -> str:
    """The job's own; nothing where its queue's holds."""
    if backoff is None:
        return ""
    spread = f" (give or take {backoff['jitter']:.0%})" if backoff["jitter"] else ""
    if "delays_secs" in backoff:
        return ", ".join(map(format_duration, backoff["delays_secs"])) + spread
    base, cap = format_duration(backoff["base_secs"]), format_duration(backoff["cap_secs"])
    return f"{base}, each time {backoff['factor']:g} times as long, at most {cap}{spread}"


def _moment(moment: str | None) -> str:
    return f"{moment} ({relative(moment)})" if moment else ""


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _attempt(attempt: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(attempt["attempt"]),
        relative(attempt["started_at"]),
        about_duration(attempt["duration_secs"]),
        str(attempt["pid"] or ""),
        blame(attempt["error"]),
    )
