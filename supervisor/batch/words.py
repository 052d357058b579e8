"""What is said of a batch."""

from enum import StrEnum

import msgspec


class BatchState(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"  # some line failed
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset((BatchState.COMPLETED, BatchState.FAILED, BatchState.CANCELLED))


class Counts(msgspec.Struct, kw_only=True):
    total: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0


class NewBatch(msgspec.Struct, kw_only=True):
    """What somebody asks for. `timeout` in seconds, of each job; `submitted_by` is the uid."""

    queue: str
    name: str | None = None
    priority: int = -10  # behind what people submit one by one
    timeout: float | None = None
    max_attempts: int | None = None
    tags: tuple[str, ...] = ()
    client: str | None = None
    key: str | None = None
    submitted_by: int | None = None


class Checkpoint(msgspec.Struct, kw_only=True):
    """How far the files are: the lines that are `answered`, in ranges; the line `number` and the `offset` behind it, up
    to which all are; and the bytes of `output` and `errors` that are good."""

    answered: list[tuple[int, int]] = []
    number: int = 0
    offset: int = 0
    output: int = 0
    errors: int = 0


class Status(NewBatch, kw_only=True):
    """What has become of it. Times in UTC microseconds; `waiting` is why nothing moves, in words."""

    id: str
    state: BatchState
    counts: Counts
    cancel_requested: bool = False
    created_at: int
    updated_at: int
    finished_at: int | None = None
    input_bytes: int = 0
    waiting: str | None = None
    checkpoint: Checkpoint = msgspec.field(default_factory=Checkpoint)
