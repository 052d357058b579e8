"""The control protocol's messages about batches: a file of jobs in, a file of results out. See protocol/README.md."""

import msgspec
from msgspec import UNSET, UnsetType

from protocol.control import Params


class BatchSubmitParams(Params, frozen=True):
    """A batch, or its first part: `queue`, one of `path`, `lines` and `base64`, and the rest. A further part: `batch`,
    and `lines` or `base64`. `more`: others follow."""

    queue: str | None = None
    batch: str | None = None
    path: str | None = None
    lines: str | None = None
    base64: str | None = None
    more: bool = False
    name: str | None = None
    priority: int | None = None
    timeout_secs: float | None = None
    max_attempts: int | None = None
    tags: tuple[str, ...] | None = None
    client: str | None = None
    key: str | None = None


class BatchParams(Params, frozen=True):
    """batch_get, batch_cancel, batch_delete."""

    id: str


class BatchListParams(Params, frozen=True):
    queue: str | None = None
    state: str | list[str] | None = None
    limit: int = 50
    cursor: str | None = None


class BatchOutputParams(Params, frozen=True):
    """`from_line`: of this file, whose first one is 1."""

    id: str
    file: str = "output"
    from_line: int = 1
    follow: bool = False


class BatchGcParams(Params, frozen=True):
    older_than_secs: float
    state: str | list[str] | None = None
    queue: str | None = None
    dry_run: bool = False


class BatchCountsView(msgspec.Struct, frozen=True, kw_only=True):
    """Lines: `total` in all, and of them those that have their record, by what it says."""

    total: int
    completed: int
    failed: int
    cancelled: int


class BatchView(msgspec.Struct, frozen=True, kw_only=True):
    """A batch is this object everywhere. `waiting` says why none of its lines can begin now."""

    id: str
    queue: str
    name: str | None
    state: str
    counts: BatchCountsView
    cancel_requested: bool
    created_at: str
    updated_at: str
    finished_at: str | None
    input_bytes: int
    folder: str
    waiting: str | None
    priority: int
    timeout_secs: float | None
    max_attempts: int | None
    tags: tuple[str, ...]
    client: str | None
    key: str | None
    created: bool | UnsetType = UNSET  # in the answer of batch_submit alone; false: it was there already


class ReceivingView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a part that is not the last one. `bytes`: of all parts so far."""

    id: str
    state: str = "receiving"
    bytes: int


class BatchListView(msgspec.Struct, frozen=True, kw_only=True):
    batches: list[BatchView]
    total: int
    next: str | None  # a cursor; null: that was the last page


class BatchOutputView(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of batch_output, before the first notification."""

    id: str
    file: str


class BatchEndView(msgspec.Struct, frozen=True, kw_only=True):
    """`batch_end`: all was told. `lines`: how many the file has, with those in front of `from_line`; `state`: of the
    batch."""

    id: str
    file: str
    lines: int
    state: str


class BatchFailedView(msgspec.Struct, frozen=True, kw_only=True):
    """`batch_failed`: nothing more of this file will be told. `code` is one of the words of refusals."""

    id: str
    file: str
    code: str
    message: str


class BatchGcView(msgspec.Struct, frozen=True, kw_only=True):
    ids: list[str]
    count: int
    dry_run: bool
