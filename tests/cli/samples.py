"""Answers as the daemon gives them, every field there."""

from datetime import UTC, datetime, timedelta
from typing import Any

ID = "0199f3c2-7a31-7c9e-8d41-5f0e6a1b2c3d"
OTHER_ID = "0199f3c2-7a31-7c9e-8d41-5f0e6a1b2c3e"


def ago(secs: float) -> str:
    return (datetime.now(UTC) - timedelta(seconds=secs)).isoformat().replace("+00:00", "Z")


def job(state: str = "done", **changes: Any) -> dict[str, Any]:
    final = state not in ("pending", "running")
    return {
        "id": ID,
        "queue": "thumbs",
        "state": state,
        "payload": {"path": "a.png"},
        "result": {"width": 40} if state == "done" else None,
        "error": None,
        "attempt": 0 if state == "pending" else 1,
        "max_attempts": 5,
        "backoff": None,
        "timeout_secs": None,
        "priority": 0,
        "run_at": ago(100),
        "created_at": ago(100),
        "started_at": None if state == "pending" else ago(90),
        "finished_at": ago(80) if final else None,
        "expires_at": None,
        "progress": None,
        "client": None,
        "key": None,
        "unique": None,
        "rate_key": None,
        "concurrency_key": None,
        "name": None,
        "tags": [],
        "charged": 0,
        "crashes": 0,
        "interruptions": 0,
        "attempts": [],
        **changes,
    }


def listed(state: str = "done", **changes: Any) -> dict[str, Any]:
    """A job as a list shows it."""
    left_out = ("payload", "result", "attempts")
    return {name: value for name, value in job(state, **changes).items() if name not in left_out}


def error(**changes: Any) -> dict[str, Any]:
    return {
        "cause": "exited",
        "message": "the worker exited while it had the job",
        "exit_code": 3,
        "signal": None,
        "stderr": None,
        "retry": True,
        **changes,
    }


def attempt(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "attempt": number,
        "started_at": ago(90),
        "finished_at": ago(88),
        "duration_secs": 2.0,
        "pid": 4711,
        "error": error(),
        **changes,
    }


def queue(name: str = "thumbs", **changes: Any) -> dict[str, Any]:
    return {
        "queue": name,
        "paused": False,
        "throttled_until": None,
        "limited_by": None,
        "pending": 12,
        "due": 10,
        "running": 2,
        "done": 345,
        "failed": 1,
        "cancelled": 0,
        "expired": 0,
        "oldest_pending_secs": 312.0,
        "submit_rate": 3.25,
        "finish_rate": 0.0,
        "ends_1m": {"done": 0.0, "failed": 0.0, "cancelled": 0.0, "retried": 0.0, "released": 0.0},
        "ends_5m": {"done": 1.5, "failed": 0.02, "cancelled": 0.0, "retried": 0.25, "released": 0.0},
        "wait_secs": None,
        "run_secs": None,
        "pools": ["thumbs"],
        **changes,
    }


def pool(name: str = "thumbs", **changes: Any) -> dict[str, Any]:
    return {
        "pool": name,
        "state": "ready",
        "reason": None,
        "generation": 1,
        "restarting": False,
        "size": 4,
        "min": 4,
        "max": 4,
        "idle": 2,
        "busy": 2,
        "spawned": 5,
        "crashes": 1,
        "recycled": 0,
        "jobs_done": 345,
        "queues": ["thumbs"],
        "order": "weight",
        "shares": [],
        **changes,
    }


def worker(slot: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "pool": "thumbs",
        "slot": slot,
        "generation": 1,
        "pid": 4711,
        "state": "busy",
        "job": ID,
        "jobs_done": 12,
        "rss": 15 * 1024 * 1024,
        "age_secs": 12000.0,
        **changes,
    }


def batch(state: str = "completed", **changes: Any) -> dict[str, Any]:
    """Of 1,000 lines; `completed`, `failed` and `cancelled` among the changes are its counts."""
    usual = {"completed": 1000 if state == "completed" else 0, "failed": 0, "cancelled": 0}
    counts = {name: changes.pop(name, count) for name, count in usual.items()}
    return {
        "id": ID,
        "queue": "thumbs",
        "name": None,
        "state": state,
        "counts": {"total": changes.pop("total", 1000), **counts},
        "cancel_requested": False,
        "created_at": "2030-01-31T08:00:00.000000Z",
        "updated_at": "2030-01-31T08:00:20.000000Z",
        "finished_at": "2030-01-31T08:00:20.000000Z" if state in ("completed", "failed", "cancelled") else None,
        "input_bytes": 20480,
        "folder": f"/var/lib/stoker/batches/{ID}",
        "waiting": None,
        "priority": -10,
        "timeout_secs": None,
        "max_attempts": None,
        "tags": [],
        "client": None,
        "key": None,
        **changes,
    }


def status(**changes: Any) -> dict[str, Any]:
    return {
        "version": "0.1.0",
        "pid": 4700,
        "state": "running",
        "started_at": ago(12000),
        "uptime_secs": 12000.0,
        "config": "/etc/stoker/stoker.toml",
        "connections": 1,
        "store": {"url": "sqlite:stoker.db", "state": "ok", "reason": None, "epoch": 3, "disk_free": None},
        "pools": [pool()],
        "queues": [queue()],
        "unserved": [],
        "batches": {"in_progress": 0, "pending": 0, "unanswered": 0},
        **changes,
    }
