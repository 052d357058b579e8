"""Batches as clients see them."""

from pathlib import Path

from msgspec import UNSET, UnsetType

from protocol.batches import BatchCountsView, BatchView
from protocol.times import maybe_rfc3339, to_rfc3339
from supervisor.batch.words import Status


def batch_view(status: Status, folder: Path, *, created: bool | UnsetType = UNSET) -> BatchView:
    counts = status.counts
    return BatchView(
        id=status.id,
        queue=status.queue,
        name=status.name,
        state=status.state,
        counts=BatchCountsView(
            total=counts.total, completed=counts.completed, failed=counts.failed, cancelled=counts.cancelled
        ),
        cancel_requested=status.cancel_requested,
        created_at=to_rfc3339(status.created_at),
        updated_at=to_rfc3339(status.updated_at),
        finished_at=maybe_rfc3339(status.finished_at),
        input_bytes=status.input_bytes,
        folder=str(folder),
        waiting=status.waiting,
        priority=status.priority,
        timeout_secs=status.timeout,
        max_attempts=status.max_attempts,
        tags=status.tags,
        client=status.client,
        key=status.key,
        created=created,
    )
