"""Why a job that is waited for does not start: what only a person can change."""

from typing import Any, TypeAlias

from protocol.client import CallFailed, Client, ClientTimeout
from supervisor.cli.moments import since

View: TypeAlias = dict[str, Any]

ANSWER_SECS = 2.0  # for each question; the waits that are under way may keep the daemon from reading it


def why_it_waits(client: Client, job_id: str) -> str | None:
    """What keeps a due job of its queue from being started at all, with the command that helps; None when nothing does,
    or when the daemon does not say."""
    try:
        job = client.call("get", {"id": job_id}, ANSWER_SECS)
        if job["state"] != "pending" or since(job["run_at"]) < 0:
            return None
        return _obstacle(client.call("status", timeout=ANSWER_SECS), job["queue"])
    except (CallFailed, ClientTimeout):
        return None


def _obstacle(status: View, name: str) -> str | None:
    queue = next((queue for queue in status["queues"] if queue["queue"] == name), None)
    if queue is None:
        return None
    if status["state"] == "draining":
        return "the daemon is drained (its next start takes up the queue)"
    if queue["paused"]:
        return f"queue {name} is paused (`stoker resume {name}` ends that)"
    pools = [pool for pool in status["pools"] if pool["pool"] in queue["pools"]]
    if not pools:
        return f"no pool serves queue {name} (a pool in the configuration must have it in its queues)"
    reasons = [_idleness(pool) for pool in pools]
    return " and ".join(reason for reason in reasons if reason) if all(reasons) else None


def _idleness(pool: View) -> str | None:
    """Why it takes no job. One that is degraded may have workers that serve."""
    name = pool["pool"]
    if pool["max"] == 0:
        return f"pool {name} has 0 workers (`stoker resize {name} 1` gives it one)"
    if pool["state"] == "degraded" and not pool["busy"]:
        return f"pool {name} is degraded (`stoker pools {name}` says why)"
    return None
