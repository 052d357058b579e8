"""How a queue stands, as clients see it."""

import time

from protocol.control import QueueView
from protocol.times import to_rfc3339
from supervisor.control.views import ends_view, spread_view
from supervisor.core.ends import MINUTE, MINUTES, Ends
from supervisor.core.job import MICROS
from supervisor.pool.line import Line
from supervisor.store.port import QueueCounts


def queue_view(name: str, line: Line | None, counts: QueueCounts | None, wall: int) -> QueueView:
    """`line` is None for a queue that is configured no more, `counts` for one without jobs; `wall` is the time in UTC
    microseconds."""
    oldest = counts.oldest_pending_at if counts else None
    now = time.monotonic()
    ends = line.ends if line else Ends(now)
    minute = ends.per_second(now, MINUTE)
    return QueueView(
        queue=name,
        paused=line.paused if line else bool(counts and counts.paused),
        throttled_until=_throttled_until(line, wall),
        limited_by=line.limited_by(time.monotonic_ns()) if line else None,
        pending=counts.pending if counts else 0,
        due=counts.due if counts else 0,
        running=counts.running if counts else 0,
        done=counts.done if counts else 0,
        failed=counts.failed if counts else 0,
        cancelled=counts.cancelled if counts else 0,
        expired=counts.expired if counts else 0,
        oldest_pending_secs=None if oldest is None else max(0.0, round((wall - oldest) / MICROS, 3)),
        submit_rate=line.submitted.per_second(now) if line else 0.0,
        finish_rate=minute.final,
        ends_1m=ends_view(minute),
        ends_5m=ends_view(ends.per_second(now, MINUTES)),
        wait_secs=spread_view(line.waits) if line else None,
        run_secs=spread_view(line.runs) if line else None,
        pools=[pool.name for pool in line.pools] if line else [],
    )


def _throttled_until(line: Line | None, wall: int) -> str | None:
    if line is None or line.throttled_until is None:
        return None
    return to_rfc3339(wall + max(0, line.throttled_until - time.monotonic_ns()) // 1000)
